"""Points of clouds: their shape checked, chosen by place, put in the order of coordinates."""

from __future__ import annotations

from torch import Tensor

__all__ = ["by_coordinates", "check_clouds", "take"]


def take(points: Tensor, places: Tensor) -> Tensor:
    """Return some points of each cloud, in the order they are asked for.

    Args:
        points: (B, N, D), coordinates or whatever else each point has.
        places: (B, M) int64, from 0 to N - 1.

    Returns:
        (B, M, D).
    """
    return points.gather(1, places.unsqueeze(-1).expand(-1, -1, points.shape[-1]))


def by_coordinates(points: Tensor) -> Tensor:
    """Order the points of each cloud by x, then y, then z, however they came.

    Args:
        points: (B, N, 3), any units and any N.

    Returns:
        (B, N) int64: a permutation of 0 .. N-1 for each cloud.
    """
    # From the least to the most important, each stable, so that it only decides between equals.
    order = points[..., 2].argsort(dim=1, stable=True)
    for axis in (1, 0):
        order = order.gather(1, points[..., axis].gather(1, order).argsort(dim=1, stable=True))
    return order


def check_clouds(name: str, clouds: Tensor) -> None:
    """Raise ValueError, under this name, unless clouds are (B, N, 3) and neither number is zero."""
    if clouds.ndim != 3 or clouds.shape[-1] != 3 or 0 in clouds.shape:
        raise ValueError(f"{name}: expected (B, N, 3) with B and N > 0, got {tuple(clouds.shape)}")
