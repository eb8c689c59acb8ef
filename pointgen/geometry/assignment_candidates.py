"""The few best columns of each row under the present potentials, kept up to date lazily.

Row i keeps the K columns j of least c(i, j) - v[j], and a threshold that no other column was below
when the list was made. The solvers only ever lower v, which raises c - v, so a threshold stays true
for ever: a row needs a new list only when what it looks for may lie above its threshold.

To make a list, columns are taken in chunks of neighbours (the points come in the order of a
kd-tree), and a chunk whose box is too far away is passed over.

The columns are padded to whole chunks with points at infinity, which are never chosen; v is as long
as the columns, and zero there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = [
    "CHUNK",
    "Candidates",
    "best_two",
    "certify",
    "chunk_values",
    "envelope",
    "gather",
    "refresh",
    "row_minima",
    "total",
]

CHUNK = 16  # columns; half and twice as many are slower
# The compiler may regroup sums and minima, for vector registers; infinity keeps its meaning.
FAST = {"nnan", "nsz", "contract", "reassoc"}


class Candidates(NamedTuple):
    """The lists of N rows among M columns, and what is needed to make them anew."""

    rows: np.ndarray  # (3, N) coordinates
    columns: np.ndarray  # (3, M) coordinates, infinite in the padding
    squared: bool  # whether a cost is a squared distance
    listed: np.ndarray  # (N, K) the listed columns of each row
    cost: np.ndarray  # (N, K) their costs; infinite where the list is shorter
    threshold: np.ndarray  # (N,) c - v of a column that is not listed is at least this
    boxes: np.ndarray  # (7, C) of each chunk: least and greatest coordinates, v at most
    slack: float  # above the rounding errors of c - v
    numbers: np.ndarray  # (M,) 0..M-1
    # Space for what is known of one row at a time.
    listed_values: np.ndarray  # (K,) c - v of listed columns
    top: np.ndarray  # (K + 1,) the least c - v so far, in order
    values: np.ndarray  # (CHUNK,) c - v in a chunk
    nearest: np.ndarray  # (C,) lower bounds of c - v in each chunk


def gather(
    rows: np.ndarray, columns: np.ndarray, v: np.ndarray, squared: bool, size: int, slack: float
) -> Candidates:
    """Make the lists of all rows.

    Args:
        rows: (3, N) coordinates; neighbours in this order should be neighbours in space.
        columns: (3, M), as rows, padded.
        v: (M,) potentials of the columns.
        squared: Whether a cost is a squared distance.
        size: How many columns a row lists, at most N.
        slack: Above the rounding errors of c - v.

    Returns:
        The lists.
    """
    n, chunks = rows.shape[1], columns.shape[1] // CHUNK
    of_chunks = columns.reshape(3, chunks, CHUNK)
    candidates = Candidates(
        rows=rows,
        columns=columns,
        squared=squared,
        listed=np.zeros((n, size), dtype=np.int32),
        cost=np.full((n, size), np.inf),
        threshold=np.zeros(n),
        boxes=np.concatenate(
            [of_chunks.min(axis=2), of_chunks.max(axis=2), v.reshape(1, chunks, CHUNK).max(axis=2)]
        ),
        slack=slack,
        numbers=np.arange(columns.shape[1], dtype=np.int32),
        listed_values=np.zeros(size),
        top=np.zeros(size + 1),
        values=np.zeros(CHUNK),
        nearest=np.zeros(chunks),
    )
    _refresh_all(candidates, v)
    return candidates


@njit(nogil=True, cache=True)
def _refresh_all(candidates: Candidates, v: np.ndarray) -> None:
    """Make all lists, each with its neighbour's as a first guess."""
    for i in range(len(candidates.listed)):
        refresh(candidates, i, max(0, i - 1), v)


@njit(nogil=True, cache=True)
def refresh(candidates: Candidates, i: int, like: int, v: np.ndarray) -> None:
    """Make the list of row i anew, with the columns that row `like` lists as a first guess."""
    listed, cost, top = candidates.listed, candidates.cost, candidates.top
    columns, values, squared = candidates.columns, candidates.values, candidates.squared
    x, y, z = candidates.rows[0, i], candidates.rows[1, i], candidates.rows[2, i]
    nearest, boxes, size = candidates.nearest, candidates.boxes, listed.shape[1]
    _bound_chunks(x, y, z, boxes, squared, nearest)
    limit = _worst_listed(candidates, i, like, v) + candidates.slack
    count = 0
    for chunk in range(len(nearest)):
        if nearest[chunk] >= limit:
            continue
        start = chunk * CHUNK
        least, boxes[6, chunk] = chunk_values(x, y, z, columns, v, start, squared, values)
        if least >= limit:
            continue
        for k in range(CHUNK):
            if values[k] >= limit:
                continue
            place = count
            while place > 0 and top[place - 1] > values[k]:
                top[place] = top[place - 1]
                if place < size:
                    listed[i, place] = listed[i, place - 1]
                place -= 1
            top[place] = values[k]
            if place < size:
                listed[i, place] = start + k
            if count < size:
                count += 1
            else:
                limit = float(top[size])
    candidates.threshold[i] = limit
    for k in range(count):
        cost[i, k] = top[k] + v[listed[i, k]]
    for k in range(count, size):
        cost[i, k] = np.inf


@njit(nogil=True, inline="always")
def best_two(candidates: Candidates, i: int, v: np.ndarray) -> tuple[float, float, int]:
    """Find the best column of row i.

    Returns:
        The least c - v, a lower bound of the second least, and the column of the least.
    """
    first, second, column = _best_two_listed(candidates, i, v)
    if first > candidates.threshold[i]:
        refresh(candidates, i, i, v)
        first, second, column = _best_two_listed(candidates, i, v)
    return first, min(second, candidates.threshold[i]), column


@njit(nogil=True, cache=True)
def row_minima(candidates: Candidates, u: np.ndarray, v: np.ndarray) -> float:
    """Set u (N,) to lower bounds of the least c - v of each row and return the sum of u and v."""
    for i in range(len(u)):
        u[i] = min(_best_two_listed(candidates, i, v)[0], candidates.threshold[i])
    return total(u, v)


@njit(nogil=True, cache=True)
def total(u: np.ndarray, v: np.ndarray) -> float:
    """Return the sum of all potentials."""
    result = 0.0
    for i in range(len(u)):
        result += u[i]
    for j in range(len(v)):
        result += v[j]
    return result


@njit(nogil=True, cache=True)
def certify(candidates: Candidates, u: np.ndarray, v: np.ndarray) -> None:
    """Lower u (N,) where u[i] + v[j] > c(i, j) for any pair at all, by looking, without lists."""
    columns, values, squared = candidates.columns, candidates.values, candidates.squared
    nearest = candidates.nearest
    for i in range(len(u)):
        x, y, z = candidates.rows[0, i], candidates.rows[1, i], candidates.rows[2, i]
        _bound_chunks(x, y, z, candidates.boxes, squared, nearest)
        for chunk in range(len(nearest)):
            if nearest[chunk] < u[i]:
                least, _ = chunk_values(x, y, z, columns, v, chunk * CHUNK, squared, values)
                u[i] = min(u[i], least)


def envelope(
    points: np.ndarray, potentials: np.ndarray, columns: np.ndarray, squared: bool
) -> np.ndarray:
    """Return potentials (M,) of the columns from those of some points near the rows.

    Args:
        points: (3, P), P may be 0: then all potentials are zero.
        potentials: (P,) of the points.
        columns: (3, M), padded.
        squared: Whether a cost is a squared distance.

    Returns:
        The least cost less potential over the points, 0 in the padding.
    """
    v = np.zeros(columns.shape[1])
    if len(potentials) > 0:
        _envelope(points, potentials, columns, squared, np.zeros(len(potentials)), v)
    return v


@njit(nogil=True, cache=True, fastmath=FAST)
def _envelope(
    points: np.ndarray,
    potentials: np.ndarray,
    columns: np.ndarray,
    squared: bool,
    costs: np.ndarray,
    v: np.ndarray,
) -> None:
    """Fill v (M,); costs (P,) is overwritten."""
    for j in range(len(v)):
        x, y, z = columns[0, j], columns[1, j], columns[2, j]
        if x == np.inf:
            break
        for i in range(len(costs)):
            dx, dy, dz = x - points[0, i], y - points[1, i], z - points[2, i]
            costs[i] = dx * dx + dy * dy + dz * dz
        if not squared:
            for i in range(len(costs)):
                costs[i] = np.sqrt(costs[i])
        least = np.inf
        for i in range(len(costs)):
            least = min(least, costs[i] - potentials[i])
        v[j] = least


@njit(nogil=True, cache=True, fastmath=FAST)
def chunk_values(
    x: float,
    y: float,
    z: float,
    columns: np.ndarray,
    v: np.ndarray,
    start: int,
    squared: bool,
    values: np.ndarray,
) -> tuple[float, float]:
    """Fill `values`, (CHUNK,), with c - v of the columns from `start` on.

    Returns:
        The least of the values, and the greatest v.
    """
    # Plain loops of constant length with one purpose each: those get vector instructions.
    if squared:
        for k in range(CHUNK):
            dx, dy = x - columns[0, start + k], y - columns[1, start + k]
            dz = z - columns[2, start + k]
            values[k] = dx * dx + dy * dy + dz * dz - v[start + k]
    else:
        for k in range(CHUNK):
            dx, dy = x - columns[0, start + k], y - columns[1, start + k]
            dz = z - columns[2, start + k]
            values[k] = np.sqrt(dx * dx + dy * dy + dz * dz) - v[start + k]
    least, greatest = values[0], v[start]
    for k in range(CHUNK):
        least = min(least, values[k])
    for k in range(CHUNK):
        greatest = max(greatest, v[start + k])
    return least, greatest


@njit(nogil=True, inline="always")
def _best_two_listed(candidates: Candidates, i: int, v: np.ndarray) -> tuple[float, float, int]:
    """Return the least and the second least c - v in the list of row i, and the first's column."""
    first, second, column = np.inf, np.inf, -1
    for k in range(candidates.listed.shape[1]):
        j = candidates.listed[i, k]
        value = candidates.cost[i, k] - v[j]
        if value < first:
            first, second, column = value, first, j
        elif value < second:
            second = value
    return first, second, column


@njit(nogil=True, inline="always")
def _worst_listed(candidates: Candidates, i: int, like: int, v: np.ndarray) -> float:
    """Return the greatest c - v that row i has with the columns that row `like` lists."""
    worst = -np.inf
    for k in range(candidates.listed.shape[1]):
        j = candidates.listed[like, k]
        cost = candidates.cost[like, k]
        if i != like:
            dx = candidates.rows[0, i] - candidates.columns[0, j]
            dy = candidates.rows[1, i] - candidates.columns[1, j]
            dz = candidates.rows[2, i] - candidates.columns[2, j]
            cost = dx * dx + dy * dy + dz * dz
            if not candidates.squared:
                cost = np.sqrt(cost)
        worst = max(worst, cost - v[j])
    return worst


@njit(nogil=True, cache=True, fastmath=FAST)
def _bound_chunks(
    x: float, y: float, z: float, boxes: np.ndarray, squared: bool, nearest: np.ndarray
) -> None:
    """Fill `nearest`, (C,), with lower bounds of c - v in each chunk, by distances to boxes."""
    for k in range(len(nearest)):
        dx = max(0.0, max(boxes[0, k] - x, x - boxes[3, k]))
        dy = max(0.0, max(boxes[1, k] - y, y - boxes[4, k]))
        dz = max(0.0, max(boxes[2, k] - z, z - boxes[5, k]))
        nearest[k] = dx * dx + dy * dy + dz * dz
    if not squared:
        for k in range(len(nearest)):
            nearest[k] = np.sqrt(nearest[k])
    for k in range(len(nearest)):
        nearest[k] -= boxes[6, k]
