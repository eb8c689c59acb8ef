"""The door of every viewer: what a list of shapes may be, and how a gallery is laid out."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Checked",
    "Clouds",
    "Shape",
    "as_shapes",
    "at_time",
    "bounds",
    "check_captions",
    "grid_shape",
    "vertex_colours",
]

Clouds: TypeAlias = Union["np.ndarray", "Tensor", "Shape", "Sequence[np.ndarray | Tensor | Shape]"]


@dataclass(frozen=True)
class Shape:
    """One shape to look at, where there is more to see than points.

    Attributes:
        points: (N, 3), data units, y up.
        colours: (N, 3), RGB in [0, 1]; None leaves the choice to the viewer.
        frames: (T, N, 3), where the points were on their way from noise, the last being `points`;
            None where there was no way.
        surface: vertices (V, 3) and triangles (F, 3), shown instead of the points by viewers that
            can; None for a cloud.
    """

    points: np.ndarray | Tensor
    colours: np.ndarray | None = None
    frames: np.ndarray | Tensor | None = None
    surface: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Checked:
    """A shape as viewers use it: all arrays of numpy, float32 but for the triangles."""

    points: np.ndarray
    colours: np.ndarray | None
    frames: np.ndarray | None
    surface: tuple[np.ndarray, np.ndarray] | None


def as_shapes(clouds: Clouds) -> list[Checked]:
    """Return the clouds as a list of shapes in data units.

    Args:
        clouds: (S, N, 3), one cloud (N, 3), one `Shape`, or a sequence of (N_i, 3) and shapes;
            arrays or tensors on any device.

    Raises:
        ValueError: There is no cloud, or one of them is empty, of another shape, or not finite;
            the message names its index.
    """
    alone = isinstance(clouds, Shape) or (_is_array(clouds) and clouds.ndim == 2)  # type: ignore[union-attr]
    items = [clouds] if alone else list(clouds)  # type: ignore[arg-type]
    if not items:
        raise ValueError("clouds: expected at least one cloud, got none")
    return [_shape(item, f"clouds[{index}]") for index, item in enumerate(items)]


def at_time(shape: Checked, time: float) -> np.ndarray:
    """Return where the points (N, 3) are at a flow time in [0, 1], evenly between two frames."""
    if shape.frames is None:
        return shape.points
    last = len(shape.frames) - 1
    place = min(max(time, 0.0), 1.0) * last
    below = int(place)
    share = np.float32(place - below)
    return (1 - share) * shape.frames[below] + share * shape.frames[min(below + 1, last)]


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


def vertex_colours(shape: Checked) -> np.ndarray | None:
    """Return the colours (V, 3) of a surface's vertices: those of the points nearest to them."""
    from scipy.spatial import KDTree

    if shape.surface is None or shape.colours is None:
        return None
    _, nearest = KDTree(shape.points).query(shape.surface[0])
    found: np.ndarray = shape.colours[nearest]
    return found


def _is_array(value: object) -> bool:
    # a tensor can only come from a program that has already imported torch
    torch = sys.modules.get("torch")
    return isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor))


def _array(cloud: object) -> np.ndarray:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(cloud, torch.Tensor):
        cloud = cloud.detach().cpu().float().numpy()
    return np.asarray(cloud)


def _shape(item: object, name: str) -> Checked:
    shape = item if isinstance(item, Shape) else Shape(item)  # type: ignore[arg-type]
    points = _checked(_array(shape.points), name)
    colours, frames, surface = shape.colours, shape.frames, shape.surface
    if colours is not None:
        colours = np.clip(_alike(_array(colours), points.shape, f"{name}.colours"), 0, 1)
    if frames is not None:
        frames = _array(frames)
        frames = _alike(frames, (len(frames), *points.shape), f"{name}.frames")
    if surface is not None:
        surface = (_checked(_array(surface[0]), f"{name}.surface"), np.asarray(surface[1]))
    return Checked(points, colours, frames, surface)


def _alike(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    if array.shape != shape or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers of shape {shape}, got {array.shape}")
    return array.astype(np.float32)


def _checked(points: np.ndarray, name: str) -> np.ndarray:
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "fiu":
        got = f"{points.shape} of {points.dtype}"
        raise ValueError(f"{name}: expected (N, 3) of numbers, got {got}")
    if not len(points):
        raise ValueError(f"{name}: expected at least one point, got (0, 3)")
    with np.errstate(over="ignore"):
        points = points.astype(np.float32)
    broken = int((~np.isfinite(points)).any(axis=1).sum())
    if broken:
        raise ValueError(f"{name}: {broken} of {len(points)} points are not finite")
    return points
