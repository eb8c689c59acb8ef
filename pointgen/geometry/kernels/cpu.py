"""Nearest points on the CPU: clouds in cells of 32 points, compared cell by cell.

For a cell of `a`, the cells of `b` whose boxes are farther off than the neighbours already found
are left out; the others are compared point by point, 32 points of `a` side by side in vector
registers. A tree that is searched for one point at a time looks at fewer points, but each of them
costs far more than the few operations of arithmetic that are left here.

Squared distances are compared as integers, for numbers from zero up are ordered as their bits are,
and the least of many integers is found in vector registers without the licence to mistreat NaN.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from pointgen.geometry.kernels.cells import CELL, Cells, jit, make_cells, share

__all__ = ["mutual", "nearest", "pair_means"]

# Two sums of the same squares may round apart by some units in the last place, at most 1.2e-7 each
# in float32; no box may be left out for that.
SLACK = 1 - 1e-6
SUMS = 2**20  # sums over cells to hold at a time: 8 MiB


def nearest(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Find for each point of `a` the nearest point of `b`.

    Args:
        a: (B, N, 3), data units.
        b: (B, M, 3), data units, dtype of `a`.

    Returns:
        (B, N), squared data units: the distance.
        (B, N) int64: indices into M, the first of equally near ones.
    """
    return _found(make_cells(a), make_cells(b))


def mutual(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what `nearest` returns for `a` and `b`, and then for `b` and `a`."""
    first, second = make_cells(a), make_cells(b)
    return *_found(first, second), *_found(second, first)


def pair_means(a: Tensor, b: Tensor, pairs: Tensor) -> Tensor:
    """Return the mean squared distances to the nearest points, both ways, of pairs of clouds.

    Takes 8 MiB for sums, besides the clouds and the answer.

    Args:
        a: (S, N, 3), data units.
        b: (R, M, 3), data units, dtype of `a`.
        pairs: (P, 2) int64: a row of `a` and a row of `b`.

    Returns:
        (P, 2), squared data units: from `a` to `b`, and from `b` to `a`.
    """
    first = make_cells(a)
    second = first if b is a else make_cells(b)
    there = _means(first, second, pairs.numpy())
    back = _means(second, first, pairs.flip(1).numpy())
    return torch.from_numpy(np.stack([there, back], axis=1)).to(a.dtype)


def _found(a: Cells, b: Cells) -> tuple[Tensor, Tensor]:
    """Return what `nearest` does."""
    squared = np.empty((len(a.points), a.size), a.points.dtype)
    index = np.empty(squared.shape, np.int64)
    share(partial(_nearest, a, b, squared, index), len(a.points) * a.points.shape[1])
    return torch.from_numpy(squared), torch.from_numpy(index)


def _means(a: Cells, b: Cells, pairs: np.ndarray) -> np.ndarray:
    """Return the means (P,) over the points of `a`, in float64."""
    cells = a.points.shape[1]
    means = np.zeros(len(pairs))
    step = max(1, SUMS // cells)
    for start in range(0, len(pairs), step):
        part = pairs[start : start + step]
        sums = np.zeros((len(part), cells))
        share(partial(_sums, a, b, part, sums), sums.size)
        means[start : start + step] = sums.sum(axis=1) / a.size
    return means


@intrinsic
def _bits(_context: Any, number: Any) -> Any:
    """Return the bits of a floating-point number as an integer."""
    return {types.float32: types.int32, types.float64: types.int64}[number](number), _cast


@intrinsic
def _number(_context: Any, bits: Any) -> Any:
    """Return the floating-point number of these bits."""
    return {types.int32: types.float32, types.int64: types.float64}[bits](bits), _cast


def _cast(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))


@jit
def _nearest(
    a: Cells, b: Cells, squared: np.ndarray, index: np.ndarray, start: int, stop: int
) -> None:
    """Fill in `squared` and `index`, (C, N), for some of all the cells of `a`."""
    bound = np.empty_like(b.low[0, 0])
    near = np.empty_like(a.points[0, 0, 0])
    place = np.empty(CELL, np.int64)
    for item in range(start, stop):
        c, cell = divmod(item, a.points.shape[1])
        _search(a, c, cell, b, c, bound, near, place)
        for i in range(min(CELL, a.size - cell * CELL)):
            squared[c, a.order[c, cell, i]] = near[i]
            index[c, a.order[c, cell, i]] = place[i]


@jit
def _sums(a: Cells, b: Cells, pairs: np.ndarray, sums: np.ndarray, start: int, stop: int) -> None:
    """Fill in `sums` (P, K), over the points of a cell of `a`, for some of all the cells."""
    bound = np.empty_like(b.low[0, 0])
    near = np.empty_like(a.points[0, 0, 0])
    for item in range(start, stop):
        p, cell = divmod(item, sums.shape[1])
        _search(a, pairs[p, 0], cell, b, pairs[p, 1], bound, near, None)
        for i in range(min(CELL, a.size - cell * CELL)):
            sums[p, cell] += np.float64(near[i])


@jit
def _search(
    a: Cells,
    c: int,
    cell: int,
    b: Cells,
    d: int,
    bound: np.ndarray,
    near: np.ndarray,
    place: np.ndarray | None,
) -> None:
    """Find the nearest points in cloud d of `b` for a cell of cloud c of `a`.

    Args:
        a: The clouds of the points.
        c: Which of them.
        cell: Which of its cells.
        b: The clouds to search.
        d: Which of them.
        bound: (K,), overwritten: least squared distance that each cell of `b` can have.
        near: (32,), filled in: squared distances, squared data units.
        place: (32,) int64, filled in: indices into M. None: not wanted.
    """
    _bounds(a.low[c, :, cell], a.high[c, :, cell], b.low[d], b.high[d], bound)
    near[:] = worst = np.inf
    if place is not None:
        place[:] = 0
        closest, column = np.empty_like(near), np.empty(CELL, np.int32)
    # The cell with the nearest box first, so that many of the others can be left out.
    first = 0
    for k in range(len(bound)):
        first = k if bound[k] < bound[first] else first
    for step in range(-1, len(bound)):
        k = first if step < 0 else step
        # Not only below the worst: there may be an equally near point of a smaller index.
        if bound[k] <= worst:
            bound[k] = np.inf
            if place is None:
                _compare(a.points[c, cell], b.points[d, k], near)
            else:
                _find(a.points[c, cell], b.points[d, k], closest, column)
                _merge(near, place, closest, column, b.order[d, k])
            worst = _largest(near)


@jit
def _bounds(
    low: np.ndarray, high: np.ndarray, lows: np.ndarray, highs: np.ndarray, bound: np.ndarray
) -> None:
    """Set `bound` (K,) to the squared distances of a box (3,) to boxes (3, K), or a bit less."""
    zero = _bits(low.dtype.type(0))
    slack = low.dtype.type(SLACK)
    for k in range(len(bound)):
        # As integers too, negative numbers are below zero.
        x = _number(max(_bits(lows[0, k] - high[0]), _bits(low[0] - highs[0, k]), zero))
        y = _number(max(_bits(lows[1, k] - high[1]), _bits(low[1] - highs[1, k]), zero))
        z = _number(max(_bits(lows[2, k] - high[2]), _bits(low[2] - highs[2, k]), zero))
        bound[k] = slack * (x * x + y * y + z * z)


@jit
def _largest(near: np.ndarray) -> float:
    largest = _bits(near[0])
    for i in range(CELL):
        largest = max(largest, _bits(near[i]))
    return _number(largest)


@jit
def _compare(a: np.ndarray, b: np.ndarray, near: np.ndarray) -> None:
    """Lower `near` (32,) to the squared distances of points a (3, 32) from points b (3, 32)."""
    # Four points of `b` at a time, so that those of `a` are loaded once for four distances.
    for j in range(0, CELL, 4):
        for i in range(CELL):
            one = min(_squared(a, i, b, j), _squared(a, i, b, j + 1))
            other = min(_squared(a, i, b, j + 2), _squared(a, i, b, j + 3))
            near[i] = _number(min(_bits(near[i]), one, other))


@jit
def _find(a: np.ndarray, b: np.ndarray, closest: np.ndarray, column: np.ndarray) -> None:
    """Set `closest` (32,) as `_compare` would from infinity, and `column` to the points of b."""
    closest[:] = np.inf
    column[:] = 0
    for j in range(0, CELL, 4):
        for i in range(CELL):
            best = _bits(closest[i]), column[i]
            best = _closer(best, _squared(a, i, b, j), j)
            best = _closer(best, _squared(a, i, b, j + 1), j + 1)
            best = _closer(best, _squared(a, i, b, j + 2), j + 2)
            best = _closer(best, _squared(a, i, b, j + 3), j + 3)
            closest[i], column[i] = _number(best[0]), best[1]


@jit
def _closer(best: tuple[int, int], squared: int, j: int) -> Any:
    return min(best[0], squared), np.int32(j) if squared < best[0] else best[1]


@jit
def _merge(
    near: np.ndarray, place: np.ndarray, closest: np.ndarray, column: np.ndarray, order: np.ndarray
) -> None:
    """Take over what was found in a cell, where it is nearer, or as near and of smaller index."""
    for i in range(CELL):
        point = order[column[i]]
        if closest[i] < near[i] or (closest[i] == near[i] and point < place[i]):
            near[i], place[i] = closest[i], point


@jit
def _squared(a: np.ndarray, i: int, b: np.ndarray, j: int) -> int:
    """Return the bits of the squared distance of two points."""
    x, y, z = a[0, i] - b[0, j], a[1, i] - b[1, j], a[2, i] - b[2, j]
    return _bits(x * x + y * y + z * z)
