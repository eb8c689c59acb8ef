"""Frames: the centre and scale that put one shape into a standard position, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["Frame", "FrameKind", "per_shape_frame"]

FrameKind = Literal["shape_unit", "shape_bbox", "shape_std"]
Points = TypeVar("Points", np.ndarray, Tensor)


@dataclass(frozen=True, eq=False)
class Frame:
    """A change of units: `apply` maps p to (p - center) / scale.

    Attributes:
        center: (3,) float64, data units.
        scale: data units per unit of the frame, positive.
    """

    center: np.ndarray
    scale: float

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: The centre is not three finite numbers or the scale not positive and finite.
        """
        center = np.asarray(self.center, dtype=np.float64)
        if center.shape != (3,) or not np.isfinite(center).all():
            raise ValueError(f"center: expected three finite numbers, got {self.center}")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale: expected a finite positive number, got {self.scale}")
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "scale", float(self.scale))

    def apply(self, points: Points) -> Points:
        """Map points (..., 3) from data units into the frame; type and precision are kept."""
        return (points - self._center_like(points)) / self.scale

    def undo(self, points: Points) -> Points:
        """Map points (..., 3) from the frame back into data units; type and precision are kept."""
        return points * self.scale + self._center_like(points)

    def _center_like(self, points: Points) -> Points:
        if isinstance(points, Tensor):
            return torch.as_tensor(self.center, dtype=points.dtype, device=points.device)
        return self.center.astype(np.result_type(points.dtype, np.float32), copy=False)


def per_shape_frame(points: np.ndarray, kind: FrameKind) -> Frame:
    """Return the frame in which one shape is in standard position.

    Args:
        points: (N, 3), data units.
        kind: "shape_unit": centroid at 0, the farthest point at distance 1;
            "shape_bbox": centre of the bounding box at 0, its longest side from -1 to 1;
            "shape_std": centroid at 0, coordinates of standard deviation 1 over all axes together.

    Raises:
        ValueError: The points are not (N, 3) and finite, all coincide, or the kind is unknown.
    """
    if kind not in ("shape_unit", "shape_bbox", "shape_std"):
        raise ValueError(f"kind: expected shape_unit, shape_bbox or shape_std, got {kind!r}")
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ValueError(f"points: expected (N, 3) with N > 0, got {points.shape}")
    exact = points.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ValueError("points: expected finite values, got NaN or infinity")
    low, high = exact.min(axis=0), exact.max(axis=0)
    # Asked of the points as they came: rounding in the mean must not pass for an extent.
    if (low == high).all():
        raise ValueError(f"points: all {len(points)} points coincide, the shape has no size")
    center = (low + high) / 2 if kind == "shape_bbox" else exact.mean(axis=0)
    offsets = exact - center
    if kind == "shape_unit":
        return Frame(center, float(np.linalg.norm(offsets, axis=1).max()))
    if kind == "shape_bbox":
        return Frame(center, float((high - low).max() / 2))
    return Frame(center, float(np.sqrt((offsets**2).mean())))
