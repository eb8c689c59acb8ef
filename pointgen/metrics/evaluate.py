"""Scoring a set of clouds against real ones: MMD, COV, 1-NNA by any distance, and JSD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Literal
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from pointgen.geometry.points import take
from pointgen.metrics.bootstrap import intervals
from pointgen.metrics.comparisons import DISTANCES
from pointgen.metrics.jsd import jensen_shannon, outside_share
from pointgen.metrics.neighbours import Neighbours
from pointgen.metrics.sheet import LARGEST, Row, Sheet
from pointgen.metrics.units import Units, in_units
from pointgen.metrics.work import Work

__all__ = ["Scoring", "evaluate"]

SOFTWARE = ("pointgen", "torch", "numpy", "scipy", "numba")


@dataclass(frozen=True)
class Scoring:
    """What is measured.

    Attributes:
        distances: keys of `comparisons.DISTANCES`.
        points: of each cloud; None takes as many as the smallest clouds have.
        units: what every cloud is brought to first.
        level: probability that the intervals are made for.
        draws: of the bootstrap; 0 leaves the intervals out.
        seed: of the thinning, the halves and the bootstrap.
    """

    distances: tuple[str, ...] = ("CD",)
    points: int | None = None
    units: Units = "data"
    level: float = 0.95
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: There is no such distance, or a number makes no sense.
        """
        unknown = [name for name in self.distances if name not in DISTANCES]
        if unknown or not self.distances:
            came = ", ".join(unknown) or "none"
            raise ValueError(f"distances: expected some of {', '.join(DISTANCES)}, got {came}")
        if self.points is not None and self.points < 1:
            raise ValueError(f"points: expected at least 1, got {self.points}")
        if not 0 < self.level < 1 or self.draws < 0:
            raise ValueError(
                f"level and draws: expected a share and a count, got {self.level} and {self.draws}"
            )


def evaluate(
    samples: Tensor | np.ndarray,
    reference: Tensor | np.ndarray,
    *,
    oracle: Tensor | np.ndarray | Literal["half"] | None = None,
    scoring: Scoring | None = None,
    work: Work | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sheet:
    """Score generated clouds against real ones.

    Where the sets differ in points per cloud, all clouds are thinned to the smallest number, each
    to a random subset of its own. The work is done on the device of the samples, in their precision
    or single, whichever is finer.

    Args:
        samples: (S, N, 3), data units. Clouds with values that are not finite, or above 1e18, are
            left out and counted.
        reference: (R, M, 3), data units. S = R is the protocol of the literature.
        oracle: (T, K, 3), further real clouds, scored as if they were samples, for comparison;
            "half" scores a random half of the references against the other one.
        scoring: What is measured; MMD, COV and 1-NNA by Chamfer distance, and JSD, by default.
        work: This process's share, if several call this alike on the same clouds, and a cache to go
            on from. Every process gets the whole sheet, the same as one alone would.
        progress: Called with the pairs of clouds done so far and in all.

    Raises:
        ValueError: A set is empty or of the wrong shape, real clouds have values that are not
            finite, no sample is left, or there is no such distance.
    """
    scoring, work = scoring or Scoring(), work or Work()
    if isinstance(oracle, str) and oracle != "half":
        raise ValueError(f"oracle: expected clouds, half or None, got {oracle!r}")
    sets = {"samples": _clouds("samples", samples)}
    device = sets["samples"].device
    sets["reference"] = _clouds("reference", reference).to(device)
    if oracle is not None and not isinstance(oracle, str):
        sets["oracle"] = _clouds("oracle", oracle).to(device)
    points = {name: clouds.shape[1] for name, clouds in sets.items()}
    count = _count(points, scoring.points)
    sets = {name: _thin(clouds, count, _noise(scoring, name)) for name, clouds in sets.items()}
    sets = {name: in_units(clouds, scoring.units) for name, clouds in sets.items()}
    sets, failed = _without_failures(sets)
    contests = [sets]
    if isinstance(oracle, str):
        contests.append(_halves(sets["reference"], _noise(scoring, "halves")))
    rows = _compare(contests, scoring, work, progress)
    compared = rows["samples"].neighbours
    return Sheet(
        samples=rows["samples"],
        oracle=rows.get("oracle"),
        oracle_from=_origin(oracle),
        points=points,
        failed=failed,
        compared_points=count,
        outside={name: outside_share(sets[name]) for name in ("samples", "reference")},
        units=scoring.units,
        level=scoring.level,
        seed=scoring.seed,
        distances={name: DISTANCES[name].definition for name in compared},
        methods={name: f"{DISTANCES[name].method}; clouds on {device}" for name in compared},
        software={name: version(name) for name in SOFTWARE},
    )


def _compare(
    contests: list[dict[str, Tensor]],
    scoring: Scoring,
    work: Work,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Row]:
    """Return the scores of every set but the references."""
    distances = dict.fromkeys(scoring.distances)
    total = sum(DISTANCES[name].pairs(sets) for name in distances for sets in contests)
    done = 0

    def advance(pairs: int) -> None:
        nonlocal done
        done = min(total, done + pairs * work.share.size)  # the others do as much, more or less
        if progress is not None:
            progress(done, total)

    rows: dict[str, Row] = {}
    for number, sets in enumerate(contests):
        found: dict[str, dict[str, Neighbours]] = {}
        for name in distances:
            shelf = replace(work, shelf=f"{name}/{number}/")
            compared = DISTANCES[name](sets, shelf, advance)
            for rival, neighbours in compared.items():
                found.setdefault(rival, {})[name] = neighbours
        rows |= {rival: _row(sets, rival, by, scoring) for rival, by in found.items()}
    return rows


def _row(sets: dict[str, Tensor], rival: str, by: dict[str, Neighbours], scoring: Scoring) -> Row:
    scores: dict[str, float] = {}
    limits: dict[str, tuple[float, float]] = {}
    for name, neighbours in by.items():
        scores[f"1-NNA-{name}"] = neighbours.nearest_neighbour_accuracy
        scores[f"COV-{name}"] = neighbours.coverage
        scores[f"MMD-{name}"] = neighbours.minimum_matching_distance
        scores[f"MMD-smp-{name}"] = neighbours.sample_minima.mean().item()
        if scoring.draws:
            found = intervals(
                neighbours.minima,
                neighbours.nearest_sample,
                neighbours.nearest_reference,
                neighbours.votes,
                neighbours.nearest_other,
                draws=scoring.draws,
                level=scoring.level,
                seed=scoring.seed,
            )
            limits |= {f"{score}-{name}": ends for score, ends in found.items()}
    scores["JSD"] = jensen_shannon(sets[rival], sets["reference"])
    return Row((len(sets[rival]), len(sets["reference"])), scores, limits, by)


def _count(points: dict[str, int], wanted: int | None) -> int:
    """Return how many points of each cloud are compared."""
    fewest = min(points, key=lambda name: points[name])
    if wanted is not None and wanted > points[fewest]:
        raise ValueError(
            f"{fewest}: has clouds of {points[fewest]} points, {wanted} of each are wanted"
        )
    return wanted or points[fewest]


def _noise(scoring: Scoring, use: str) -> torch.Generator:
    """Return a source of its own for each set: no other set changes what is drawn of it."""
    return torch.Generator().manual_seed(scoring.seed + crc32(use.encode()))


def _origin(oracle: Tensor | np.ndarray | str | None) -> str | None:
    if oracle is None:
        return None
    return "one random half of the references" if isinstance(oracle, str) else "other real clouds"


def _halves(reference: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Cut the references into two random halves, one of which plays the samples."""
    if len(reference) < 2:
        raise ValueError("oracle: expected two references at least to halve, got one")
    order = torch.randperm(len(reference), generator=generator).to(reference.device)
    first, second = order.tensor_split(2)
    return {"oracle": reference[first], "reference": reference[second]}


def _clouds(name: str, clouds: Tensor | np.ndarray) -> Tensor:
    """Return a set of clouds as a tensor, its shape checked."""
    if not isinstance(clouds, Tensor | np.ndarray):
        raise ValueError(f"{name}: expected a tensor or array, got {type(clouds).__name__}")
    shape = tuple(clouds.shape)
    if len(shape) != 3 or shape[-1] != 3 or 0 in shape:
        raise ValueError(f"{name}: expected (shapes, points, 3), none of them 0, got {shape}")
    if isinstance(clouds, np.ndarray) and clouds.dtype.kind not in "fiu":
        raise ValueError(f"{name}: expected numbers, got {clouds.dtype}")
    tensor = torch.as_tensor(clouds).detach()
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _without_failures(sets: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[int, ...]]:
    """Leave out failed samples and say which; a failure among real clouds is an error."""
    # A comparison with NaN is false.
    sound = {name: (c.abs() <= LARGEST).flatten(1).all(dim=1) for name, c in sets.items()}
    for name, good in sound.items():
        bad = int((~good).sum())
        if bad and (name != "samples" or bad == len(good)):
            raise ValueError(
                f"{name}: expected finite values below {LARGEST:g} (and clouds with a size, to "
                f"bring them to units of their own), {bad} of {len(good)} clouds have others, the "
                f"first is cloud {int(good.byte().argmin())}"
            )
    failed = (~sound["samples"]).nonzero().flatten().tolist()
    if failed:
        sets = {**sets, "samples": sets["samples"][sound["samples"]]}
    return sets, tuple(failed)


def _thin(clouds: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return a random subset of the points of each cloud, or the clouds if they are that small."""
    if clouds.shape[1] == count:
        return clouds
    order = torch.rand(clouds.shape[:2], generator=generator).argsort(dim=1)[:, :count]
    return take(clouds, order.to(clouds.device))
