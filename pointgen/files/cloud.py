"""One cloud read from a file, and the checks that make arrays a cloud."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointgen.files.errors import expect

__all__ = ["Cloud", "coordinates", "to_float32"]

# Rounding to float32 may move a point by this share of the cloud's extent. Map coordinates, metres
# from the equator, exceed it: a house would collapse to a half-metre grid without a word.
LOSS = 1e-3


@dataclass(frozen=True)
class Cloud:
    """One cloud of a file; beyond its points it has what the file has.

    Attributes:
        id: the file's stem, or the id stored in the file, or `stem-0007` for index 7 of a stack.
        points: (N, 3), float32, finite, N >= 1, data units.
        normals: (N, 3), float32, finite, of the file's lengths, or None.
        colours: (N, 3), uint8, red, green, blue, or None.
        labels: (N,), int64, of parts or classes, or None.
        left_out: what the file has beyond that, and why it cannot be used.
    """

    id: str
    points: np.ndarray
    normals: np.ndarray | None = None
    colours: np.ndarray | None = None
    labels: np.ndarray | None = None
    left_out: tuple[str, ...] = ()


def coordinates(path: Path, array: np.ndarray) -> np.ndarray:
    """Return coordinates (N, 3) or (S, N, 3) as float32.

    Raises:
        FileError: Another shape, no points, a number that is not finite or not representable.
    """
    expect(array.dtype.kind in "fiu", path, f"expected numbers, got {array.dtype}")
    expect(array.ndim in (2, 3), path, f"expected shape (N, 3) or (S, N, 3), got {array.shape}")
    expect(array.size > 0, path, f"holds no points: shape {array.shape}")
    expect(array.shape[-1] == 3, path, f"expected 3 columns, got shape {array.shape}")
    return to_float32(path, array)


def to_float32(path: Path, points: np.ndarray) -> np.ndarray:
    """Return (..., N, 3) points as a contiguous float32 copy, refusing what would be lost."""
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.array(points, dtype=np.float32, order="C")
    bad = int((~np.isfinite(single)).any(axis=-1).sum())
    total = single.size // 3
    expect(bad == 0, path, f"{bad} of {total} points are not finite (NaN or inf, in float32)")
    if points.dtype != np.float32:
        _check_loss(path, points, single)
    return single


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
