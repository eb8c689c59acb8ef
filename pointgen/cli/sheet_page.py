"""The metric sheet as a page: the numbers, and the shapes behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pointgen.metrics.neighbours import Neighbours
    from pointgen.metrics.sheet import Sheet
    from pointgen.view.report import Picture, Section

__all__ = ["save_sheet_page"]

SHOWN = 8  # shapes in a row of a picture
SIZE = 150  # pixels of a shape
DRAWN = 1024  # points of a shape at most: at this size more look the same


def save_sheet_page(
    path: Path, sheet: Sheet, samples: Tensor, reference: Tensor, origin: dict[str, str]
) -> None:
    """Write the report.

    Args:
        path: where to.
        sheet: what to show.
        samples: (S, N, 3), as they were scored, the failed ones included.
        reference: (R, M, 3).
        origin: where all come from, for the reader.
    """
    from pointgen.view.report import Section, Table, save_report

    failed = set(sheet.failed)
    places = [place for place in range(len(samples)) if place not in failed]
    made = list(samples.numpy()[places])
    real = list(reference.numpy())
    table = sheet.table()
    sections = [
        Section("Scores", [_said(origin), Table(table[0], table[1:]), *sheet.notes]),
        *_pictures(sheet.samples.neighbours, made, real, places),
        Section("Definitions", [Table(["name", "meaning"], list(sheet.definitions.items()))]),
        Section("How it was measured", [Table(["what", "value"], _facts(sheet, origin))]),
    ]
    save_report(path, "Metric sheet by pointgen", sections)


def _pictures(
    by: Mapping[str, Neighbours],
    made: list[np.ndarray],
    real: list[np.ndarray],
    places: list[int],
) -> list[Section]:
    """Return for each distance the nearest pairs; `places` are those of the samples as given."""
    from pointgen.view.report import Section

    sections = []
    for name, neighbours in by.items():
        order = neighbours.sample_minima.argsort(stable=True).tolist()
        nearest = neighbours.nearest_reference.tolist()
        distances = neighbours.sample_minima.tolist()
        parts: list[Picture] = []
        for title, chosen in (
            ("Best: samples nearest to a reference", order[:SHOWN]),
            ("Worst: samples farthest from any reference", order[::-1][:SHOWN]),
            ("The first samples", list(range(len(order)))[:SHOWN]),
        ):
            pairs = [(made[s], real[nearest[s]]) for s in chosen]
            captions = [f"sample {places[s]}" for s in chosen]
            captions += [f"ref. {nearest[s]}: {distances[s]:.3g}" for s in chosen]
            parts.append(_rows(title, pairs, captions, "their nearest references"))
        order = neighbours.minima.argsort(descending=True, stable=True).tolist()[:SHOWN]
        nearest = neighbours.nearest_sample.tolist()
        pairs = [(real[r], made[nearest[r]]) for r in order]
        captions = [f"reference {r}" for r in order]
        captions += [f"sample {places[nearest[r]]}: {neighbours.minima[r]:.3g}" for r in order]
        parts.append(_rows("References that no sample is near", pairs, captions, "their nearest"))
        sections.append(Section(f"Nearest pairs by {name}", parts))
    return sections


def _rows(
    title: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]], captions: list[str], below: str
) -> Picture:
    """Return a picture of two rows: one of each pair above, the other below."""
    from pointgen.view.report import Picture
    from pointgen.view.still import draw

    # Every so many: the first of a scan are only one end of it.
    whole = [pair[row] for row in range(2) for pair in pairs]
    clouds = [cloud[:: -(-len(cloud) // DRAWN)] for cloud in whole]
    image = draw(clouds, captions=captions, columns=len(pairs), size=SIZE, fit="each")
    return Picture(image, f"{title}; below them {below}, with the distance.")


def _said(origin: dict[str, str]) -> str:
    text = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in origin.items())
    return f"{text[:1].upper()}{text[1:]}."


def _facts(sheet: Sheet, origin: dict[str, str]) -> list[tuple[str, str]]:
    facts = {name.replace("_", " "): value for name, value in origin.items()}
    facts |= {f"{name} found by": method for name, method in sheet.methods.items()}
    for name, found in sheet.samples.neighbours.items():
        facts[f"{name}, effort"] = ", ".join(f"{what} {n}" for what, n in found.effort.items())
    facts |= {"seed": str(sheet.seed)}
    facts |= {"software": ", ".join(f"{name} {v}" for name, v in sheet.software.items())}
    return list(facts.items())
