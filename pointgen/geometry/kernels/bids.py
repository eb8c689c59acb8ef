# mypy: allow-untyped-defs
"""Auctions between two clouds on an NVIDIA card, in Triton: the bids, and the proof of a bound.

One program holds all auctions of one pair of clouds, one bid after the other, so that every bid
knows the prices of the last; a card works on hundreds of pairs at a time. For a bid the threads of
the program look at all points of `b` together. Prices and partners live in the card's memory, and
a barrier stands between what one thread writes there and what others read.

With TRITON_INTERPRET=1 set before Triton is imported, the same code runs on CPU tensors, slowly.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pointgen.geometry.kernels.launch import on, planes

__all__ = ["bid", "lowest"]

# A bid looks at so many points at a time, eight a thread.
LANES, WARPS = 1024, 4
# After so many bids, a fraction of a second, the programs return: cards that also draw a screen
# stop longer ones, and pairs that are done need not be started again.
BIDS = 2**17
# The smallest step, for clouds of an extent about one, that surely raises a price in single
# precision: so much is a unit in the last place of 512, and no price is near that.
SINGLE_STEP = 2.0**-14
ROWS, COLUMNS = 32, 64


def bid(
    a: Tensor,
    b: Tensor,
    prices: Tensor,
    partner: Tensor,
    step: Tensor,
    *,
    squared: bool,
    lanes: int = LANES,
    bids: int = BIDS,
) -> tuple[Tensor, Tensor]:
    """Hold auctions until every point of `a` has a partner, as `bids_cpu.bid` does.

    The bids are computed in single precision where the steps are large enough, so a partner may be
    dearer than the best offer by `step` and the rounding.

    Args:
        a: (B, N, 3) float64, finite, of extent about one.
        b: (B, N, 3) float64, likewise.
        prices: (B, N) float64, one for each point of `b`.
        partner: (B, N) int64: for each point of `a` a point of `b` of its own, or -1.
        step: (B,) float64, positive; large enough for the prices to rise in rounded sums.
        squared: Whether distances are squared.
        lanes: Points of `b` that a bid looks at a time, a power of two.
        bids: How many of a pair's bids are made in one launch.

    Returns:
        (B, N): the prices after the auctions.
        (B, N) int64: the partners, a permutation.
    """
    count = a.shape[1]
    single = bool((step >= SINGLE_STEP).all())
    dtype = torch.float32 if single else torch.float64
    origin = a[:, :1]  # small coordinates keep more digits
    firsts, seconds = (a - origin).to(dtype).contiguous(), planes((b - origin).to(dtype), lanes)
    size = seconds.shape[2]
    raised = torch.nn.functional.pad(prices, (0, size - count)).to(dtype)
    partner, owner, steps = partner.clone(), _owners(partner), step.to(dtype)
    while True:
        free = partner < 0
        left = free.sum(dim=1)
        pairs = left.nonzero()[:, 0]
        if not len(pairs):
            return raised[:, :count].double(), partner
        bidders = (~free).to(torch.int8).argsort(dim=1, stable=True)
        with on(a.device):
            _bid_kernel[(len(pairs),)](
                firsts,
                seconds,
                raised,
                partner,
                owner,
                steps,
                pairs,
                bidders,
                left,
                count,
                size,
                bids,
                SQUARED=squared,
                LANES=lanes,
                num_warps=WARPS,
                enable_fp_fusion=False,
            )


def lowest(
    a: Tensor,
    b: Tensor,
    prices: Tensor,
    *,
    squared: bool,
    rows: int = ROWS,
    columns: int = COLUMNS,
) -> Tensor:
    """Return for each point of `a` the least sum of distance and price over all points of `b`.

    Args:
        a: (B, N, 3) float64, finite.
        b: (B, M, 3) float64, finite.
        prices: (B, M) float64.
        squared: Whether distances are squared.
        rows: Points of `a` in a program, a power of two.
        columns: Points of `b` in a tile, a power of two.

    Returns:
        (B, N) float64.
    """
    batch, count, _ = a.shape
    firsts, seconds = planes(a, rows), planes(b, columns)
    size = seconds.shape[2]
    least = a.new_empty(batch, count)
    blocks = triton.cdiv(count, rows)
    with on(a.device):
        _lowest_kernel[(batch * blocks,)](
            firsts,
            seconds,
            torch.nn.functional.pad(prices, (0, size - prices.shape[1])),
            least,
            blocks,
            count,
            firsts.shape[2],
            size,
            SQUARED=squared,
            ROWS=rows,
            COLUMNS=columns,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )
    return least


def _owners(partner: Tensor) -> Tensor:
    """Return (B, N) int64: for each point of `b` whose partner it is, or -1."""
    batch, count = partner.shape
    owner = partner.new_full((batch, count + 1), -1)
    points = torch.arange(count, device=partner.device).expand_as(partner)
    owner.scatter_(1, partner.where(partner >= 0, count), points)  # the last column is a bin
    return owner[:, :count].contiguous()


# In what follows Triton evaluates annotations itself and knows only its own, hence there are none.
# Offsets of pairs are in 64 bits: all pairs together may have more than 2^31 coordinates.


@triton.jit(do_not_specialize=["count", "bids"])
def _bid_kernel(
    a,
    b,
    prices,
    partner,
    owner,
    steps,
    pairs,
    bidders,
    left,
    count,
    size,
    bids,
    SQUARED: tl.constexpr,
    LANES: tl.constexpr,
):
    pair = tl.load(pairs + tl.program_id(0))
    a += pair * 3 * count
    b += pair * 3 * size
    prices += pair * size
    partner += pair * count
    owner += pair * count
    bidders += pair * count
    step = tl.load(steps + pair)
    lanes = tl.arange(0, LANES)
    remaining = bids
    for turn in range(0, tl.load(left + pair).to(tl.int32)):
        i = tl.load(bidders + turn)
        # A chain: who loses its partner to a bid makes the next one.
        while (i >= 0) & (remaining > 0):
            remaining -= 1
            x, y, z = tl.load(a + 3 * i), tl.load(a + 3 * i + 1), tl.load(a + 3 * i + 2)
            best = tl.full((LANES,), float("inf"), dtype=step.dtype)
            second = best
            at = tl.zeros((LANES,), dtype=tl.int32)
            for start in range(0, size, LANES):
                columns = start + lanes
                offer = _costs(x, y, z, b + columns, size, SQUARED) + tl.load(prices + columns)
                closer = offer < best
                second = tl.minimum(second, tl.where(closer, best, offer))
                at = tl.where(closer, columns, at)
                best = tl.where(closer, offer, best)
            low = tl.min(best, axis=0)
            j = tl.min(tl.where(best == low, at, size), axis=0)  # the first of equal offers
            runner = tl.min(tl.where((at == j) & (best == low), second, best), axis=0)
            lead = tl.where(runner < float("inf"), runner - low, 0.0)  # a lone point has no second
            price = tl.load(prices + j) + (lead + step)
            loser = tl.load(owner + j)
            tl.debug_barrier()  # all threads have read
            tl.store(prices + j, price)
            tl.store(owner + j, i)
            tl.store(partner + i, j.to(tl.int64))
            tl.store(partner + loser, -1, mask=loser >= 0)
            tl.debug_barrier()  # all of it is written
            i = loser


@triton.jit(do_not_specialize=["blocks", "count"])
def _lowest_kernel(
    a,
    b,
    prices,
    least,
    blocks,
    count,
    a_size,
    b_size,
    SQUARED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    program = tl.program_id(0)
    pair = (program // blocks).to(tl.int64)
    rows = (program % blocks) * ROWS + tl.arange(0, ROWS)
    a += pair * 3 * a_size
    there = rows < count
    x = tl.load(a + rows, mask=there, other=0.0)[:, None]
    y = tl.load(a + a_size + rows, mask=there, other=0.0)[:, None]
    z = tl.load(a + 2 * a_size + rows, mask=there, other=0.0)[:, None]
    columns = tl.arange(0, COLUMNS)[None, :]
    b += pair * 3 * b_size + columns
    prices += pair * b_size + columns
    best = tl.full((ROWS, COLUMNS), float("inf"), dtype=x.dtype)
    for start in range(0, b_size, COLUMNS):
        offer = _costs(x, y, z, b + start, b_size, SQUARED) + tl.load(prices + start)
        best = tl.minimum(best, offer)
    tl.store(least + pair * count + rows, tl.min(best, axis=1), mask=there)


@triton.jit
def _costs(x, y, z, columns, size, SQUARED: tl.constexpr):
    """Return the costs of matching points with those at `columns`."""
    x = x - tl.load(columns)
    y = y - tl.load(columns + size)
    z = z - tl.load(columns + 2 * size)
    cost = x * x + y * y + z * z
    if not SQUARED:
        cost = tl.sqrt(cost)
    return cost
