# mypy: allow-untyped-defs
"""Nearest neighbours on an NVIDIA card, in Triton: no distance ever leaves the registers.

A program holds a few points of `a` and walks over all points of `b`, tile by tile. It keeps one
running minimum for each point of `a` and column of the tile, and reduces them once, at the end:
inside the loop there is nothing but six operations for a distance and one for the minimum.
Distances are sums of squared differences of coordinates, in the precision of the clouds.

Nothing is added atomically, so the same clouds give the same bits: each program writes the sum of
its points in double precision, and PyTorch adds those sums.

With TRITON_INTERPRET=1 set before Triton is imported, the same code runs on CPU tensors, slowly.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pointgen.geometry.kernels.launch import on, planes

__all__ = ["chamfer_gradient", "nearest", "pair_means"]

# Points of `a` in a program and of `b` in a tile, powers of two. Triton lays the 32 columns of a
# tile across a warp and deals the rows to four warps: a thread holds 16 points of `a` and one
# minimum for each, and three loads serve 16 distances.
TILE = (64, 32)
UNROLL = 4  # tiles a turn of the loop: its own cost becomes small, and loads start ahead of need
WARPS = 4
GRADIENT_ROWS, GRADIENT_WARPS = 64, 2  # a point a thread


def nearest(a: Tensor, b: Tensor, *, tile: tuple[int, int] = TILE) -> tuple[Tensor, Tensor]:
    """Find for each point of `a` the nearest point of `b`.

    Args:
        a: (B, N, 3), data units.
        b: (B, M, 3), data units, dtype and device of `a`.
        tile: Points of `a` in a program and of `b` in a tile, powers of two.

    Returns:
        (B, N), squared data units: the distance. NaN where a coordinate is NaN.
        (B, N) int64: indices into M, the first of equally near ones.
    """
    rows, columns = tile
    batch, count, _ = a.shape
    blocks = triton.cdiv(count, rows)
    firsts, seconds = planes(a, rows), planes(b, UNROLL * columns)
    distance = a.new_empty(batch, count)
    index = torch.empty(batch, count, dtype=torch.int64, device=a.device)
    with on(a.device):
        _nearest_kernel[(batch * blocks,)](
            firsts,
            seconds,
            distance,
            index,
            blocks,
            count,
            firsts.shape[2],
            seconds.shape[2],
            ROWS=rows,
            COLUMNS=columns,
            TILES=UNROLL,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )
    return distance, index


def pair_means(a: Tensor, b: Tensor, pairs: Tensor, *, tile: tuple[int, int] = TILE) -> Tensor:
    """Return the mean squared distances to the nearest points, both ways, of pairs of clouds.

    Besides the clouds and the answer it takes 8 bytes for each pair and 64 points of a cloud.

    Args:
        a: (S, N, 3), data units.
        b: (R, M, 3), data units, dtype and device of `a`.
        pairs: (P, 2) int64: a row of `a` and a row of `b`.
        tile: Points of one cloud in a program and of the other in a tile, powers of two.

    Returns:
        (P, 2), squared data units: from `a` to `b`, and from `b` to `a`. NaN where a coordinate is
        NaN.
    """
    multiple = max(tile[0], UNROLL * tile[1])
    firsts, seconds = planes(a, multiple), planes(b, multiple)
    there = pairs.mT.contiguous()  # (2, P)
    back = there.flip(0)
    means = [
        _sums(firsts, seconds, there, a.shape[1], tile) / a.shape[1],
        _sums(seconds, firsts, back, b.shape[1], tile) / b.shape[1],
    ]
    return torch.stack(means, dim=1).to(a.dtype)


def chamfer_gradient(
    a: Tensor, b: Tensor, index_ab: Tensor, index_ba: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the squared, summed Chamfer distance, the nearest points given.

    A point is pulled by its own nearest point and by all points that it is the nearest of.
    Autograd would scatter the second kind with atomic additions, in an order that changes from
    run to run; here each point adds them itself, in the order of their indices. The longest such
    list sets the time, which is short unless most points have one and the same nearest point.

    Args:
        a: (B, N, 3), data units, contiguous.
        b: (B, M, 3), data units, contiguous, dtype and device of `a`.
        index_ab: (B, N) int64, contiguous: for each point of `a` the nearest of `b`.
        index_ba: (B, M) int64, contiguous: for each point of `b` the nearest of `a`.
        grad: (B,), the gradient by each distance, dtype of `a`.

    Returns:
        (B, N, 3) and (B, M, 3): the gradients by `a` and by `b`.
    """
    by_a, by_b = grad * (2 / a.shape[1]), grad * (2 / b.shape[1])
    return (
        _pull(a, b, index_ab, index_ba, by_a, by_b),
        _pull(b, a, index_ba, index_ab, by_b, by_a),
    )


def _sums(a: Tensor, b: Tensor, pairs: Tensor, count: int, tile: tuple[int, int]) -> Tensor:
    """Return (P,) float64: the squared distances of `count` points of a cloud of `a`, summed.

    `a` and `b` are the `planes` of clouds, and `pairs` is (2, P).
    """
    blocks = triton.cdiv(count, tile[0])
    sums = torch.empty(pairs.shape[1], blocks, dtype=torch.float64, device=a.device)
    with on(a.device):
        _sums_kernel[(sums.numel(),)](
            a,
            b,
            pairs[0],
            pairs[1],
            sums,
            blocks,
            count,
            a.shape[2],
            b.shape[2],
            ROWS=tile[0],
            COLUMNS=tile[1],
            TILES=UNROLL,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )
    return sums.sum(dim=1)


def _pull(
    a: Tensor, b: Tensor, index_ab: Tensor, index_ba: Tensor, by_a: Tensor, by_b: Tensor
) -> Tensor:
    """Return the gradient (B, N, 3) by `a`; `by_a` and `by_b` (B,) weigh the two directions."""
    batch, count, _ = a.shape
    blocks = triton.cdiv(count, GRADIENT_ROWS)
    owners, order = index_ba.sort(dim=1, stable=True)
    points = torch.arange(count + 1, device=a.device).expand(batch, -1).contiguous()
    bounds = torch.searchsorted(owners, points)  # (B, N + 1): point i owns order[bounds[i : i + 2]]
    gradient = torch.empty_like(a)
    with on(a.device):
        _pull_kernel[(batch * blocks,)](
            a,
            b,
            index_ab,
            order,
            bounds,
            by_a,
            by_b,
            gradient,
            blocks,
            count,
            b.shape[1],
            ROWS=GRADIENT_ROWS,
            num_warps=GRADIENT_WARPS,
            enable_fp_fusion=False,
        )
    return gradient


# In what follows Triton evaluates annotations itself and knows only its own, hence there are none.
# Offsets of clouds are in 64 bits: a set of clouds may have more than 2^31 coordinates.
# The launches leave no fusing of products and sums to the compiler, as the defaults of Triton's
# versions differ: where it counts, it is written out.


@triton.jit(do_not_specialize=["blocks", "count"])
def _nearest_kernel(
    a,
    b,
    distance,
    index,
    blocks,
    count,
    a_size,
    b_size,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    TILES: tl.constexpr,
):
    program = tl.program_id(0)
    cloud = (program // blocks).to(tl.int64)
    rows = (program % blocks) * ROWS + tl.arange(0, ROWS)
    x, y, z = _points(a + cloud * 3 * a_size, rows, count, a_size)
    lanes = tl.arange(0, COLUMNS)
    columns = b + cloud * 3 * b_size + lanes
    best = tl.full((ROWS, COLUMNS), float("inf"), dtype=x.dtype)
    at = tl.zeros((ROWS, COLUMNS), dtype=tl.int32)  # the tile of the best
    for start in range(0, b_size, TILES * COLUMNS):
        for tile in tl.static_range(TILES):
            squared = _squared(x, y, z, columns + (start + tile * COLUMNS), b_size)
            at = tl.where(squared < best, start + tile * COLUMNS, at)
            best = _smaller(best, squared)
    least = tl.reduce(best, 1, _smaller)
    # Each lane kept its first, so the first of all is among these. `>` is false for NaN, whose
    # index is then some index in range.
    first = tl.min(tl.where(best > least[:, None], b_size, at + lanes[None, :]), axis=1)
    there = rows < count
    tl.store(distance + cloud * count + rows, least, mask=there)
    tl.store(index + cloud * count + rows, first.to(tl.int64), mask=there)


@triton.jit(do_not_specialize=["blocks", "count"])
def _sums_kernel(
    a,
    b,
    i,
    j,
    sums,
    blocks,
    count,
    a_size,
    b_size,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    TILES: tl.constexpr,
):
    program = tl.program_id(0)
    pair = program // blocks
    rows = (program % blocks) * ROWS + tl.arange(0, ROWS)
    x, y, z = _points(a + tl.load(i + pair) * 3 * a_size, rows, count, a_size)
    columns = b + tl.load(j + pair) * 3 * b_size + tl.arange(0, COLUMNS)
    best = tl.full((ROWS, COLUMNS), float("inf"), dtype=x.dtype)
    for start in range(0, b_size, TILES * COLUMNS):
        for tile in tl.static_range(TILES):
            squared = _squared(x, y, z, columns + (start + tile * COLUMNS), b_size)
            best = _smaller(best, squared)
    least = tl.reduce(best, 1, _smaller).to(tl.float64)
    tl.store(sums + program, tl.sum(tl.where(rows < count, least, 0.0), axis=0))


@triton.jit(do_not_specialize=["blocks", "count", "b_count"])
def _pull_kernel(
    a,
    b,
    index_ab,
    order,
    bounds,
    by_a,
    by_b,
    gradient,
    blocks,
    count,
    b_count,
    ROWS: tl.constexpr,
):
    program = tl.program_id(0)
    cloud = (program // blocks).to(tl.int64)
    rows = (program % blocks) * ROWS + tl.arange(0, ROWS)
    there = rows < count
    places = cloud * count + rows
    x, y, z = _load(a + 3 * places, there)
    b += 3 * cloud * b_count
    u, v, w = _load(b + 3 * tl.load(index_ab + places, mask=there, other=0), there)
    weight = tl.load(by_a + cloud)
    dx, dy, dz = weight * (x - u), weight * (y - v), weight * (z - w)

    weight = tl.load(by_b + cloud)
    order += cloud * b_count
    bounds += cloud * (count + 1)
    start = tl.load(bounds + rows, mask=there, other=0)
    stop = tl.load(bounds + rows + 1, mask=there, other=0)
    for step in range(0, tl.max(stop - start, axis=0)):
        left = start + step < stop
        u, v, w = _load(b + 3 * tl.load(order + start + step, mask=left, other=0), left)
        dx += tl.where(left, weight * (x - u), 0.0)
        dy += tl.where(left, weight * (y - v), 0.0)
        dz += tl.where(left, weight * (z - w), 0.0)
    gradient += 3 * places
    tl.store(gradient, dx, mask=there)
    tl.store(gradient + 1, dy, mask=there)
    tl.store(gradient + 2, dz, mask=there)


@triton.jit
def _points(cloud, rows, count, size):
    """Load points from the planes of a cloud; zero where there is none."""
    there = rows < count
    x = tl.load(cloud + rows, mask=there, other=0.0)
    y = tl.load(cloud + size + rows, mask=there, other=0.0)
    z = tl.load(cloud + 2 * size + rows, mask=there, other=0.0)
    return x, y, z


@triton.jit
def _load(points, there):
    """Load points that lie coordinate by coordinate; zero where there is none."""
    x = tl.load(points, mask=there, other=0.0)
    y = tl.load(points + 1, mask=there, other=0.0)
    z = tl.load(points + 2, mask=there, other=0.0)
    return x, y, z


@triton.jit
def _squared(x, y, z, columns, size):
    """Return the squared distances of points (ROWS,) to those at `columns` (COLUMNS,)."""
    x = x[:, None] - tl.load(columns)[None, :]
    y = y[:, None] - tl.load(columns + size)[None, :]
    z = z[:, None] - tl.load(columns + 2 * size)[None, :]
    return tl.fma(x, x, tl.fma(y, y, z * z))


@triton.jit
def _smaller(a, b):
    """Return the smaller of two distances, or NaN if one is NaN: a broken cloud must show."""
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)
