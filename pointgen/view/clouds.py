"""The door of every viewer: what a list of clouds may be, and how a gallery is laid out."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Clouds", "as_clouds", "bounds", "check_captions", "grid_shape"]

Clouds: TypeAlias = Union["np.ndarray", "Tensor", "Sequence[np.ndarray | Tensor]"]


def as_clouds(clouds: Clouds) -> list[np.ndarray]:
    """Return the clouds as a list of (N_i, 3) float32 arrays in data units.

    Args:
        clouds: (S, N, 3), one cloud (N, 3), or a sequence of (N_i, 3); arrays or tensors on any
            device.

    Raises:
        ValueError: There is no cloud, or one of them is empty, of another shape, or not finite;
            the message names its index.
    """
    items = [clouds] if _is_array(clouds) and clouds.ndim == 2 else list(clouds)  # type: ignore[union-attr]
    if not items:
        raise ValueError("clouds: expected at least one cloud, got none")
    return [_checked(_array(item), index) for index, item in enumerate(items)]


def check_captions(captions: Sequence[str] | None, count: int) -> list[str]:
    """Return one caption for each of `count` clouds, empty ones where none were given.

    Raises:
        ValueError: There are more or fewer captions than clouds.
    """
    if captions is None:
        return [""] * count
    if isinstance(captions, str) or len(captions) != count:
        got = "one string" if isinstance(captions, str) else str(len(captions))
        raise ValueError(f"captions: expected {count}, one for each cloud, got {got}")
    return [str(caption) for caption in captions]


def grid_shape(count: int, columns: int | None = None) -> tuple[int, int]:
    """Return (rows, columns) of a gallery of `count` clouds, as square as possible by default.

    Raises:
        ValueError: `columns` is below one.
    """
    if columns is not None and columns < 1:
        raise ValueError(f"columns: expected at least 1, got {columns}")
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    return math.ceil(count / columns), columns


def bounds(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the centre (3,) of the bounding box and its longest side (1 for a single place)."""
    low, high = points.min(axis=0).astype(float), points.max(axis=0).astype(float)
    side = float((high - low).max())
    return (low + high) / 2, side if side > 0 else 1.0


def _is_array(value: object) -> bool:
    # a tensor can only come from a program that has already imported torch
    torch = sys.modules.get("torch")
    return isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor))


def _array(cloud: object) -> np.ndarray:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(cloud, torch.Tensor):
        cloud = cloud.detach().cpu().float().numpy()
    return np.asarray(cloud)


def _checked(points: np.ndarray, index: int) -> np.ndarray:
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "fiu":
        got = f"{points.shape} of {points.dtype}"
        raise ValueError(f"clouds[{index}]: expected (N, 3) of numbers, got {got}")
    if not len(points):
        raise ValueError(f"clouds[{index}]: expected at least one point, got (0, 3)")
    with np.errstate(over="ignore"):
        points = points.astype(np.float32)
    broken = int((~np.isfinite(points)).any(axis=1).sum())
    if broken:
        raise ValueError(f"clouds[{index}]: {broken} of {len(points)} points are not finite")
    return points
