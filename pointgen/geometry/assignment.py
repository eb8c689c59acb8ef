"""Exact minimum-cost perfect matching of two equal-sized clouds, with a dual certificate.

Potentials u, v with u[i] + v[j] <= c(i, j) for all pairs prove that no matching costs less than
sum(u) + sum(v). The solver raises this sum until it meets the cost of a matching:

1. Coarse clouds, the centroids of the cells of kd-trees, are matched roughly by auctions. Their
   potentials, carried over to the points, are often within some percent of the best.
2. Auctions with falling increments do nearly all the rest.
3. Row reduction and shortest augmenting paths finish exactly.

Costs are computed when needed, mostly for the best few columns of a row, so that no matrix of all
pairs is ever held. In the end the inequality is looked up for all pairs, by boxes where they are
far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pointgen.geometry.pairing import kd_order

if TYPE_CHECKING:
    from pointgen.geometry.assignment_candidates import Candidates

__all__ = ["Assignment", "assign"]

CANDIDATES = 20  # columns listed for a row
INCREMENTS = (0.2, 0.03)  # of the auctions, in units of the spread of c - v in a typical list
# For each row and auction; 5 to 10 are usual. Where a few points have far to go an auction lowers
# all of v in small steps, and shortest paths are faster.
BIDS = 30
SWEEPS = 2  # of row reduction, as by Jonker and Volgenant
RATIO = 4  # points of a level, at least, for each of the next coarser one; a power of two
COARSEST = 32  # points
SLACK = 1e-14  # for rounding, where all coordinates are in a cube of side 1


@dataclass(frozen=True)
class Assignment:
    """A matching of two clouds and the potentials that prove how good it is."""

    assignment: np.ndarray
    """(N,) int64: a[i] is matched with b[assignment[i]]; any permutation if not `exact`."""

    cost: float
    """Mean cost of this matching, (squared) data units."""

    bound: float
    """Mean of u plus mean of v: no matching has a lesser mean cost."""

    u: np.ndarray
    """(N,) potentials of the points of a: u[i] + v[j] <= cost of (i, j), up to rounding."""

    v: np.ndarray
    """(N,) potentials of the points of b."""

    exact: bool
    """Whether the matching is a cheapest one; false only where the solver stopped early."""


def assign(
    a: np.ndarray, b: np.ndarray, *, squared: bool = False, stop_above: float = np.inf
) -> Assignment:
    """Match every point of `a` with one of `b` so that the sum of costs is least.

    Nearly all the work lets go of the interpreter's lock, so pairs can be solved in threads.

    Args:
        a: (N, 3), data units, finite.
        b: (N, 3), data units, finite.
        squared: Whether the cost of a pair of points is their squared distance, not the distance.
        stop_above: Return early, with `exact` false, once it is proven that the mean cost of every
            matching is above this.

    Returns:
        The matching and its certificate, from float64 arithmetic.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    n = len(a)
    low = np.minimum(a.min(axis=0), b.min(axis=0))
    side = (np.maximum(a.max(axis=0), b.max(axis=0)) - low).max()
    unit = side**2 if squared else side
    if n == 1 or np.array_equal(a, b):
        assignment, u, v, exact = np.arange(n), _costs(a, b, squared), np.zeros(n), True
    else:
        order_a, order_b = kd_order(torch.from_numpy(np.stack([a, b]))).numpy()
        rows, columns = ((a[order_a] - low) / side).T, ((b[order_b] - low) / side).T
        found, u_found, v_found, exact = _solve(
            np.ascontiguousarray(rows), _padded(columns), squared, n * stop_above / unit
        )
        assignment, u, v = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)
        assignment[order_a] = order_b[found]
        u[order_a], v[order_b] = u_found * unit, v_found[:n] * unit
    cost = float(_costs(a, b[assignment], squared).mean())
    bound = float(u.mean() + v.mean())
    assert not exact or cost - bound <= 1e-9 * cost + 1e-12 * unit, "the certificate fails"
    return Assignment(assignment, cost, min(bound, cost), u, v, exact)


def _solve(
    rows: np.ndarray, columns: np.ndarray, squared: bool, stop_above: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Solve for points (3, N) in a cube of side 1, in the order of kd-trees; columns are padded.

    Returns:
        The column of each row, the potentials of rows and columns, and whether it is optimal.
    """
    from pointgen.geometry.assignment_candidates import certify, row_minima
    from pointgen.geometry.assignment_kernels import augment, reduce_rows

    n = rows.shape[1]
    v = _start(rows, columns, squared)
    u, row_of, column_of = np.zeros(n), np.full(n, -1), np.full(n, -1)
    candidates = _auctions(rows, columns, v, squared, stop_above)
    if row_minima(candidates, u, v) <= stop_above:
        reduce_rows(candidates, u, v, row_of, column_of, SWEEPS)
        augment(candidates, u, v, row_of, column_of, stop_above)
    free = np.flatnonzero(column_of < 0)
    column_of[free] = np.setdiff1d(np.arange(n), column_of)
    if len(free) == 0:
        certify(candidates, u, v)
    return column_of, u, v, len(free) == 0


def _auctions(
    rows: np.ndarray, columns: np.ndarray, v: np.ndarray, squared: bool, stop_above: float
) -> Candidates:
    """Improve v, in place, by auctions with falling increments, and return the lists in use."""
    from pointgen.geometry.assignment_candidates import gather
    from pointgen.geometry.assignment_kernels import auction

    n = rows.shape[1]
    candidates = gather(rows, columns, v, squared, min(CANDIDATES, n), SLACK)
    values = candidates.cost - v[candidates.listed]
    spread = np.median(values.max(axis=1) - values.min(axis=1))
    for increment in INCREMENTS:
        auction(candidates, v, max(increment * spread, SLACK), BIDS * n, stop_above)
    return candidates


def _start(rows: np.ndarray, columns: np.ndarray, squared: bool) -> np.ndarray:
    """Return potentials of the columns, from clouds of ever more points."""
    from pointgen.geometry.assignment_candidates import envelope, row_minima

    n = rows.shape[1]
    points, u = np.zeros((3, 0)), np.zeros(0)
    for starts in _levels(n):
        sizes = np.diff(starts, append=n)
        coarse = _padded(np.add.reduceat(columns[:, :n], starts, axis=1) / sizes)
        v = envelope(points, u, coarse, squared)
        points = np.ascontiguousarray(np.add.reduceat(rows, starts, axis=1) / sizes)
        u = np.zeros(len(starts))
        row_minima(_auctions(points, coarse, v, squared, np.inf), u, v)
    return envelope(points, u, columns, squared)


def _levels(count: int) -> list[np.ndarray]:
    """Return where the cells of the kd-tree of so many points start, the fewest cells first."""
    levels = []
    starts = np.zeros(1, dtype=np.int64)
    while 2 * len(starts) * RATIO <= count:
        sizes = np.diff(starts, append=count)
        starts = np.stack([starts, starts + sizes // 2], axis=1).flatten()
        levels.append(starts)
    finest_first = levels[:: -(RATIO.bit_length() - 1)]
    return [level for level in reversed(finest_first) if len(level) >= COARSEST]


def _padded(columns: np.ndarray) -> np.ndarray:
    """Return the columns (3, N) with points at infinity after them, in whole chunks."""
    from pointgen.geometry.assignment_candidates import CHUNK

    missing = -columns.shape[1] % CHUNK
    padded = np.pad(columns, ((0, 0), (0, missing)), constant_values=np.inf)
    return np.ascontiguousarray(padded)


def _costs(a: np.ndarray, b: np.ndarray, squared: bool) -> np.ndarray:
    """Return the cost (N,) of each point of a with the one of b."""
    squares = np.square(a - b).sum(axis=1)
    return squares if squared else np.sqrt(squares)
