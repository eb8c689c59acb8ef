"""Chamfer distances between clouds, in squared data units.

CD(a, b) = mean over a of the squared distance to the nearest of b, plus the same with a and b
exchanged: PointFlow's convention, squared and summed, with no further factor.

All distances are sums of squared differences of coordinates, never |a|^2 + |b|^2 - 2ab: that one
cancels for near points, and with only three coordinates it is not even faster. The relative error
in float32 is below 1e-6 (some 1e-7 is usual), and identical clouds are at distance exactly zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["chamfer", "nearest", "pairwise_chamfer"]

MEMORY = 2**28  # bytes
# On a CPU a block of distances should stay in the cache while it is summed and searched; smaller
# blocks gain nothing more, and lose where several threads have to meet after each.
CPU_BLOCK = 2**21  # bytes


def chamfer(a: Tensor, b: Tensor) -> Tensor:
    """Return the Chamfer distance of each pair of clouds, differentiably.

    Args:
        a: (B, N, 3), data units.
        b: (B, M, 3), data units.

    Returns:
        (B,), squared data units.

    Raises:
        ValueError: A shape is wrong or the batch sizes differ.
    """
    forward = (a - _take(b, nearest(a, b))).square().sum(dim=-1).mean(dim=-1)
    backward = (b - _take(a, nearest(b, a))).square().sum(dim=-1).mean(dim=-1)
    return forward + backward


@torch.no_grad()
def nearest(a: Tensor, b: Tensor) -> Tensor:
    """Find for each point of `a` the nearest point of `b`.

    Args:
        a: (B, N, 3), data units.
        b: (B, M, 3), data units.

    Returns:
        (B, N) int64: indices into M.

    Raises:
        ValueError: A shape is wrong or the batch sizes differ.
    """
    _check("a", a)
    _check("b", b)
    if len(a) != len(b):
        raise ValueError(f"b: expected {len(a)} clouds as in a, got {len(b)}")
    rows, columns = _coordinates(a, b)
    index = torch.empty(a.shape[:2], dtype=torch.int64, device=a.device)
    step = _clouds_at_once(rows, columns, MEMORY)
    for i in range(0, len(a), step):
        part = slice(i, i + step)
        found = [d.argmin(dim=2) for d in _blocks(rows[:, part], columns[:, part], MEMORY)]
        index[part] = torch.cat(found, dim=1)
    return index


@torch.no_grad()
def pairwise_chamfer(
    a: Tensor,
    b: Tensor,
    *,
    rows: range | None = None,
    progress: Callable[[int], None] | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """Return the Chamfer distance of every cloud of `a` to every cloud of `b`.

    Runs on the device of the clouds and without gradients. If `b` is the very object `a`, half of
    the table is computed and mirrored.

    Args:
        a: (S, N, 3), data units.
        b: (R, M, 3), data units.
        rows: Compute only these rows of the table, and their mirror images if `b` is `a`; the rest
            is zero, so that tables of different rows add up to the whole one. None: all rows.
        progress: Called with the number of pairs (of S x R) done since the last call.
        memory: How many bytes the distances under work may take; one point of a cloud is taken
            against one cloud at the least.

    Returns:
        (S, R), squared data units.

    Raises:
        ValueError: A shape is wrong.
    """
    _check("a", a)
    _check("b", b)
    firsts, seconds = _coordinates(a, b)
    table = a.new_zeros(len(a), len(b), dtype=firsts.dtype)
    step = _clouds_at_once(firsts, seconds, memory)
    for i in range(len(a)) if rows is None else rows:
        first = i + 1 if a is b else 0
        for j in range(first, len(b), step):
            table[i, j : j + step] = _chamfer(
                firsts[:, i : i + 1], seconds[:, j : j + step], memory
            )
        if a is b:
            table[first:, i] = table[i, first:]
        if progress is not None:
            progress(2 * (len(b) - i) - 1 if a is b else len(b))
    return table


def _chamfer(a: Tensor, b: Tensor, memory: int) -> Tensor:
    """Return the distances (C,) of clouds a, (3, 1, N), and b, (3, C, M)."""
    to_b, to_a = [], []
    for squared in _blocks(a, b, memory):
        to_b.append(squared.amin(dim=2))
        to_a.append(squared.amin(dim=1))
    return torch.cat(to_b, dim=1).mean(dim=1) + torch.stack(to_a).amin(dim=0).mean(dim=1)


def _blocks(a: Tensor, b: Tensor, memory: int) -> Iterator[Tensor]:
    """Yield (C, n, M): squared distances of n points at a time of a, (3, C, N), to b, (3, C, M).

    A block is overwritten by the next.
    """
    count = a.shape[2]
    step = min(count, max(1, _budget(a, memory) // b[0].numel()))
    x, y, z = a.unsqueeze(3)
    p, q, r = b.unsqueeze(2)
    space = a.new_empty(2, b.shape[1], step, b.shape[2])
    for start in range(0, count, step):
        part = slice(start, start + step)
        squared, difference = space[:, :, : min(step, count - start)]
        torch.sub(x[:, part], p, out=squared).square_()
        for a_part, b_all in ((y[:, part], q), (z[:, part], r)):
            torch.sub(a_part, b_all, out=difference)
            squared.addcmul_(difference, difference)
        yield squared


def _clouds_at_once(a: Tensor, b: Tensor, memory: int) -> int:
    """Return how many clouds of b, (3, C, M), to hold at a time against one of a, (3, C, N)."""
    return max(1, _budget(a, memory) // (a.shape[2] * b.shape[2]))


def _budget(like: Tensor, memory: int) -> int:
    """Return how many distances to hold at a time; `_blocks` needs the space of two for each."""
    if like.device.type == "cpu":
        memory = min(memory, CPU_BLOCK)
    return memory // (2 * like.element_size())


def _coordinates(*sets: Tensor) -> list[Tensor]:
    """Return clouds (S, N, 3) as (3, S, N), all in one precision, single at least."""
    dtype = torch.float32
    for clouds in sets:
        dtype = torch.promote_types(dtype, clouds.dtype)
    return [clouds.detach().to(dtype).permute(2, 0, 1).contiguous() for clouds in sets]


def _take(points: Tensor, index: Tensor) -> Tensor:
    return points.gather(1, index.unsqueeze(-1).expand(-1, -1, 3))


def _check(name: str, clouds: Tensor) -> None:
    if clouds.ndim != 3 or clouds.shape[-1] != 3 or 0 in clouds.shape:
        raise ValueError(f"{name}: expected (B, N, 3) with B and N > 0, got {tuple(clouds.shape)}")
