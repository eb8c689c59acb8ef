"""Clouds cut into cells of 32 points that lie together, and threads to share the work on them.

The cells are the leaves of a balanced kd-tree; nothing else of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

__all__ = ["CELL", "Cells", "jit", "make_cells", "share"]

CELL = 32  # 16 to 64 take about the same time
SHARES = 8  # for each thread, as some shares of the work take longer than others
# "contract" allows to fuse a multiplication and an addition; no other liberty is taken.
jit = njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")


class Cells(NamedTuple):
    """C clouds of N points in K cells of 32 each; the last cell repeats its last point.

    Attributes:
        points: (C, K, 3, 32), data units.
        order: (C, K, 32) int64, indices into N, rising within each cell.
        low: (C, 3, K), the least coordinates in each cell.
        high: (C, 3, K), the largest coordinates in each cell.
        size: N.
    """

    points: np.ndarray
    order: np.ndarray
    low: np.ndarray
    high: np.ndarray
    size: int


def make_cells(clouds: Tensor) -> Cells:
    """Cut clouds (C, N, 3) into cells."""
    size, count, _ = clouds.shape
    cells, dtype = -(-count // CELL), clouds.numpy().dtype
    result = Cells(
        points=np.zeros((size, cells, 3, CELL), dtype),
        order=np.zeros((size, cells, CELL), np.int64),
        low=np.zeros((size, 3, cells), dtype),
        high=np.zeros((size, 3, cells), dtype),
        size=count,
    )
    order = np.tile(np.arange(count), (size, 1))
    share(partial(_fill, clouds.numpy(), order, result), size)
    return result


def share(work: Callable[[int, int], Any], count: int) -> None:
    """Call work(start, stop) for shares of `count` items, in as many threads as torch uses."""
    threads = torch.get_num_threads()
    shares = min(count, SHARES * threads)
    if threads == 1 or shares < 2:
        work(0, count)
        return
    cuts = [i * count // shares for i in range(shares + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda cut: work(*cut), pairwise(cuts)))  # a list, so that errors come out


@jit
def _fill(clouds: np.ndarray, order: np.ndarray, cells: Cells, start: int, stop: int) -> None:
    """Fill in the cells of clouds (C, N, 3), from cloud start to cloud stop.

    Args:
        clouds: (C, N, 3), data units.
        order: (C, N) int64, the indices of the points in any order; changed.
        cells: Filled in.
        start: The first cloud.
        stop: The cloud after the last one.
    """
    cell_of = np.empty(cells.size, np.int64)
    filled = np.empty(cells.order.shape[1], np.int64)
    for c in range(start, stop):
        _cut(clouds[c], order[c])
        for i in range(cells.size):
            cell_of[order[c, i]] = i // CELL
        # Rising within each cell: go through the points, and give each the next place in its cell.
        filled[:] = 0
        for i in range(cells.size):
            k = cell_of[i]
            cells.order[c, k, filled[k]] = i
            filled[k] += 1
        for k in range(len(filled)):
            cells.order[c, k, filled[k] :] = cells.order[c, k, filled[k] - 1]
            for axis in range(3):
                low = high = clouds[c, cells.order[c, k, 0], axis]
                for i in range(CELL):
                    value = clouds[c, cells.order[c, k, i], axis]
                    cells.points[c, k, axis, i] = value
                    low, high = min(low, value), max(high, value)
                cells.low[c, axis, k], cells.high[c, axis, k] = low, high


@jit
def _cut(points: np.ndarray, order: np.ndarray) -> None:
    """Change the order (N,) of points (N, 3) so that every 32, from the first on, lie together.

    Cuts along the longest side of the points at hand, at the multiple of 32 next to the median.
    """
    ends = np.empty(64, np.int64)  # of the parts that are open, each inside the one before
    start, last, ends[0] = 0, 0, len(points)
    while last >= 0:
        part = order[start : ends[last]]
        if len(part) > CELL:
            middle = (len(part) + CELL) // (2 * CELL) * CELL
            _select(points[:, _longest(points, part)], part, middle)
            last += 1
            ends[last] = start + middle
        else:
            start += len(part)
            last -= 1


@jit
def _longest(points: np.ndarray, part: np.ndarray) -> int:
    """Return the axis along which the points (N, 3) with these indices reach farthest."""
    longest, axis = -1.0, 0
    for k in range(3):
        low = high = points[part[0], k]
        for i in part:
            low, high = min(low, points[i, k]), max(high, points[i, k])
        if high - low > longest:
            longest, axis = high - low, k
    return axis


@jit
def _select(values: np.ndarray, part: np.ndarray, middle: int) -> None:
    """Reorder indices so that values[part] is nowhere larger before `middle` than after it.

    Source: Hoare 1961, "Find" (algorithm 65).
    """
    low, high = 0, len(part) - 1
    state = 1
    while low < high:
        # A pivot at random: any fixed choice takes quadratic time on some order of the points.
        state = (1103515245 * state + 12345) % 2**31
        pivot = values[part[low + state % (high - low + 1)]]
        i, j = low, high
        while i <= j:
            while values[part[i]] < pivot:
                i += 1
            while values[part[j]] > pivot:
                j -= 1
            if i <= j:
                part[i], part[j] = part[j], part[i]
                i, j = i + 1, j - 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return
