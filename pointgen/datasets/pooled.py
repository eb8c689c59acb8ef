"""What the configs of datasets have in common whose shapes come with so many points and no more."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Literal

from pointgen.datasets.settings import CloudConfig

__all__ = ["PooledConfig", "Pools", "too_few"]

Pools = Literal["auto", "disjoint", "shared"]


class PooledConfig(CloudConfig, ABC):
    """Whether the two pools of a shape are parts of its points, or both all of them."""

    pools: Pools = "disjoint"
    """disjoint: points and target come from two thirds and one third of a shape's points (in our
    own files: from its pools), which takes 3 * num_points; shared: both from all of its points;
    auto: disjoint where every shape of the split has enough points for that, else shared"""

    def is_shared(self, most: Sequence[tuple[int, int]]) -> bool:
        """Return whether both pools of each shape are all its points.

        Args:
            most: the largest num_points that each shape allows, with shared and disjoint pools.
        """
        if self.pools != "auto":
            return self.pools == "shared"
        enough = [
            disjoint >= self.num_points for shared, disjoint in most if shared >= self.num_points
        ]
        return not (enough and all(enough))


def too_few(where: str, count: int, num_points: int, *, shared: bool) -> str | None:
    """Say that a shape has too few points for its pools, the second of them a third, or None."""
    if count >= (num_points if shared else 3 * num_points):
        return None
    if shared:
        return f"{where}: expected at least num_points = {num_points} points, got {count}"
    hint = f"; pools = 'shared' takes {num_points}" if count >= num_points else ""
    return (
        f"{where}: expected at least {3 * num_points} points, for two pools that hold "
        f"num_points = {num_points}, got {count}{hint}"
    )
