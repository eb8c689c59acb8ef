"""A lower bound within some per cent of the earth mover's distance, for a tenth of its price.

Any prices v of the points of b prove a bound: with u(i) = min over j of cost(i, j) - v(j), no
matching costs less than mean u + mean v. Good prices come from coarse to fine: both clouds are
reduced to the centroids of runs of 32, 16, 8 and 4 neighbouring points, an auction on the coarse
clouds moves the prices, and they are handed on to the next finer ones, at last to the points. The
proof is made with all of these.

Source: Bertsekas 1988 (auction). Numba is imported here, so import this module late.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from pointgen.geometry.pairing import kd_order
from pointgen.geometry.points import take

__all__ = ["dual_bound", "pyramids"]

# Points of a centroid, level by level. A level of 2 would bring the bound nearer by a few per cent
# more, for three times the price; the solver does better with that time.
SIZES = (32, 16, 8, 4)
COARSEST = 16  # A level of fewer centroids has nothing to say, and so few points are soon solved.
BIDS = 8  # per centroid and level; most auctions are over by then
# A rise of prices beyond what a bid needs, relative to a first bound of the distance. Smaller ones
# lead to better prices, and to more bids than are allowed.
EXTRA = 0.05
# Errors of single precision in a cost less a price, relative to the largest of them: differences,
# squares, sum, root and price each add at most one unit in the last place, with room to spare.
ROUNDING = 32 * float(np.finfo(np.float32).eps)


@torch.no_grad()
def pyramids(clouds: Tensor) -> np.ndarray:
    """Return all clouds with their coarser versions, as `dual_bound` takes them.

    Args:
        clouds: (S, N, 3), within [-1, 1].

    Returns:
        (S, 3, P) float32: for each level the centroids of its runs of neighbours, coarse to fine.
    """
    points = take(clouds.double(), kd_order(clouds)).mT  # (S, 3, N)
    levels = []
    for size in _sizes(clouds.shape[1]):
        # A remainder is left out: coarse levels only suggest prices, and 1 divides everything.
        whole = points[..., : points.shape[-1] // size * size]
        levels.append(whole.unflatten(-1, (-1, size)).mean(dim=-1))
    return torch.cat(levels, dim=-1).float().cpu().contiguous().numpy()


def dual_bound(a: np.ndarray, b: np.ndarray, count: int, *, squared: bool, guess: float) -> float:
    """Return a lower bound of the mean edge cost of the cheapest matching.

    Args:
        a: (3, P) float32, a row of `pyramids`.
        b: (3, P) float32, another.
        count: How many points the clouds themselves have.
        squared: Whether the cost of an edge is its squared length, not its length.
        guess: About the least cost, or a lower bound of it; only the quality depends on it.

    Returns:
        The bound. The interpreter lock is released, so that pairs can run in threads.
    """
    ends = np.cumsum([0, *(count // size for size in _sizes(count))])
    return _bound(a, b, ends, squared, np.float32(EXTRA * max(guess, 1e-6)))


def _sizes(count: int) -> list[int]:
    return [*(size for size in SIZES if count >= COARSEST * size), 1]


FAST = {"nnan", "nsz", "reassoc", "contract"}  # lets minima be vectorised; roots stay exact
FAR_AWAY = np.float32(3e38)


# One loop for each step: only so are both the costs and the minima vectorised.
@njit(nogil=True, cache=True, fastmath=FAST)
def _fill(x, y, z, points, prices, squared, out):  # type: ignore[no-untyped-def]
    """Fill `out` with cost less price of all columns for the row (x, y, z)."""
    px, py, pz = points[0], points[1], points[2]
    if squared:
        for j in range(len(out)):
            p, q, r = x - px[j], y - py[j], z - pz[j]
            out[j] = p * p + q * q + r * r - prices[j]
    else:
        for j in range(len(out)):
            p, q, r = x - px[j], y - py[j], z - pz[j]
            out[j] = np.sqrt(p * p + q * q + r * r) - prices[j]


@njit(nogil=True, cache=True, fastmath=FAST)
def _smallest(values):  # type: ignore[no-untyped-def]
    least = FAR_AWAY
    for j in range(len(values)):
        least = min(least, values[j])
    return least


@njit(nogil=True, cache=True, fastmath=FAST)
def _place(values, value):  # type: ignore[no-untyped-def]
    count = np.int32(len(values))
    place = count
    for j in range(len(values)):
        place = min(place, np.int32(j) if values[j] == value else count)
    return place


@njit(nogil=True, cache=True)
def _least(rows, columns, prices, squared, out):  # type: ignore[no-untyped-def]
    """Fill `out` with the least cost less price of each row; return the mean in double."""
    values = np.empty(len(prices), np.float32)
    total = 0.0
    for i in range(len(out)):
        _fill(rows[0, i], rows[1, i], rows[2, i], columns, prices, squared, values)
        out[i] = _smallest(values)
        total += out[i]
    return total / len(out)


@njit(nogil=True, cache=True)
def _auction(rows, columns, prices, squared, extra, bids):  # type: ignore[no-untyped-def]
    """Let rows bid for columns in turn until each has one, or the bids are spent."""
    count = len(prices)
    owner = np.full(count, -1)
    queue = np.arange(count)
    head, waiting = 0, count
    values = np.empty(count, np.float32)
    while waiting > 0 and bids > 0:
        i = queue[head]
        head, waiting, bids = (head + 1) % count, waiting - 1, bids - 1
        _fill(rows[0, i], rows[1, i], rows[2, i], columns, prices, squared, values)
        least = _smallest(values)
        j = _place(values, least)
        values[j] = FAR_AWAY
        second = _smallest(values) if count > 1 else least
        prices[j] -= second - least + extra
        if owner[j] >= 0:
            queue[(head + waiting) % count] = owner[j]
            waiting += 1
        owner[j] = i


@njit(nogil=True, cache=True)
def _proof(rows, columns, prices, squared):  # type: ignore[no-untyped-def]
    """Return the bound that prices of all points prove, less what rounding may have added."""
    heights = np.empty(rows.shape[1], np.float32)
    mean = _least(rows, columns, prices, squared, heights)
    largest, total = 0.0, 0.0
    for price in prices:
        total += price
        largest = max(largest, abs(price))
    largest += 12.0 if squared else 3.5  # the diagonal of the cube [-1, 1]
    return mean + total / len(prices) - ROUNDING * largest


@njit(nogil=True, cache=True)
def _handed_on(rows, columns, prices, finer, squared):  # type: ignore[no-untyped-def]
    """Return prices of finer columns: the highest that coarse rows allow them."""
    heights = np.empty(rows.shape[1], np.float32)
    _least(rows, columns, prices, squared, heights)
    out = np.empty(finer.shape[1], np.float32)
    _least(finer, rows, heights, squared, out)
    return out


@njit(nogil=True, cache=True)
def _bound(a, b, ends, squared, extra):  # type: ignore[no-untyped-def]
    rows = np.ascontiguousarray(a[:, : ends[1]])
    columns = np.ascontiguousarray(b[:, : ends[1]])
    prices = np.empty(ends[1], np.float32)
    _least(columns, rows, np.zeros_like(prices), squared, prices)
    for level in range(1, len(ends) - 1):
        _auction(rows, columns, prices, squared, extra, BIDS * len(prices))
        finer = np.ascontiguousarray(b[:, ends[level] : ends[level + 1]])
        prices = _handed_on(rows, columns, prices, finer, squared)
        rows, columns = np.ascontiguousarray(a[:, ends[level] : ends[level + 1]]), finer
    return _proof(rows, columns, prices, squared)
