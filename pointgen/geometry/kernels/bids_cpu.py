"""Auctions between two clouds on a CPU, compiled by numba: the bids, and the proof of a bound.

`emd.match` has something faster where matchings are to be exact; this is what the kernels for cards
are held against.

Two things spare most distances. The points of `b` lie in cells of 16, each in its box; a cell whose
box is too far off, even at the lowest price in it, is not looked into. And prices only rise in an
auction: when a point of `a` has once found its 32 best offers, all others stay above the worst of
these, so the best two are among the 32 until these have become as dear.

The order of the points is free, but cells are only small if neighbours in `b` lie side by side,
as in the order of a kd-tree.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

__all__ = ["bid", "lowest"]

CELL = 16  # points: a few vector registers of double precision
OFFERS = 32  # with 16 there are more searches, with 48 longer lists to look through at each bid
FAR = 1e300  # the price of what is not there

# All that a minimum needs in order to use vector instructions. Products are not fused with sums, so
# every function rounds an offer alike; and rounding is monotone, so the bound of a cell computed
# like an offer is, in the computer's arithmetic too, not above any offer of the cell.
_FAST = {"nnan", "nsz"}


def bid(
    a: Tensor, b: Tensor, prices: Tensor, partner: Tensor, step: Tensor, *, squared: bool
) -> tuple[Tensor, Tensor]:
    """Hold auctions until every point of `a` has a partner.

    A point without one takes, of all points of `b`, the one that costs it least, the distance and
    the price together, and raises that price by its lead over the second best and by `step`; who
    had it before loses it and is next to bid. So a partner is never more than `step` dearer than
    the best offer.

    Args:
        a: (B, N, 3) float64, finite.
        b: (B, N, 3) float64, finite.
        prices: (B, N) float64, one for each point of `b`.
        partner: (B, N) int64: for each point of `a` a point of `b` of its own, or -1.
        step: (B,) float64, positive; large enough for the prices to rise in rounded sums.
        squared: Whether distances are squared.

    Returns:
        (B, N): the prices after the auctions.
        (B, N) int64: the partners, a permutation.
    """
    count = a.shape[1]
    x, (y, boxes) = a.contiguous().numpy(), _cells(b)
    raised, mine, steps = _padded(prices), partner.numpy().copy(), step.numpy()
    offers = min(OFFERS, count)
    for i in range(len(a)):
        _auction(x[i], y[i], boxes[i], raised[i], mine[i], steps[i], offers, squared)
    return torch.from_numpy(raised)[:, :count], torch.from_numpy(mine)


def lowest(a: Tensor, b: Tensor, prices: Tensor, guess: Tensor, *, squared: bool) -> Tensor:
    """Return for each point of `a` the least sum of distance and price over all points of `b`.

    Args:
        a: (B, N, 3) float64, finite.
        b: (B, M, 3) float64, finite.
        prices: (B, M) float64.
        guess: (B, N) int64, any point of `b` for each of `a`; a good one saves time.
        squared: Whether distances are squared.

    Returns:
        (B, N) float64.
    """
    x, (y, boxes), known = a.contiguous().numpy(), _cells(b), _padded(prices)
    guesses, least = guess.numpy(), np.zeros(a.shape[:2])
    for i in range(len(a)):
        _lowest(x[i], y[i], boxes[i], known[i], guesses[i], least[i], squared)
    return torch.from_numpy(least)


def _cells(b: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates (B, 3, P) of clouds (B, M, 3) and the boxes (B, 2, 3, G) of cells.

    The last point is repeated until the last cell is full.
    """
    count = b.shape[1]
    index = torch.arange(count + -count % CELL).clamp(max=count - 1)
    planes = b.index_select(1, index).mT.contiguous()
    cells = planes.unflatten(2, (-1, CELL))  # (B, 3, G, CELL)
    return planes.numpy(), torch.stack([cells.amin(dim=3), cells.amax(dim=3)], dim=1).numpy()


def _padded(prices: Tensor) -> np.ndarray:
    """Return the prices (B, P) for `_cells`, in memory of their own."""
    count = prices.shape[1]
    padded = np.full((len(prices), count + -count % CELL), FAR)
    padded[:, :count] = prices.numpy()
    return padded


@njit(nogil=True, cache=True)
def _auction(
    a: np.ndarray,
    planes: np.ndarray,
    boxes: np.ndarray,
    prices: np.ndarray,
    partner: np.ndarray,
    step: float,
    offers: int,
    squared: bool,
) -> None:
    owner = np.full(len(prices), -1)
    for i in range(len(a)):
        if partner[i] >= 0:
            owner[partner[i]] = i
    bases = _bases(prices)
    bounds = np.empty(len(bases))
    values = np.empty(CELL)
    found = np.arange(offers)  # by the last search, whose point was a neighbour: a fair guess
    worths = np.empty(offers)
    known = np.zeros((len(a), offers), np.int64)
    ceiling = np.full(len(a), -np.inf)  # no point but the known ones is below; -inf: none known
    for first in range(len(a)):
        i = first if partner[first] < 0 else -1
        while i >= 0:
            low, second, j = np.inf, np.inf, -1
            if ceiling[i] > -np.inf:
                for q in known[i]:
                    value = _offer(a, i, planes, prices, q, squared)
                    if value < low:
                        low, second, j = value, low, q
                    elif value < second:
                        second = value
            if j < 0 or low > ceiling[i]:
                if j >= 0:
                    found[:] = known[i]
                _search(a, i, planes, boxes, prices, bases, bounds, values, found, worths, squared)
                known[i] = found
                ceiling[i] = worths[-1] if offers < len(a) else np.inf
                low, j = worths[0], found[0]
                second = worths[min(1, offers - 1)]
            # Another point may be as good as the ceiling: then this bid is lower than it could be.
            prices[j] += min(second, ceiling[i]) - low + step
            g = j // CELL
            bases[g] = prices[g * CELL : g * CELL + CELL].min()
            owner[j], partner[i], i = i, j, owner[j]  # who loses j bids next


@njit(nogil=True, cache=True)
def _search(
    a: np.ndarray,
    i: int,
    planes: np.ndarray,
    boxes: np.ndarray,
    prices: np.ndarray,
    bases: np.ndarray,
    bounds: np.ndarray,
    values: np.ndarray,
    found: np.ndarray,
    worths: np.ndarray,
    squared: bool,
) -> None:
    """Find the len(found) best offers for point i, best first, the first of equal ones first.

    `found` holds different points on entry, whose offers bound the search.
    """
    ceiling = -np.inf
    for j in found:
        ceiling = max(ceiling, _offer(a, i, planes, prices, j, squared))
    _bounds(a, i, boxes, bases, squared, bounds)
    count = 0
    for g in range(len(bounds)):
        if bounds[g] > ceiling or _values(a, i, planes, prices, g, squared, values) > ceiling:
            continue
        for q in range(CELL):
            value = values[q]
            if value < ceiling or (value == ceiling and count < len(found)):
                count = min(count + 1, len(found))
                k = count - 1
                while k > 0 and worths[k - 1] > value:
                    worths[k], found[k] = worths[k - 1], found[k - 1]
                    k -= 1
                worths[k], found[k] = value, g * CELL + q
                if count == len(found):
                    ceiling = worths[-1]


@njit(nogil=True, cache=True)
def _lowest(
    a: np.ndarray,
    planes: np.ndarray,
    boxes: np.ndarray,
    prices: np.ndarray,
    guess: np.ndarray,
    least: np.ndarray,
    squared: bool,
) -> None:
    bases = _bases(prices)
    bounds = np.empty(len(bases))
    values = np.empty(CELL)
    for i in range(len(a)):
        low = _offer(a, i, planes, prices, guess[i], squared)
        _bounds(a, i, boxes, bases, squared, bounds)
        for g in range(len(bounds)):
            if bounds[g] < low:
                low = min(low, _values(a, i, planes, prices, g, squared, values))
        least[i] = low


@njit(nogil=True, cache=True)
def _bases(prices: np.ndarray) -> np.ndarray:
    """Return the lowest price of each cell."""
    bases = np.empty(len(prices) // CELL)
    for g in range(len(bases)):
        bases[g] = prices[g * CELL : g * CELL + CELL].min()
    return bases


@njit(nogil=True, cache=True)
def _offer(
    a: np.ndarray, i: int, planes: np.ndarray, prices: np.ndarray, j: int, squared: bool
) -> float:
    x, y, z = planes[0, j] - a[i, 0], planes[1, j] - a[i, 1], planes[2, j] - a[i, 2]
    distance = x * x + y * y + z * z
    return (distance if squared else np.sqrt(distance)) + prices[j]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _bounds(
    a: np.ndarray, i: int, boxes: np.ndarray, bases: np.ndarray, squared: bool, out: np.ndarray
) -> None:
    """Fill `out` with what no offer of a cell can be below."""
    for g in range(len(out)):
        x = max(boxes[0, 0, g] - a[i, 0], a[i, 0] - boxes[1, 0, g], 0.0)
        y = max(boxes[0, 1, g] - a[i, 1], a[i, 1] - boxes[1, 1, g], 0.0)
        z = max(boxes[0, 2, g] - a[i, 2], a[i, 2] - boxes[1, 2, g], 0.0)
        distance = x * x + y * y + z * z
        out[g] = (distance if squared else np.sqrt(distance)) + bases[g]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _values(
    a: np.ndarray,
    i: int,
    planes: np.ndarray,
    prices: np.ndarray,
    g: int,
    squared: bool,
    out: np.ndarray,
) -> float:
    """Fill `out` with the offers of cell g and return the lowest."""
    u, v, w = a[i, 0], a[i, 1], a[i, 2]
    low = FAR
    for q in range(CELL):
        j = g * CELL + q
        x, y, z = planes[0, j] - u, planes[1, j] - v, planes[2, j] - w
        distance = x * x + y * y + z * z
        out[q] = (distance if squared else np.sqrt(distance)) + prices[j]
        low = min(low, out[q])
    return low
