"""Near-cheapest matchings of clouds by auction, each with a proof of how near.

Points of `a` bid for points of `b` until all have one. At the end no point is more than `step` off
its best offer, so the mean cost is within `step` of the least, and the prices prove it. The
auctions start with a large step and the clouds' coarse likenesses, whose prices are a good start
for the next finer ones.

The proof does not depend on how the prices were found. For any u and v with u[i] + v[j] <= c[i, j]
for all pairs, the mean of u plus the mean of v is a lower bound of the mean cost of every matching.
For given prices, v = -prices, the best u is the least c[i, j] - v[j] over all j; for that u, the
best v is the least c[i, j] - u[i] over all i. Both are taken over all pairs, in float64.

Sources: Bertsekas 1988, "The auction algorithm: a distributed relaxation method for the assignment
problem" (scaling of the step included); the coarse start after Merigot 2011, "A multiscale approach
to optimal transport".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor

from pointgen.geometry.matchings import Matching
from pointgen.geometry.pairing import kd_order
from pointgen.geometry.points import by_coordinates, take

__all__ = ["auction"]

GROUP = 8  # points that are one point in the next coarser clouds
COARSEST = 32  # points, at least, in a coarse cloud
COARSE_ERROR = 0.1  # what the prices of coarse clouds are worth
# A step of three times the wanted error mostly suffices: few points are a full step off.
LAST_STEP = 3.0
# How far a step may go below the largest distance from a best offer: bids grow with the ratio.
JUMP = 64.0
# In units of the clouds' extent, or its square: the smallest step, still well above the rounding of
# prices, and what no proof in float64 can tell from nothing.
FINEST = 2.0**-42
SLACK = 2.0**-40


@torch.no_grad()
def auction(a: Tensor, b: Tensor, *, squared: bool, error: float) -> Matching:
    """Match the points of each pair of clouds one to one, at nearly the least mean cost.

    Proven on return: cost - bound <= error * bound + 2^-40 * s, where s is at most the largest
    difference of two coordinates of the pair, or its square: rounding must not matter where all
    points have a partner almost at their own place. Clouds of the same points, in any order, cost
    exactly zero. The result is deterministic. On a CPU the pairs of a batch do not influence each
    other, and on a card only within what is proven.

    Args:
        a: (B, N, 3), data units, on a CPU, or on an NVIDIA card where Triton is installed.
        b: (B, N, 3), data units, on the same device.
        squared: Take squared distances as costs instead of distances.
        error: Wanted relative error, over 0.

    Returns:
        Matchings, their costs and proven bounds, on the device of the clouds.

    Raises:
        ValueError: A shape, the error or a device is wrong, a coordinate is not finite, or Triton
            is missing where it is needed.
        ArithmeticError: The error could not be proven.
    """
    _check(a, b, error)
    a, b, unit = _scaled(a.double(), b.double())
    assignment = _in_order(a, b)
    cost = _costs(a, b, assignment, squared).mean(dim=1)
    bound = torch.zeros_like(cost)
    differ = cost.nonzero()[:, 0]  # the others are the same points
    if len(differ):
        match = partial(_match, squared=squared, error=error)
        solve = match if a.is_cuda else partial(_in_threads, match)
        assignment[differ], cost[differ], bound[differ] = solve(a[differ], b[differ])
    if squared:
        unit = unit.square()
    return Matching(assignment, cost * unit, bound * unit)


def _in_threads(
    match: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]], a: Tensor, b: Tensor
) -> list[Tensor]:
    """Match pair by pair: what is compiled runs side by side, and no pair waits for another."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        solved = list(pool.map(match, a.split(1), b.split(1)))
    return [torch.cat(parts) for parts in zip(*solved, strict=True)]


def _match(a: Tensor, b: Tensor, *, squared: bool, error: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return assignment, cost and bound of pairs of clouds whose extent is about one."""
    order_a, order_b = kd_order(a), kd_order(b)
    levels = [(take(a, order_a), take(b, order_b))]
    while levels[-1][0].shape[1] >= GROUP * COARSEST:
        levels.append((_coarser(levels[-1][0]), _coarser(levels[-1][1])))
    v = a.new_zeros(levels[-1][0].shape[:2])
    for (x, y), (_, finer) in zip(levels[:0:-1], levels[-2::-1], strict=True):
        _, _, _, u = _auctions(x, y, v, squared, max(error, COARSE_ERROR))
        group = torch.arange(finer.shape[1], device=a.device) // GROUP
        guess = group.clamp(max=x.shape[1] - 1).repeat(len(a), 1)
        v = _lowest(finer, x, -u, guess, squared)
    partner, cost, bound, _ = _auctions(*levels[0], v, squared, error)
    assignment = torch.empty_like(partner).scatter_(1, order_a, order_b.gather(1, partner))
    return assignment, cost, bound


def _auctions(
    a: Tensor, b: Tensor, v: Tensor, squared: bool, error: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hold auctions of smaller and smaller steps until the error is proven for every pair.

    Args:
        a: (B, N, 3) float64.
        b: (B, N, 3) float64, neighbours side by side in both.
        v: (B, N), the negative prices to start with.
        squared: Whether distances are squared.
        error: Wanted relative error.

    Returns:
        (B, N) int64: the partners of the points of `a`.
        (B,): the costs.
        (B,): the bounds.
        (B, N): the potentials of the points of `a`.

    Raises:
        ArithmeticError: The finest step did not suffice.
    """
    mine = torch.arange(a.shape[1], device=a.device).repeat(len(a), 1)
    done = (mine.clone(), a.new_empty(len(a)), a.new_empty(len(a)), torch.empty_like(v))
    live = torch.arange(len(a), device=a.device)
    step = a.new_full((len(a),), math.inf)
    prices = -v
    while True:
        u, v = _potentials(a, b, prices, mine, squared)
        costs = _costs(a, b, mine, squared)
        cost, bound = costs.mean(dim=1), _bound(u, v)
        for whole, part in zip(done, (mine, cost, bound, u), strict=True):
            whole.index_copy_(0, live, part)
        left = cost - bound > error * bound + SLACK
        if not left.any():
            return done
        if (left & (step <= FINEST)).any():
            raise ArithmeticError(f"auction: an error of {error:g} could not be proven")
        a, b, live, mine, costs, bound, u, v, step = (
            t.index_select(0, left.nonzero()[:, 0])
            for t in (a, b, live, mine, costs, bound, u, v, step)
        )
        slack = costs - u - v.gather(1, mine)
        wanted = torch.maximum(LAST_STEP * error * bound, slack.amax(dim=1) / JUMP)
        step = torch.minimum(wanted, step / 2).clamp(min=FINEST)
        # Those that are near enough to their best offers keep their partners.
        mine = mine.masked_fill(slack > step[:, None], -1)
        prices, mine = _bid(a, b, v.mean(dim=1, keepdim=True) - v, mine, step, squared)


def _potentials(
    a: Tensor, b: Tensor, prices: Tensor, partner: Tensor, squared: bool
) -> tuple[Tensor, Tensor]:
    """Return the best u (B, N) for the prices, and the best v (B, N) for that u."""
    u = _lowest(a, b, prices, partner, squared)
    return u, _lowest(b, a, -u, partner.argsort(dim=1), squared)


def _bound(u: Tensor, v: Tensor) -> Tensor:
    """Return the bound (B,) that potentials prove, less all that rounding may have added to it.

    A distance, its sum with a price and a mean of N are each wrong by a few units of 2^-53.
    """
    size = u.abs().amax(dim=1) + v.abs().amax(dim=1)
    return (u.mean(dim=1) + v.mean(dim=1) - 2.0**-47 * size).clamp(min=0)  # no cost is negative


def _bid(
    a: Tensor, b: Tensor, prices: Tensor, partner: Tensor, step: Tensor, squared: bool
) -> tuple[Tensor, Tensor]:
    if a.is_cuda:
        from pointgen.geometry.kernels import bids

        return bids.bid(a, b, prices, partner, step, squared=squared)
    from pointgen.geometry.kernels import bids_cpu

    return bids_cpu.bid(a, b, prices, partner, step, squared=squared)


def _lowest(a: Tensor, b: Tensor, prices: Tensor, guess: Tensor, squared: bool) -> Tensor:
    if a.is_cuda:
        from pointgen.geometry.kernels import bids

        return bids.lowest(a, b, prices, squared=squared)
    from pointgen.geometry.kernels import bids_cpu

    return bids_cpu.lowest(a, b, prices, guess, squared=squared)


def _scaled(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Divide each pair (B, N, 3) by a unit (B,): a power of two, so that nothing is rounded."""
    both = torch.cat([a, b], dim=1)
    half = (both.amax(dim=1) / 2 - both.amin(dim=1) / 2).amax(dim=1)  # a half cannot overflow
    mantissa, _ = torch.frexp(half)  # in [0.5, 1)
    unit = torch.where(half > 0, half / (2 * mantissa), 1.0)
    return a / unit[:, None, None], b / unit[:, None, None], unit


def _in_order(a: Tensor, b: Tensor) -> Tensor:
    """Return the matching (B, N) of points in the order of x, then y, then z."""
    order_a, order_b = by_coordinates(a), by_coordinates(b)
    return torch.empty_like(order_a).scatter_(1, order_a, order_b)


def _costs(a: Tensor, b: Tensor, partner: Tensor, squared: bool) -> Tensor:
    """Return the cost (B, N) of each point's edge."""
    edges = a - take(b, partner)
    return edges.square().sum(dim=2) if squared else torch.linalg.vector_norm(edges, dim=2)


def _coarser(points: Tensor) -> Tensor:
    """Return the centres of groups of neighbours; a last group that is not full is left out."""
    count = points.shape[1] // GROUP
    return points[:, : count * GROUP].unflatten(1, (count, GROUP)).mean(dim=2)


def _check(a: Tensor, b: Tensor, error: float) -> None:
    if a.ndim != 3 or a.shape[2] != 3 or a.shape[1] == 0:
        raise ValueError(f"a: expected (B, N, 3) with N > 0, got {tuple(a.shape)}")
    if b.shape != a.shape:
        raise ValueError(f"b: expected the shape of a {tuple(a.shape)}, got {tuple(b.shape)}")
    if a.device.type not in ("cpu", "cuda"):
        raise ValueError(f"a: expected clouds on a CPU or an NVIDIA card, got {a.device}")
    if a.is_cuda and find_spec("triton") is None:
        raise ValueError("a: auctions on a card need triton, which is not installed; use the CPU")
    if b.device != a.device:
        raise ValueError(f"b: expected the device of a, {a.device}, got {b.device}")
    if not (error > 0 and math.isfinite(error)):
        raise ValueError(f"error: expected a number over 0, got {error}")
    for name, points in (("a", a), ("b", b)):
        if not points.isfinite().all():
            raise ValueError(f"{name}: expected finite coordinates")
