"""One cloud read from a file, and the checks that make an array a cloud."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointgen.files.errors import FileError, expect

__all__ = ["Cloud", "coordinates", "to_float32"]

# Rounding to float32 may move a point by this share of the cloud's extent. Map coordinates, metres
# from the equator, exceed it: a house would collapse to a half-metre grid without a word.
LOSS = 1e-3


@dataclass(frozen=True)
class Cloud:
    """One cloud of a file.

    Attributes:
        id: the file's stem, or the id stored in the file, or `stem-0007` for index 7 of a stack.
        points: (N, 3), float32, finite, N >= 1, data units.
    """

    id: str
    points: np.ndarray


def coordinates(path: Path, array: np.ndarray) -> np.ndarray:
    """Return the coordinates of an array as (..., N, 3) float32.

    Args:
        path: The file, for messages.
        array: (N, 3) or (S, N, 3), or with 6 columns, the last three being normals, or a
            one-dimensional structured array with fields x, y, z.

    Raises:
        FileError: Another shape, no points, a number that is not finite or not representable.
    """
    if array.dtype.names is not None:
        array = _by_name(path, array)
    expect(array.dtype.kind in "fiu", path, f"expected numbers, got {array.dtype}")
    expect(array.ndim in (2, 3), path, f"expected shape (N, 3) or (S, N, 3), got {array.shape}")
    expect(array.size > 0, path, f"holds no points: shape {array.shape}")
    if array.shape[-1] != 3:
        _check_columns(path, array.shape)
    return to_float32(path, array[..., :3])


def to_float32(path: Path, points: np.ndarray) -> np.ndarray:
    """Return (..., N, 3) points as a contiguous float32 copy, refusing what would be lost."""
    with np.errstate(over="ignore"):
        single = np.array(points, dtype=np.float32, order="C")
    bad = int((~np.isfinite(single)).any(axis=-1).sum())
    total = single.size // 3
    expect(bad == 0, path, f"{bad} of {total} points are not finite (NaN or inf, in float32)")
    if points.dtype != np.float32:
        _check_loss(path, points, single)
    return single


def _by_name(path: Path, array: np.ndarray) -> np.ndarray:
    names = {str(name).lower(): name for name in array.dtype.names or ()}
    if array.ndim != 1 or not {"x", "y", "z"} <= names.keys():
        raise FileError(path, f"expected fields x, y, z, got {array.dtype.names}")
    columns = [array[names[axis]] for axis in "xyz"]
    expect(all(c.ndim == 1 for c in columns), path, "expected one number in each of x, y, z")
    return np.stack(columns, axis=-1)


def _check_columns(path: Path, shape: tuple[int, ...]) -> None:
    expect(shape[-2] != 3, path, f"expected (N, 3), got {shape}: transposed?")
    expect(
        shape[-1] == 6,
        path,
        f"expected 3 columns (x, y, z) or 6 (and normals), got shape {shape}",
    )


def _check_loss(path: Path, points: np.ndarray, single: np.ndarray) -> None:
    double = points.astype(np.float64)
    extent = np.ptp(double, axis=-2).max(axis=-1)
    loss = np.abs(double - single).max(axis=(-2, -1))
    expect(
        bool(np.all((loss <= LOSS * extent) | (extent == 0))),
        path,
        f"coordinates up to {np.abs(double).max():.6g} with an extent of {np.min(extent):.6g} do "
        "not fit float32: subtract an offset (or rescale) first",
    )
