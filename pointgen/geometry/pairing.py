"""Pairing of noise and data points inside a cloud, by the leaves of two balanced kd-trees.

A near-optimal matching for the price of a few sorts: both clouds are cut at their medians, x, y
and z in turn, until every cell holds one point, and the points in corresponding cells are
partners. The points of a noise cloud are independent and identically distributed, so reordering
them leaves their joint distribution as it was, while the straight paths from noise to data become
short and seldom cross.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from pointgen.geometry.points import take
from pointgen.geometry.rotations import random_rotations

__all__ = ["kd_order", "pair_kd"]


@torch.no_grad()
def kd_order(points: Tensor) -> Tensor:
    """Order the points of each cloud by the leaves of a balanced kd-tree.

    The cells depend on N alone (a cell of n points is cut into n // 2 and n - n // 2), so the
    i-th points of two clouds of equal size lie in corresponding cells.

    Args:
        points: (B, N, 3), any units and any N.

    Returns:
        (B, N) int64: a permutation of 0 .. N-1 for each cloud.

    Raises:
        ValueError: The points are not of shape (B, N, 3).
    """
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f"points: expected (B, N, 3), got {tuple(points.shape)}")
    # Sort once along each axis. From then on every cut is a stable partition, which keeps the
    # three lists sorted inside the cells and costs a running sum instead of a sort.
    orders = points.mT.argsort(dim=-1, stable=True)  # (B, 3, N)
    for level, cut in enumerate(_cuts(points.shape[1], points.device)):
        orders = _partition(orders, level % 3, *cut)
    return orders[:, 0].contiguous()  # cells of one point: the three lists agree


def pair_kd(
    noise: Tensor,
    data: Tensor,
    *,
    rotate: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Reorder the noise so that its i-th point is the partner of the i-th data point.

    Args:
        noise: (B, N, 3).
        data: (B, N, 3), in any order; it stays as it is.
        rotate: Turn noise and data by one random rotation, another for each element of the batch,
            before the cuts, so that over many calls no axis is preferred. The returned points are
            not turned.
        generator: Source of the rotations.

    Returns:
        (B, N, 3): the points of `noise`, reordered.

    Raises:
        ValueError: The shapes differ or are not (B, N, 3).
    """
    if noise.shape != data.shape:
        raise ValueError(
            f"noise: expected the shape of data {tuple(data.shape)}, got {tuple(noise.shape)}"
        )
    both = torch.stack([noise.detach(), data.detach()])  # (2, B, N, 3)
    if rotate:
        both = both @ random_rotations(
            len(noise), generator=generator, device=both.device, dtype=both.dtype
        )
    noise_order, data_order = kd_order(both.flatten(0, 1)).chunk(2)
    partner = torch.empty_like(data_order).scatter_(1, data_order, noise_order)
    return take(noise, partner)


def _partition(
    orders: Tensor, axis: int, first: Tensor, to_first: Tensor, to_second: Tensor
) -> Tensor:
    """Cut every cell along `axis`; `orders` is (B, 3, N), the others come from `_cuts`."""
    goes_first = torch.empty_like(orders[:, 0])  # 0 or 1 for each point
    goes_first.scatter_(1, orders[:, axis], first.expand(len(orders), -1))
    # The same by position in each of the three lists.
    goes_first = goes_first.unsqueeze(1).expand_as(orders).gather(2, orders)
    passed = goes_first.cumsum(dim=-1)
    # As torch.where(goes_first, passed + to_first, to_second - passed), but ten times faster.
    target = goes_first * (2 * passed + (to_first - to_second)) + (to_second - passed)
    return torch.empty_like(orders).scatter_(2, target, orders)


@lru_cache(maxsize=16)  # a training asks for the same table at every step
def _cuts(count: int, device: torch.device) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return for each level of the tree what a position needs to know of the cell it lies in.

    Returns:
        first: (N,) int64, 1 where the position is in the first half of its cell, else 0.
        to_first: (N,) int64; added to the running number of points that go first (this one
            included), it gives the new position of a point that goes first.
        to_second: (N,) int64; less that number, it gives the new position of another point.
    """
    positions = torch.arange(count)
    bounds = torch.tensor([0, count])
    cuts = []
    for _ in range((count - 1).bit_length()):
        sizes = bounds.diff()
        starts, middles = bounds[:-1], bounds[:-1] + sizes // 2
        before = (sizes // 2).cumsum(0) - sizes // 2  # points that go first in earlier cells
        first = positions < middles.repeat_interleave(sizes)
        to_first = (starts - before - 1).repeat_interleave(sizes)
        to_second = positions + (middles - starts + before).repeat_interleave(sizes)
        cuts.append((first.long().to(device), to_first.to(device), to_second.to(device)))
        bounds = torch.cat([torch.stack([starts, middles], dim=-1).flatten(), bounds[-1:]])
        bounds = bounds.unique_consecutive()
    return cuts
