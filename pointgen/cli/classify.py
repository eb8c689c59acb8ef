"""`pointgen classify`: which category clouds are of, for a model that tells categories apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointgen.cli.console import check_free, print_json, progress, say
from pointgen.cli.encoding import read_inputs, seeing
from pointgen.cli.options import Device, Force, Json, Run, Seed, Weights
from pointgen.cli.pictured import CaptionedPng, write_png
from pointgen.cli.score import How, surprises, with_densities
from pointgen.devices import torch_device

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pointgen.models import Classifier

__all__ = ["classify"]

DRAWS, STEPS = 2, 8  # codes and solver steps of a surprise, which only has to be compared
UNKNOWN = "unknown"
SCORES = 2  # how unsure, and how unlike


def classify(
    run: Run,
    inputs: Annotated[list[Path], typer.Argument(help="Clouds or meshes: files or folders.")],
    reject: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Call clouds unknown that are stranger than all but this share of the held-out "
            "(val) shapes: the category is less clear, or log p(X) is further from what is usual "
            "in the likeliest category.",
        ),
    ] = None,
    png: CaptionedPng = None,
    seed: Seed = 0,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Say how probable each category is for each cloud or mesh."""
    import torch

    from pointgen.flows.continuous import cnfs
    from pointgen.models import Classifier
    from pointgen.training.checkpoint import load

    check_free(png, force=force, endings=(".png",))
    on = torch_device(device)
    model = load(run, device=on, weights=weights)
    if not isinstance(model, Classifier):
        raise ValueError(
            f"{run}: its model does not tell categories apart; one of kind hybrid or irevnet does "
            "(configs/hybrid_quickstart.toml, configs/irevnet_quickstart.toml)"
        )
    flow = None if reject is None else with_densities(run, model)  # not every classifier has them
    seen, shapes = seeing(run, on, seed), read_inputs(inputs, seed)
    clouds, rows = [], []
    with progress("classifying") as advance, torch.no_grad():
        for id, cloud in zip(shapes.ids, shapes.points, strict=True):
            points, _ = seen(cloud)
            try:
                rows.append(model.classify(points)[0])
            except ValueError as error:  # it is about the cloud, so say which
                raise ValueError(f"{id}: {error}") from error
            clouds.append(points[0])
            advance(len(rows), len(shapes.ids))
    shares = torch.stack(rows).cpu()
    found: dict[str, dict[str, float]] = {
        id: dict(zip(model.categories, row.tolist(), strict=True))
        for id, row in zip(shapes.ids, shares, strict=True)
    }
    result: dict[str, Any] = {"run": str(run), "categories": list(model.categories)}
    result["clouds"] = found
    if flow is not None and reject is not None:
        steps = STEPS if cnfs(flow) else None
        score = partial(surprises, flow, how=How(DRAWS, 0.0, steps, seed, weights, on))
        strange = _as_strange(run, model, score, clouds, shares, reject)
        result["as_strange"] = dict(zip(shapes.ids, strange, strict=True))
        result["unknown"] = [id for id, share in result["as_strange"].items() if share <= reject]
    unknown = set(result.get("unknown", ()))
    if png is not None:
        titles = [
            UNKNOWN if id in unknown else f"{_likeliest(row)}, {100 * max(row.values()):.0f} %"
            for id, row in found.items()
        ]
        write_png(png, shapes.points, titles)
    if json:
        print_json(result)
        return
    typer.echo(_table(found, result.get("as_strange"), unknown))
    if reject is not None:
        say("as strange: the share of held-out shapes that are as strange or more")


def _as_strange(
    run: Path,
    model: Classifier,
    score: Callable[..., np.ndarray],
    clouds: list[Tensor],
    shares: Tensor,
    reject: float,
) -> list[float]:
    """Return what share of held-out shapes is as strange as each cloud (N, 3), given (B, K)."""
    import numpy as np

    from pointgen.batch import collate
    from pointgen.metrics.outliers import share_as_strange, unlikeness
    from pointgen.training.checkpoint import read_run
    from pointgen.training.making import classified

    with progress("preparing held-out shapes") as advance:
        held_out = read_run(run).data.build("val", progress=advance)
    known = collate(list(held_out)).points
    least = SCORES / (1 + len(known))  # what `share_as_strange` gives the strangest of all
    if reject < least:
        raise ValueError(
            f"--reject {reject:g}: {len(known)} held-out shapes tell shares of {least:.3f} or more;"
            " take a larger one, or a run with more val shapes"
        )
    known_shares = classified(model, known.to(clouds[0].device))
    usual = score([points.numpy() for points in known], title="scoring the known")
    found = score([points.cpu().numpy() for points in clouds], title="scoring")
    category, known_category = (of.argmax(-1).numpy() for of in (shares, known_shares))
    try:
        unlike = unlikeness(found, category, usual, known_category)
        known_unlike = unlikeness(usual, known_category, usual, known_category)
    except ValueError as error:
        raise ValueError(f"--reject: the val split of {run}: {error}") from error
    unsure, known_unsure = (1 - of.amax(-1).numpy() for of in (shares, known_shares))
    strange = share_as_strange(np.stack([unsure, unlike]), np.stack([known_unsure, known_unlike]))
    return [float(share) for share in strange]


def _table(
    found: dict[str, dict[str, float]], strange: dict[str, float] | None, unknown: set[str]
) -> str:
    """Return a line for each cloud: the likeliest category, then the probability of each."""
    categories = list(next(iter(found.values())))
    rows = [["", "likeliest", *categories]]
    for id, row in found.items():
        likeliest = UNKNOWN if id in unknown else _likeliest(row)
        rows.append([id, likeliest, *(f"{100 * share:.1f} %" for share in row.values())])
    if strange is not None:
        last = ["as strange", *(f"{100 * share:.1f} %" for share in strange.values())]
        rows = [[*row, cell] for row, cell in zip(rows, last, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([*map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])])
        for row in rows
    )


def _likeliest(row: dict[str, float]) -> str:
    return max(row, key=lambda name: row[name])
