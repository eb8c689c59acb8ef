"""A source of shapes that lie in .npy files of points, one file a shape."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pointgen.datasets.base import split_pools
from pointgen.files.errors import check_regular, library

__all__ = ["ArraySource", "ShapeFile", "count_of", "usable"]


@dataclass(frozen=True)
class ShapeFile:
    """One shape on disk.

    Attributes:
        path: its file.
        id: its name.
        label: index of its category.
    """

    path: Path
    id: str
    label: int


class ArraySource:
    """Shapes in .npy files of (n, 3) points each; read when they are asked for."""

    def __init__(
        self, files: Sequence[ShapeFile], categories: tuple[str, ...], *, shared: bool = False
    ) -> None:
        """Keep the names; nothing is read.

        Args:
            files: of the shapes.
            categories: names of the categories.
            shared: both pools of a shape are all its points.
        """
        self._shared = shared
        self._paths = [file.path for file in files]
        self.categories = categories
        self.ids = [file.id for file in files]
        self.labels = [file.label for file in files]

    def pools(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a shape: the first two thirds of its points and the rest, or all of them twice.

        Raises:
            ValueError: The file is not readable, not (n, 3) numbers, or not finite.
        """
        return split_pools(read_points(self._paths[index]), shared=self._shared)


def read_points(path: Path) -> np.ndarray:
    """Read an .npy file of points, (n, 3) float32.

    Raises:
        ValueError: The file is not readable, not (n, 3) numbers, or not finite as float32.
    """
    with np.errstate(over="ignore"):
        points = np.asarray(_open(path), dtype=np.float32)
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=1).sum())
        raise ValueError(f"{path}: expected finite points, got {bad} of {len(points)} not finite")
    return points


def _open(path: Path) -> np.ndarray:
    """Map a file of points into memory: its header is read and checked, its body is not."""
    check_regular(path)
    with library(path, "npy"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: expected an .npy file of points, got an archive")
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected (n, 3) numbers, got {array.shape} of {array.dtype}")
    return array


def usable(
    files: Sequence[ShapeFile],
    problems: Sequence[str | None],
    on_error: Literal["raise", "skip"],
) -> list[ShapeFile]:
    """Return the files without a problem, with one warning that counts the others.

    Raises:
        ValueError: There is a problem and `on_error` is "raise", or no file is left.
    """
    bad = [problem for problem in problems if problem]
    if bad and (on_error == "raise" or len(bad) == len(files)):
        more = f" ({len(bad)} of {len(files)} shapes have problems)" if len(bad) > 1 else ""
        raise ValueError(bad[0] + more)
    if bad:
        message = f"{len(bad)} of {len(files)} shapes left out; the first: {bad[0]}"
        warnings.warn(message, stacklevel=2)
    return [file for file, problem in zip(files, problems, strict=True) if not problem]


def count_of(path: Path, *, whole: bool) -> int | str:
    """Return how many points a file has, or what is wrong with it; it is read only if `whole`."""
    try:
        return len(read_points(path) if whole else _open(path))
    except ValueError as error:
        return str(error)
