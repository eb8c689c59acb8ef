"""Nearest neighbours by the exact earth mover's distance, with most pairs never solved.

The scores of two sets ask who is nearest, and few distances decide that. Every pair starts with a
lower bound that costs next to nothing (`bounds`). A pair that could still matter gets one within
some per cent (`dual_bound`), and only where that leaves it open the exact solver, which stops as
soon as its own bound shows that the pair does not matter. What is known of a pair serves both of
its shapes. The answers are those of solving all pairs, ties included: a pair is passed over only
if its bound is above what it would have to reach.

The search goes in rounds: all open shapes say which pairs they want to know more of, and these
are shared among threads and processes. So the result, and the count of solves, is the same
whatever their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from pointgen.metrics.bounds import profile_bounds, profiles
from pointgen.metrics.neighbours import Neighbours, pair_count
from pointgen.metrics.pair_cache import ABANDONED, BOUNDED, SOLVED, Block, PairCache
from pointgen.processes import ALONE, Share

__all__ = ["Solve", "exact_neighbours"]

# What a shape asks for in one round. More keep more threads busy, and waste more bounds on pairs
# that the first of them would have shown not to matter.
AT_ONCE = 8
# A pair is solved at once if its bound is at most this share of the best known distance: it is
# likely a nearer one, and bounds of further pairs can wait for what it shows. Others come last.
PROMISING = 0.95
# Bounds in double precision are this exact, relative to the largest cost of an edge. A pair whose
# bound is above the best distance by no more is solved, as it may be exactly as near.
ROUNDING = 1e-10


class Solution(Protocol):
    """What a solver returns: the distance, or with `exact` false only a bound of it."""

    @property
    def cost(self) -> float: ...
    @property
    def bound(self) -> float: ...
    @property
    def exact(self) -> bool: ...


class Solve(Protocol):
    """An exact solver: see `pointgen.geometry.assignment.assign`."""

    def __call__(
        self, a: np.ndarray, b: np.ndarray, /, *, squared: bool, stop_above: float
    ) -> Solution:
        """Match two clouds (N, 3), or stop once the bound is above `stop_above`."""
        ...


def exact_neighbours(
    samples: Tensor,
    references: Tensor,
    *,
    squared: bool = False,
    solve: Solve | None = None,
    cache: PairCache | None = None,
    names: tuple[str, str] = ("samples", "references"),
    progress: Callable[[int, int], None] | None = None,
    share: Share = ALONE,
) -> Neighbours:
    """Find all nearest neighbours by the mean edge cost of the cheapest matching.

    Args:
        samples: (S, N, 3), data units.
        references: (R, N, 3), data units.
        squared: Whether the cost of an edge is its squared length, not its length.
        solve: The exact solver; None: that of `pointgen.geometry.assignment`.
        cache: What is known already of these sets and this distance; it learns all that is found
            out here, after each round.
        names: Names of the two sets in the cache.
        progress: Called after each round with the pairs decided so far and in all; it may
            interrupt the work by an error, and the cache is then good for going on.
        share: This process's share of the work, if several call this alike.

    Returns:
        The neighbours, on the CPU; the counts of solves include those that the cache knew.

    Raises:
        ValueError: The clouds are of the wrong shape, differ in points, or are not finite, or the
            cache has another number of them.
    """
    solve = _default_solver() if solve is None else solve
    shapes = _shapes(samples, references, squared, solve)
    cache = PairCache() if cache is None else cache
    s, r = len(samples), len(references)
    cross = cache.block(*names, (s, r))
    own_s, own_r = (cache.block(n, n, (c, c)) for n, c in zip(names, (s, r), strict=True))
    for own in (own_s, own_r):  # nothing is its own neighbour
        np.fill_diagonal(own.values, np.inf)
        np.fill_diagonal(own.progress, SOLVED)
    rows, columns = range(s), range(s, s + r)
    total, before = pair_count(s, r), 0

    def settle(block: Block, sets: tuple[range, range], wanted: Wanted) -> None:
        nonlocal before
        decided = 0
        for decided in _rounds(block, sets, wanted, shapes, share):
            if progress is not None:
                progress(before + decided, total)
        before += decided

    settle(cross, (rows, columns), _nearest_both_ways)
    distances = _known(cross)
    limits_s, limits_r = distances.min(axis=1), distances.min(axis=0)
    # Votes need no nearest one in the own set, only whether there is one that is as near.
    settle(own_s, (rows, rows), partial(_within, limits=limits_s))
    settle(own_r, (columns, columns), partial(_within, limits=limits_r))
    votes = [_votes(own_s, distances, limits_s), _votes(own_r, distances.T, limits_r)]
    union = np.block([[_known(own_s), distances], [distances.T, _known(own_r)]])
    return Neighbours(
        minima=torch.from_numpy(limits_r),
        nearest_sample=torch.from_numpy(distances.argmin(axis=0)),
        sample_minima=torch.from_numpy(limits_s),
        nearest_reference=torch.from_numpy(distances.argmin(axis=1)),
        votes=torch.from_numpy(np.concatenate(votes)),
        nearest_other=torch.from_numpy(union.argmin(axis=1)),
        pairs=total,
        solved=_count(SOLVED, cross, own_s, own_r),
        stopped_early=_count(ABANDONED, cross, own_s, own_r),
    )


@dataclass(frozen=True, eq=False)
class _Shapes:
    """All clouds of both sets, samples first, as the bounds and the solver take them."""

    points: np.ndarray  # (S + R, N, 3) float64, data units
    profiles: np.ndarray
    pyramids: np.ndarray
    unit: float  # a cost of 1 of the bounds in (squared) data units
    slack: float  # what rounding may add to a bound, (squared) data units
    squared: bool
    solve: Solve

    def first_bounds(self, rows: range, columns: range) -> np.ndarray:
        a, b = (self.profiles[part.start : part.stop] for part in (rows, columns))
        return self.unit * profile_bounds(a, b, squared=self.squared)

    def look(self, first: int, second: int, known: _Known, goal: float) -> _Known:
        """Find out more of a pair: whether it is above the goal, or its distance."""
        from pointgen.metrics.dual_bound import dual_bound  # brings numba

        if known.progress < BOUNDED:
            bound = dual_bound(
                self.pyramids[first],
                self.pyramids[second],
                self.points.shape[1],
                squared=self.squared,
                guess=known.bound / self.unit,
            )
            return _Known(BOUNDED, max(known.bound, self.unit * bound))
        stop = goal + 2 * self.slack  # once more, so that what was stopped is surely passed over
        found = self.solve(
            self.points[first], self.points[second], squared=self.squared, stop_above=stop
        )
        if found.exact:
            return _Known(SOLVED, found.cost)
        return _Known(ABANDONED, max(stop, found.bound))


class _Known(NamedTuple):
    progress: int
    bound: float  # of a solved pair the distance


def _shapes(samples: Tensor, references: Tensor, squared: bool, solve: Solve) -> _Shapes:
    from pointgen.metrics.dual_bound import pyramids

    for name, clouds in (("samples", samples), ("references", references)):
        _check(name, clouds, samples.shape[1:2])
    both = torch.cat([clouds.detach().cpu().double() for clouds in (samples, references)])
    low, high = both.amin(dim=(0, 1)), both.amax(dim=(0, 1))
    scale = float((high - low).max()) / 2 or 1.0  # all points may be one
    inside = (both - (low + high) / 2) / scale
    power = 2 if squared else 1
    return _Shapes(
        points=both.numpy(),
        profiles=profiles(inside.numpy(), squared=squared),
        pyramids=pyramids(inside),
        unit=scale**power,
        slack=ROUNDING * float((high - low).norm()) ** power,
        squared=squared,
        solve=solve,
    )


# What a search wants to know: for each pair the distance that would have to be undercut to
# matter to the shape of its row, and the same for its column; minus infinity if it cannot matter.
Wanted = Callable[[Block, float], tuple[np.ndarray, np.ndarray]]


def _nearest_both_ways(block: Block, slack: float) -> tuple[np.ndarray, np.ndarray]:
    """Want the nearest of each row and of each column, and all that are exactly as near."""
    distances = _known(block)
    return tuple(
        np.where((block.progress < SOLVED) & (block.bounds <= nearest + slack), nearest, -np.inf)
        for nearest in (distances.min(axis=axis, keepdims=True) for axis in (1, 0))
    )  # type: ignore[return-value]


def _within(block: Block, slack: float, *, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Want one below the limit of each row, or else all that are exactly at it."""
    limit = limits[:, None]
    beaten = (_known(block) < limit).any(axis=1, keepdims=True)
    matters = (block.progress < SOLVED) & (block.bounds <= limit + slack) & ~beaten
    by_row = np.where(matters, limit, -np.inf)
    return by_row, by_row.T


def _rounds(
    block: Block, sets: tuple[range, range], wanted: Wanted, shapes: _Shapes, share: Share
) -> Iterator[int]:
    """Work until nothing is wanted any more; yield before each round how many pairs are decided."""
    rows, columns = sets
    mirrored = rows == columns
    np.maximum(block.bounds, shapes.first_bounds(rows, columns), out=block.bounds)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        while True:
            by_row, by_column = wanted(block, shapes.slack)
            goals = np.maximum(by_row, by_column)
            decided = int(np.count_nonzero(goals == -np.inf))
            yield (decided - len(rows)) // 2 if mirrored else decided
            pairs = _asked(block, by_row)
            if mirrored:
                pairs = [(min(pair), max(pair)) for pair in pairs]
            else:
                flipped = Block(block.values.T, block.bounds.T, block.progress.T)
                pairs += [(i, j) for j, i in _asked(flipped, by_column.T)]
            pairs = list(dict.fromkeys(pairs))
            if not pairs:
                return

            def look(pair: tuple[int, int], goals: np.ndarray = goals) -> _Known:
                i, j = pair
                known = _Known(int(block.progress[pair]), float(block.bounds[pair]))
                return shapes.look(rows[i], columns[j], known, float(goals[pair]))

            mine = share.of(len(pairs))
            found = torch.zeros(len(pairs), 2, dtype=torch.float64)
            for place, known in zip(mine, threads.map(look, [pairs[k] for k in mine]), strict=True):
                found[place] = torch.tensor(known, dtype=torch.float64)
            for pair, (progress, bound) in zip(pairs, share.sum(found).tolist(), strict=True):
                _learn(block, pair, _Known(int(progress), bound), mirrored)


def _asked(block: Block, goals: np.ndarray) -> list[tuple[int, int]]:
    """Return what each row asks to have looked at next."""
    return [
        (i, int(j))
        for i in np.flatnonzero((goals > -np.inf).any(axis=1)).tolist()
        for j in _next(goals[i], block.bounds[i], block.progress[i])
    ]


def _next(goals: np.ndarray, bounds: np.ndarray, progress: np.ndarray) -> np.ndarray:
    """Choose among the pairs of a shape: bounds for several, or one solution."""
    order = np.argsort(bounds, kind="stable")
    order = order[goals[order] > -np.inf]
    fresh = order[progress[order] < BOUNDED]
    tried = order[progress[order] >= BOUNDED]
    if len(tried):
        goal, least = goals[tried[0]], bounds[tried[0]]
        if goal == np.inf:  # the first solution waits for a few good bounds to choose among
            promising = np.count_nonzero(progress) >= AT_ONCE
        else:
            promising = least <= PROMISING * goal
        if promising or len(fresh) == 0:
            return tried[:1]
    return fresh[:AT_ONCE]


def _learn(block: Block, pair: tuple[int, int], known: _Known, mirrored: bool) -> None:
    for place in (pair, pair[::-1]) if mirrored else (pair,):
        block.bounds[place] = known.bound
        if known.progress == SOLVED:
            block.values[place] = known.bound
        block.progress[place] = known.progress


def _known(block: Block) -> np.ndarray:
    """Return the distances (S, R), infinite where the pair is not solved."""
    return np.where(block.progress == SOLVED, block.values, np.inf)


def _votes(own: Block, distances: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Return the votes (S,) of the shapes of a set whose nearest of the other set are known."""
    limit = nearest[:, None]
    inside = _known(own)
    ours, theirs = (inside == limit).sum(axis=1), (distances == limit).sum(axis=1)
    return np.where((inside < limit).any(axis=1), 1.0, ours / (ours + theirs))


def _count(progress: int, cross: Block, *own: Block) -> int:
    """Count the pairs that have come so far and no further."""
    inside = sum(np.count_nonzero(np.triu(b.progress == progress, k=1)) for b in own)
    return int(np.count_nonzero(cross.progress == progress) + inside)


def _default_solver() -> Solve:
    from pointgen.geometry.assignment import assign

    return assign


def _check(name: str, clouds: Tensor, points: torch.Size) -> None:
    count = points[0] if points else "N"
    if clouds.ndim != 3 or clouds.shape[1:] != (count, 3) or 0 in clouds.shape:
        raise ValueError(f"{name}: expected (shapes, {count}, 3), got {tuple(clouds.shape)}")
    if not clouds.isfinite().all():
        raise ValueError(f"{name}: expected finite points, got NaN or infinity")
