"""Order along a Hilbert curve: points that follow one another in it are neighbours in space.

The curve runs through every cell of a cube (or square) of 2^bits cells a side, each step to a
neighbouring cell. The other way holds less strictly: neighbours may be far apart along the curve.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from pointgen.geometry.points import by_coordinates

__all__ = ["hilbert_keys", "hilbert_layout", "hilbert_order"]

MOST_BITS = 62  # of a key, which is a non-negative int64


@torch.no_grad()
def hilbert_order(
    points: Tensor, *, bits: int = 10, bounds: tuple[float, float] = (-3.0, 3.0)
) -> Tensor:
    """Order the points of each cloud along the Hilbert curve of a fixed cube.

    The sorted cloud does not depend on the order the points came in: those in one cell of the
    curve follow each other by x, then y, then z.

    Args:
        points: (B, N, 3), any units and any N.
        bits: the cube has 2^bits cells a side.
        bounds: least and largest coordinate of the cube, in the units of the points; points
            outside count as if they were in the nearest cell.

    Returns:
        (B, N) int64: a permutation of 0 .. N-1 for each cloud.

    Raises:
        ValueError: The points are not of shape (B, N, 3), or bits or bounds make no cube.
    """
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f"points: expected (B, N, 3), got {tuple(points.shape)}")
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds: expected the lower one first, got {bounds}")
    cells = ((points - low) * (2**bits / (high - low))).floor().clamp(0, 2**bits - 1).long()
    keys = hilbert_keys(cells, bits=bits)
    order = by_coordinates(points)
    return order.gather(1, keys.gather(1, order).argsort(dim=1, stable=True))


def hilbert_keys(cells: Tensor, *, bits: int) -> Tensor:
    """Return how far along the curve cells of a square or cube are.

    Args:
        cells: (..., D) int64, coordinates from 0 to 2^bits - 1.
        bits: the curve's cube has 2^bits cells a side.

    Returns:
        (...,) int64, from 0 to 2^(D bits) - 1; a bijection, and consecutive cells share a side.

    Raises:
        ValueError: The keys would not fit into 62 bits.

    Source: Skilling 2004 (Programming the Hilbert curve), AxestoTranspose.
    """
    axes = list(cells.unbind(-1))
    if bits < 1 or bits * len(axes) > MOST_BITS:
        raise ValueError(f"bits: expected 1 to {MOST_BITS // len(axes)}, got {bits}")
    for level in range(bits - 1, 0, -1):
        low_bits = 2**level - 1
        for place, axis in enumerate(axes):
            # Where this axis' bit is set, mirror the first axis within its cell of this level;
            # where not, exchange the two: this turns the inner curve to meet its neighbours.
            turned = (axis >> level & 1).bool()
            difference = (axes[0] ^ axis) & low_bits
            axes[0] = axes[0] ^ torch.where(turned, low_bits, difference)
            if place:
                axes[place] = axis ^ torch.where(turned, 0, difference)
    return _interleave(_gray(axes, bits), bits)


@lru_cache(maxsize=16)
def hilbert_layout(height: int, width: int) -> Tensor:
    """Return where on a grid the places of a sequence lie, along a 2-D Hilbert curve.

    Neighbours on the grid are near in the sequence in both directions, and so is every square
    block of 2 x 2, 4 x 4, ... cells one stretch of it.

    Args:
        height: a power of two.
        width: the height, or twice it: then one square follows the other.

    Returns:
        (height * width,) int64: the i-th is the cell, counted row by row, of the i-th place.

    Raises:
        ValueError: The grid is of another form.
    """
    if height < 1 or height & (height - 1) or width not in (height, 2 * height):
        raise ValueError(f"grid: expected (2^k, 2^k) or (2^k, 2^(k+1)), got {(height, width)}")
    bits = max(1, height.bit_length() - 1)
    column, row = (
        axis.flatten()
        for axis in torch.meshgrid(torch.arange(height), torch.arange(height), indexing="ij")
    )
    order = hilbert_keys(torch.stack([column, row], dim=-1), bits=bits).argsort()
    column, row = column[order], row[order]
    squares = [row * width + column + start for start in range(0, width, height)]
    return torch.cat(squares)


def _gray(axes: list[Tensor], bits: int) -> list[Tensor]:
    """Undo the Gray code along the axes and down the levels."""
    for place in range(1, len(axes)):
        axes[place] = axes[place] ^ axes[place - 1]
    flips = torch.zeros_like(axes[0])
    for level in range(bits - 1, 0, -1):
        flips = flips ^ torch.where((axes[-1] >> level & 1).bool(), 2**level - 1, 0)
    return [axis ^ flips for axis in axes]


def _interleave(axes: list[Tensor], bits: int) -> Tensor:
    """Join the bits of all axes, highest level first and within it the first axis first."""
    key = torch.zeros_like(axes[0])
    for level in range(bits - 1, -1, -1):
        for axis in axes:
            key = key << 1 | (axis >> level & 1)
    return key
