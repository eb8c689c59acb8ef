"""Jensen-Shannon divergence of two sets of clouds: do their points fill the same space?

All points of a set together give one histogram over the cells of a grid; the shapes they belong to
do not matter. The grid is that of the literature: centres at equal steps over the unit cube around
the origin, of which only those in the inscribed sphere count. Nothing is rescaled, so the number
means little for clouds that do not fit the sphere: their points crowd into its border cells, see
`outside_share`.

Source: Achlioptas et al. 2018, section 4; the clipping to the sphere as in the code of Yang et al.
2019.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.spatial import KDTree

__all__ = ["jensen_shannon", "outside_share"]

RADIUS = 0.5
MARGIN = 1e-3  # as in the published code: clouds scaled to touch the sphere are not outside
POINTS_AT_ONCE = 2**20
LARGEST = 1e150  # squares of greater values overflow


def jensen_shannon(a: Tensor, b: Tensor, *, resolution: int = 28) -> float:
    """Return the Jensen-Shannon divergence between the points of two sets of clouds.

    Each point goes to the nearest cell centre, those outside the sphere to one at its border.

    Args:
        a: (S, N, 3), in units in which the clouds fit a sphere of radius 0.5 around the origin.
        b: (R, M, 3), in the same units.
        resolution: Centres along each side of the cube; 28 leave 10144 in the sphere.

    Returns:
        Bits, from 0 (equal histograms) to 1 (no cell in common); lower is better. Two finite sets
        of one distribution give more than 0.

    Raises:
        ValueError: A shape is wrong, values are not finite or above 1e150, or the resolution is
            below 3.
    """
    if resolution < 3:  # with two there is no centre in the sphere
        raise ValueError(f"resolution: expected at least 3, got {resolution}")
    p, q = (_histogram(name, clouds, resolution) for name, clouds in (("a", a), ("b", b)))
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return divergence.clamp(0, 1).item()  # rounding may lead just beyond


def outside_share(clouds: Tensor) -> float:
    """Return the share of points outside the sphere for which the divergence is made.

    Args:
        clouds: (S, N, 3).

    Returns:
        From 0 to 1: the share at more than 0.501 from the origin.

    Raises:
        ValueError: The shape is wrong.
    """
    _check("clouds", clouds)
    return (clouds.detach().norm(dim=-1) > RADIUS + MARGIN).double().mean().item()


def _relative_entropy(p: Tensor, q: Tensor) -> Tensor:
    """Return the relative entropy of p to q in bits; where p is zero, q may be zero too."""
    filled = p > 0
    return (p[filled] * (p[filled] / q[filled]).log2()).sum()


def _histogram(name: str, clouds: Tensor, resolution: int) -> Tensor:
    """Return the share of points in each cell of the sphere."""
    _check(name, clouds)
    grid = _grid(resolution)
    counts = torch.zeros(grid.size, dtype=torch.int64)
    for points in clouds.detach().reshape(-1, 3).split(POINTS_AT_ONCE):
        points = points.cpu().double()
        if not bool((points.abs() <= LARGEST).all()):  # a comparison with NaN is false
            raise ValueError(f"{name}: expected finite values below {LARGEST:g}, got others")
        counts += torch.bincount(_nearest_cell(points, grid), minlength=grid.size)
    return counts.double() / counts.sum()


class _Grid(NamedTuple):
    """The cells of the sphere, `size` of them.

    `cells` (G, G, G) holds the number of each cell of the cube, -1 outside the sphere; `border`
    the numbers of those with a neighbour outside, whose centres are in `tree`.
    """

    size: int
    cells: Tensor
    border: Tensor
    tree: KDTree


@lru_cache(maxsize=4)  # every score of a sheet asks for the same
def _grid(resolution: int) -> _Grid:
    from scipy.spatial import KDTree

    # Twice the position in steps from the middle, an integer: what touches the sphere is decided
    # without rounding.
    odd = 2 * torch.arange(resolution) - (resolution - 1)
    squared = odd.square()
    inside = squared[:, None, None] + squared[:, None] + squared <= (resolution - 1) ** 2
    count = int(inside.sum())
    cells = torch.full(inside.shape, -1)
    cells[inside] = torch.arange(count)
    padded = torch.nn.functional.pad(inside, (1,) * 6)
    surrounded = padded
    for axis, step in product(range(3), (-1, 1)):
        surrounded = surrounded & padded.roll(step, axis)
    at_border = inside & ~surrounded[1:-1, 1:-1, 1:-1]
    centres = at_border.nonzero().double() / (resolution - 1) - RADIUS
    return _Grid(count, cells, cells[at_border], KDTree(centres.numpy()))


def _nearest_cell(points: Tensor, grid: _Grid) -> Tensor:
    """Return for points (P, 3) the number of the nearest centre in the sphere, (P,)."""
    last = len(grid.cells) - 1
    steps = ((points + RADIUS) * last).round().clamp(0, last).long()
    cell = grid.cells[steps.unbind(dim=1)]
    # The nearest centre of the cube is outside the sphere. The nearest one inside then is at its
    # border: of any other, some neighbour is inside and nearer.
    lost = cell < 0
    if lost.any():
        _, found = grid.tree.query(points[lost].numpy(), workers=torch.get_num_threads())
        cell[lost] = grid.border[torch.from_numpy(found)]
    return cell


def _check(name: str, clouds: Tensor) -> None:
    if clouds.ndim != 3 or clouds.shape[-1] != 3 or 0 in clouds.shape:
        raise ValueError(f"{name}: expected (S, N, 3) with S and N > 0, got {tuple(clouds.shape)}")
