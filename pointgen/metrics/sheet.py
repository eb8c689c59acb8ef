"""The metric sheet: how near a set of generated clouds comes to a set of real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pointgen.geometry.distances import pairwise_chamfer
from pointgen.metrics.scores import (
    coverage,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
)
from pointgen.processes import ALONE, Share

__all__ = ["DEFINITIONS", "DISTANCES", "Sheet", "evaluate"]


class Distance(Protocol):
    """Distances (S, R) between clouds (S, N, 3) and (R, N, 3); see `pairwise_chamfer`."""

    def __call__(
        self,
        a: Tensor,
        b: Tensor,
        /,
        *,
        rows: range | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Tensor: ...


# A new distance is one more entry here and one more definition below.
DISTANCES: dict[str, Distance] = {"CD": pairwise_chamfer}

DEFINITIONS = {
    "MMD": "mean over the references of the distance to the nearest sample; lower is better",
    "COV": "share of references that are the nearest of some sample; higher is better",
    "1-NNA": "share of clouds whose nearest other cloud is of their own set; 50 % is ideal",
    "CD": "Chamfer: mean squared distance to the nearest point, both ways added; squared units",
}

# Beyond this a squared distance overflows single precision.
LARGEST = 1e18


@dataclass(frozen=True, repr=False)
class Sheet:
    """Scores of samples against a reference set; printing it shows a table.

    Attributes:
        scores: value by name, as "1-NNA-CD". MMD is in the units of the distance (for CD squared
            data units), COV and 1-NNA are from 0 to 1.
        oracle: the same for other real clouds in place of the samples: what a perfect model gets.
        shapes: how many clouds were compared: "samples", "reference" and perhaps "oracle".
        points: how many points the clouds of each set came with.
        failed: how many samples had values that are not finite, or above 1e18; they were left out.
        resampled_to: to how many points clouds were thinned so that all sets have the same, if so.
        seed: seed of that thinning.
    """

    scores: dict[str, float]
    oracle: dict[str, float] | None
    shapes: dict[str, int]
    points: dict[str, int]
    failed: int
    resampled_to: int | None
    seed: int

    @property
    def definitions(self) -> dict[str, str]:
        """What the names in this sheet mean."""
        used = {part for name in self.scores for part in name.rsplit("-", 1)}
        return {name: text for name, text in DEFINITIONS.items() if name in used}

    @property
    def notes(self) -> list[str]:
        """What a reader has to know beside the scores, one sentence each."""
        notes = []
        if self.failed:
            total = self.failed + self.shapes["samples"]
            notes.append(
                f"{self.failed} of {total} samples failed (values not finite or above "
                f"{LARGEST:g}) and were left out."
            )
        if self.resampled_to is not None:
            given = ", ".join(f"{count} ({name})" for name, count in self.points.items())
            notes.append(
                f"Clouds came with {given} points; each was thinned to {self.resampled_to} "
                f"at random (seed {self.seed})."
            )
        if len(set(self.shapes.values())) > 1:
            notes.append(
                "The sets differ in size: 50 % is then not what a perfect model gets in 1-NNA, "
                "and COV cannot exceed samples / references."
            )
        return notes

    def rows(self) -> list[dict[str, str | int | float]]:
        """Return one row for the samples and one for the oracle, if any, for a table."""
        sets = {"samples": self.scores, "oracle": self.oracle}
        return [
            {"set": name, "shapes": self.shapes[name], **scores}
            for name, scores in sets.items()
            if scores is not None
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the sheet as numbers, texts, lists and dictionaries."""
        return {**asdict(self), "notes": self.notes, "definitions": self.definitions}

    def __str__(self) -> str:
        """Return the table, the notes and the definitions as plain text."""
        table = [["", "shapes", *self.scores]]
        titles = {"samples": "samples", "oracle": "real data"}
        for row in self.rows():
            cells = [_show(name, float(row[name])) for name in self.scores]
            table.append([titles[str(row["set"])], str(row["shapes"]), *cells])
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in table
        ]
        lines.append(f"against {self.shapes['reference']} reference shapes")
        lines += [*self.notes, *(f"{name}: {text}" for name, text in self.definitions.items())]
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__


def evaluate(
    samples: Tensor | np.ndarray,
    reference: Tensor | np.ndarray,
    *,
    oracle: Tensor | np.ndarray | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    share: Share = ALONE,
) -> Sheet:
    """Score generated clouds against real ones by MMD, COV and 1-NNA.

    Nothing is rescaled. Where the sets differ in points per cloud, all clouds are thinned to the
    smallest number, each to a random subset of its own. The work is done on the device of the
    samples, in their precision or single, whichever is finer.

    Args:
        samples: (S, N, 3), data units. Clouds with values that are not finite, or above 1e18, are
            left out and counted.
        reference: (R, M, 3), data units. S = R is the protocol of the literature.
        oracle: (T, K, 3), further real clouds, scored as if they were samples, for comparison.
        seed: Seed of the thinning.
        progress: Called with the pairs of clouds done so far and in all.
        share: This process's share of the work, if several call this alike on the same clouds;
            every one of them gets the whole sheet, the same as one process alone would.

    Raises:
        ValueError: A set is empty or of the wrong shape, real clouds have values that are not
            finite, or no sample is left.
    """
    sets = {"samples": _clouds("samples", samples)}
    device = sets["samples"].device
    sets["reference"] = _clouds("reference", reference).to(device)
    if oracle is not None:
        sets["oracle"] = _clouds("oracle", oracle).to(device)
    points = {name: clouds.shape[1] for name, clouds in sets.items()}
    sets, failed = _without_failures(sets)
    count = min(points.values())
    generator = torch.Generator().manual_seed(seed)
    sets = {name: _thin(clouds, count, generator) for name, clouds in sets.items()}
    scores = _score_all(sets, progress, share)
    return Sheet(
        scores=scores["samples"],
        oracle=scores.get("oracle"),
        shapes={name: len(clouds) for name, clouds in sets.items()},
        points=points,
        failed=failed,
        resampled_to=count if len(set(points.values())) > 1 else None,
        seed=seed,
    )


def _score_all(
    sets: dict[str, Tensor], progress: Callable[[int, int], None] | None, share: Share
) -> dict[str, dict[str, float]]:
    """Return the scores of every set but the reference, by every distance."""
    reference = sets["reference"]
    rivals = {name: clouds for name, clouds in sets.items() if name != "reference"}
    pairs = len(reference) ** 2 + sum(len(c) * (len(c) + len(reference)) for c in rivals.values())
    total, done = pairs * len(DISTANCES), 0

    def advance(pairs: int) -> None:
        nonlocal done
        done = min(total, done + pairs * share.size)  # the others do as much, more or less
        if progress is not None:
            progress(done, total)

    def table(distance: Distance, a: Tensor, b: Tensor) -> Tensor:
        return share.sum(distance(a, b, rows=share.of(len(a)), progress=advance))

    scores: dict[str, dict[str, float]] = {name: {} for name in rivals}
    for key, distance in DISTANCES.items():
        rr = table(distance, reference, reference)
        for name, clouds in rivals.items():
            sr = table(distance, clouds, reference)
            ss = table(distance, clouds, clouds)
            scores[name][f"MMD-{key}"] = minimum_matching_distance(sr)
            scores[name][f"COV-{key}"] = coverage(sr)
            scores[name][f"1-NNA-{key}"] = nearest_neighbour_accuracy(ss, sr, rr)
    return scores


def _clouds(name: str, clouds: Tensor | np.ndarray) -> Tensor:
    """Return a set of clouds as a tensor, its shape checked."""
    if not isinstance(clouds, Tensor | np.ndarray):
        raise ValueError(f"{name}: expected a tensor or array, got {type(clouds).__name__}")
    shape = tuple(clouds.shape)
    if len(shape) != 3 or shape[-1] != 3 or 0 in shape:
        raise ValueError(f"{name}: expected (shapes, points, 3), none of them 0, got {shape}")
    if isinstance(clouds, np.ndarray) and clouds.dtype.kind not in "fiu":
        raise ValueError(f"{name}: expected numbers, got {clouds.dtype}")
    return torch.as_tensor(clouds).detach()


def _without_failures(sets: dict[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """Leave out failed samples and count them; a failure among real clouds is an error."""
    # A comparison with NaN is false.
    sound = {name: (c.abs() <= LARGEST).flatten(1).all(dim=1) for name, c in sets.items()}
    for name, good in sound.items():
        bad = int((~good).sum())
        if bad and (name != "samples" or bad == len(good)):
            raise ValueError(
                f"{name}: expected finite values below {LARGEST:g}, {bad} of {len(good)} clouds "
                f"have others, the first is cloud {int(good.byte().argmin())}"
            )
    failed = int((~sound["samples"]).sum())
    if failed:
        sets = {**sets, "samples": sets["samples"][sound["samples"]]}
    return sets, failed


def _thin(clouds: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return a random subset of the points of each cloud, or the clouds if they are that small."""
    if clouds.shape[1] == count:
        return clouds
    order = torch.rand(clouds.shape[:2], generator=generator).argsort(dim=1)[:, :count]
    return clouds.gather(1, order.to(clouds.device).unsqueeze(-1).expand(-1, -1, 3))


def _show(name: str, value: float) -> str:
    return f"{value:.4g}" if name.startswith("MMD") else f"{100 * value:.1f} %"
