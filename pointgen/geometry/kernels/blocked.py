"""Nearest points with PyTorch alone, on any device, in blocks of all distances.

A block of squared distances is written to memory, summed up from the three coordinates and
searched; its size is what a budget of memory allows.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["nearest", "pair_means"]

MEMORY = 2**28  # bytes
# On a CPU a block of distances should stay in the cache while it is summed and searched; smaller
# blocks gain nothing more, and lose where several threads have to meet after each.
CPU_BLOCK = 2**21  # bytes


def nearest(a: Tensor, b: Tensor, *, memory: int = MEMORY) -> tuple[Tensor, Tensor]:
    """Find for each point of `a` the nearest point of `b`.

    Args:
        a: (B, N, 3), data units.
        b: (B, M, 3), data units, dtype and device of `a`.
        memory: How many bytes the distances under work may take; one point of a cloud is taken
            against one cloud at the least.

    Returns:
        (B, N), squared data units: the distance. NaN where a coordinate is NaN.
        (B, N) int64: indices into M, the first of equally near ones.
    """
    rows, columns = _coordinates(a), _coordinates(b)
    squared = a.new_empty(a.shape[:2])
    index = torch.empty(a.shape[:2], dtype=torch.int64, device=a.device)
    step = _pairs_at_once(rows, columns, memory)
    for i in range(0, len(a), step):
        part, start = slice(i, i + step), 0
        for block in _blocks(rows[:, part], columns[:, part], memory):
            points = slice(start, start := start + block.shape[1])
            found = block.argmin(dim=2, keepdim=True)
            index[part, points] = found.squeeze(2)
            squared[part, points] = block.gather(2, found).squeeze(2)
    return squared, index


def pair_means(a: Tensor, b: Tensor, pairs: Tensor, *, memory: int = MEMORY) -> Tensor:
    """Return the mean squared distances to the nearest points, both ways, of pairs of clouds.

    Args:
        a: (S, N, 3), data units.
        b: (R, M, 3), data units, dtype and device of `a`.
        pairs: (P, 2) int64: a row of `a` and a row of `b`.
        memory: How many bytes the distances under work may take; one point of a cloud is taken
            against one cloud at the least.

    Returns:
        (P, 2), squared data units: from `a` to `b`, and from `b` to `a`. NaN where a coordinate is
        NaN.
    """
    firsts, seconds = _coordinates(a), _coordinates(b)
    means = a.new_empty(len(pairs), 2)
    step = _pairs_at_once(firsts, seconds, memory)
    for start in range(0, len(pairs), step):
        part = slice(start, start + step)
        i, j = pairs[part].unbind(dim=1)
        to_b, to_a = [], []
        for block in _blocks(firsts[:, i], seconds[:, j], memory):
            to_b.append(block.amin(dim=2))
            to_a.append(block.amin(dim=1))
        for side, squared in enumerate([torch.cat(to_b, dim=1), torch.stack(to_a).amin(dim=0)]):
            means[part, side] = squared.mean(dim=1)
    return means


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


def _pairs_at_once(a: Tensor, b: Tensor, memory: int) -> int:
    """Return how many pairs of clouds (3, S, N) and (3, R, M) to take at a time."""
    return max(1, _budget(a, memory) // (a.shape[2] * b.shape[2]))


def _budget(like: Tensor, memory: int) -> int:
    """Return how many distances to hold at a time; `_blocks` needs the space of two for each."""
    if like.device.type == "cpu":
        memory = min(memory, CPU_BLOCK)
    return memory // (2 * like.element_size())


def _coordinates(clouds: Tensor) -> Tensor:
    """Return clouds (S, N, 3) as (3, S, N)."""
    return clouds.permute(2, 0, 1).contiguous()
