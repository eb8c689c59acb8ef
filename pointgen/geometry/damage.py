"""What clouds suffer before they are restored: a side is missing, noise, too few points."""

from __future__ import annotations

from torch import Generator, Tensor

from pointgen.geometry.draws import standard_noise
from pointgen.geometry.points import check_clouds, take

__all__ = ["blurred", "cut", "kept"]


def cut(points: Tensor, share: float, generator: Generator | None = None) -> Tensor:
    """Take a side away: the points that are farthest in a random direction of each cloud.

    Args:
        points: (B, N, 3), any units.
        share: of the points to take, in [0, 1).
        generator: of the directions; None is the global random state.

    Returns:
        (B, M, 3), in the order they came; M = N - round(share N), at least 1.
    """
    check_clouds("points", points)
    direction = standard_noise((len(points), 3, 1), points, generator)
    height = (points @ direction).squeeze(-1)  # (B, N)
    count = max(1, points.shape[1] - round(share * points.shape[1]))
    return take(points, height.topk(count, dim=1, largest=False).indices.sort(dim=1).values)


def kept(points: Tensor, count: int, generator: Generator | None = None) -> Tensor:
    """Return `count` random points of each cloud (B, N, 3), none twice."""
    check_clouds("points", points)
    if not 1 <= count <= points.shape[1]:
        raise ValueError(f"count: expected 1 to {points.shape[1]} points, got {count}")
    lottery = standard_noise(points.shape[:2], points, generator)
    return take(points, lottery.topk(count, dim=1).indices)


def blurred(points: Tensor, sigma: float | Tensor, generator: Generator | None = None) -> Tensor:
    """Add Gaussian noise to clouds (B, N, 3).

    Args:
        points: any units.
        sigma: standard deviation of each coordinate, in those units; a number, or (B, 1, 1).
        generator: of the noise; None is the global random state.
    """
    check_clouds("points", points)
    return points + sigma * standard_noise(points.shape, points, generator)
