"""The distances that sets of clouds are compared by, and who is nearest to whom by each of them.

A new distance is one more entry in `DISTANCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pointgen.geometry.distances import pairwise_chamfer
from pointgen.geometry.emd import match
from pointgen.geometry.legacy_emd import Kind, legacy_emd
from pointgen.metrics.lazy import exact_neighbours
from pointgen.metrics.neighbours import Neighbours, pair_count
from pointgen.metrics.pair_cache import PairCache
from pointgen.metrics.work import Work

__all__ = ["DISTANCES", "Comparison"]

# Clouds to be matched: a card works on hundreds of pairs at a time.
PAIRS_AT_ONCE, PAIRS_AT_ONCE_ON_CUDA = 16, 1024
NEAR = 0.01  # relative error of "EMD-1%"

Advance = Callable[[int], None]
"""Told of each number of pairs that this process has done."""


class Comparison(Protocol):
    """Who is nearest to whom, for each set of clouds that rivals the references."""

    @property
    def definition(self) -> str:
        """One sentence with the units."""
        ...

    @property
    def method(self) -> str:
        """By what algorithm, and how exact it is."""
        ...

    def pairs(self, sets: Mapping[str, Tensor]) -> int:
        """Return how many pairs `advance` is told of in all, by all processes."""
        ...

    def __call__(
        self, sets: Mapping[str, Tensor], work: Work, advance: Advance
    ) -> dict[str, Neighbours]:
        """Compare each set of clouds (S, N, 3) with the one named "reference"."""
        ...


class Table(Protocol):
    """Distances (S, R) between clouds (S, N, 3) and (R, N, 3); see `pairwise_chamfer`."""

    def __call__(
        self,
        a: Tensor,
        b: Tensor,
        /,
        *,
        rows: range | None = None,
        progress: Advance | None = None,
    ) -> Tensor: ...


@dataclass(frozen=True)
class ByTables:
    """A comparison that works out the distance of every cloud to every other one."""

    definition: str
    method: str
    table: Table
    rows_at_once: int = 1
    """Between two looks at whether it is time to save."""

    def pairs(self, sets: Mapping[str, Tensor]) -> int:
        """Return the size of all tables."""
        return sum(len(sets[a]) * len(sets[b]) for a, b in _meetings(sets))

    def __call__(
        self, sets: Mapping[str, Tensor], work: Work, advance: Advance
    ) -> dict[str, Neighbours]:
        """Fill a table for each two sets that meet."""
        tables = {(a, b): self._filled(a, b, sets, work, advance) for a, b in _meetings(sets)}
        reference = tables["reference", "reference"]
        return {
            rival: Neighbours.from_tables(
                tables[rival, rival], tables[rival, "reference"], reference
            )
            for rival in _rivals(sets)
        }

    def _filled(
        self, a: str, b: str, sets: Mapping[str, Tensor], work: Work, advance: Advance
    ) -> Tensor:
        """Return the table of two sets, of which this process fills its rows."""
        rows, name = work.share.of(len(sets[a])), f"{work.shelf}{a}-{b}"
        total = np.zeros((len(sets[a]), len(sets[b])))
        done = 0
        if name in work.store.names():
            kept = work.store[name]
            total, done = kept[:-1], int(kept[-1, 0])
            advance(sum(_told(row, len(sets[b]), mirrored=a == b) for row in rows[:done]))
        for start in range(done, len(rows), self.rows_at_once):
            part = rows[start : start + self.rows_at_once]
            found = self.table(sets[a], sets[b], rows=part, progress=advance)
            total += found.double().cpu().numpy()
            work.store.put(partial(_marked, name, total, start + len(part)))
        return work.share.sum(torch.from_numpy(total))


@dataclass(frozen=True)
class ByExactMatching:
    """Exact EMD, of which only the pairs are solved that bounds leave open."""

    definition: str
    method: str
    squared: bool

    def pairs(self, sets: Mapping[str, Tensor]) -> int:
        """Return the number of pairs of different shapes."""
        references = len(sets["reference"])
        return sum(pair_count(len(sets[rival]), references) for rival in _rivals(sets))

    def __call__(
        self, sets: Mapping[str, Tensor], work: Work, advance: Advance
    ) -> dict[str, Neighbours]:
        """Search for each rival in turn; pairs of references are looked at once for all."""
        cache = PairCache()
        # Rounds must be the same in all processes, so they all begin with what the main one knows.
        cache.restore(work.share.from_main(_kept(work)))
        found = {}
        for rival in _rivals(sets):
            told = 0

            def decided(done: int, total: int) -> None:
                nonlocal told
                # Every process is told of the work of all.
                advance((done - told) // work.share.size)
                told = done
                work.store.put(lambda: {work.shelf + key: t for key, t in cache.state().items()})

            found[rival] = exact_neighbours(
                sets[rival], sets["reference"],
                squared=self.squared, cache=cache, names=(rival, "reference"),
                progress=decided, share=work.share,
            )  # fmt: skip
        return found


def _marked(name: str, table: np.ndarray, done: int) -> dict[str, np.ndarray]:
    """Return a table so far by its name, with a last row that says how many rows are in it."""
    return {name: np.concatenate([table, np.full((1, table.shape[1]), done)])}


def _kept(work: Work) -> dict[str, np.ndarray]:
    """Return what the store has on this shelf, by the names without it."""
    names = [name for name in work.store.names() if name.startswith(work.shelf)]
    return {name.removeprefix(work.shelf): work.store[name] for name in names}


def _rivals(sets: Mapping[str, Tensor]) -> list[str]:
    return [name for name in sets if name != "reference"]


def _meetings(sets: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Return which sets have to be compared, the references with themselves only once."""
    meetings = [("reference", "reference")]
    for rival in _rivals(sets):
        meetings += [(rival, "reference"), (rival, rival)]
    return meetings


def _told(row: int, columns: int, *, mirrored: bool) -> int:
    """Return how many pairs a row of a table stands for, as `pairwise_chamfer` counts them."""
    return 2 * (columns - row) - 1 if mirrored else columns


def _matched(
    a: Tensor, b: Tensor, /, *, rows: range | None = None, progress: Advance | None = None
) -> Tensor:
    """Return EMD within 1 % of the truth for all pairs; a `Table`."""

    def distance(some: Tensor, others: Tensor) -> Tensor:
        return match(some, others, error=NEAR).cost

    return _by_pairs(a, b, distance, rows, progress, mirrored=a is b)


def _legacy(kind: Kind) -> Table:
    def table(
        a: Tensor, b: Tensor, /, *, rows: range | None = None, progress: Advance | None = None
    ) -> Tensor:
        # The published code takes references first. It is not symmetric, so nothing is mirrored.
        def distance(some: Tensor, others: Tensor) -> Tensor:
            return legacy_emd(others, some, kind)

        return _by_pairs(a, b, distance, rows, progress, mirrored=False)

    return table


def _by_pairs(
    a: Tensor,
    b: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    rows: range | None,
    progress: Advance | None,
    *,
    mirrored: bool,
) -> Tensor:
    """Fill rows of a table with the distances of clouds (B, N, 3) to others, pair by pair."""
    rows = range(len(a)) if rows is None else rows
    table = a.new_zeros(len(a), len(b), dtype=torch.float64)
    i = torch.tensor(rows, device=a.device).repeat_interleave(len(b))
    j = torch.arange(len(b), device=a.device).repeat(len(rows))
    if mirrored:
        i, j = i[j > i], j[j > i]
    at_once = PAIRS_AT_ONCE_ON_CUDA if a.is_cuda else PAIRS_AT_ONCE
    for some, others in zip(i.split(at_once), j.split(at_once), strict=True):
        found = distance(a[some], b[others]).double()
        table[some, others] = found
        if mirrored:
            table[others, some] = found
    if progress is not None:
        progress(sum(_told(row, len(b), mirrored=a is b) for row in rows))
    return table


EXACT = "exact cheapest matching, on the CPU; pairs that bounds prove not to matter are left out"
SOFT = "soft matching from near to far as the CUDA code of the field does it; not symmetric"

DISTANCES: dict[str, Comparison] = {
    "CD": ByTables(
        "Chamfer: mean squared distance to the nearest point, both ways added; squared units",
        "all distances, exact to rounding",
        pairwise_chamfer,
        rows_at_once=16,
    ),
    "EMD": ByExactMatching(
        "mean distance of matched points in the cheapest one-to-one matching; units of the clouds",
        EXACT,
        squared=False,
    ),
    "EMD-squared": ByExactMatching(
        "mean squared distance of matched points in the one-to-one matching that makes it least; "
        "squared units",
        EXACT,
        squared=True,
    ),
    "EMD-1%": ByTables(
        "as EMD, but each distance may be up to 1 % too large",
        f"a matching for every pair, proven to be within {100 * NEAR:g} % of the cheapest",
        _matched,
        rows_at_once=4,
    ),
    "EMD-pointflow": ByTables(
        "what PointFlow's CUDA code calls EMD: mean distance under a soft matching, 5 to 40 % "
        "more than the true one; units of the clouds",
        SOFT,
        _legacy("pointflow"),
    ),
    "EMD-pvd": ByTables(
        "what the code of PVD and LION calls EMD: mean squared distance under a soft matching; "
        "squared units",
        SOFT,
        _legacy("pvd"),
    ),
    "EMD-sum-squared": ByTables(
        "what PyTorchEMD returns: sum of squared distances under a soft matching; squared units",
        SOFT,
        _legacy("sum-squared"),
    ),
}
