"""A folder of one's own clouds, in any format that is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np
from pydantic import Field

from pointgen.datasets.arrays import ShapeFile, usable
from pointgen.datasets.base import split_pools
from pointgen.datasets.layouts import hash_splits
from pointgen.datasets.pooled import PooledConfig, too_few
from pointgen.datasets.settings import Folder, Fractions, Progress, Split
from pointgen.files import Cloud, FileError
from pointgen.files.mark import Mark, mark_of
from pointgen.files.read import cloud_files, labels_of, merged, read_file

__all__ = ["CloudFilesConfig"]


class CloudFilesConfig(PooledConfig):
    """Clouds (ply, xyz, pcd, npy, npz, h5) of a file, or anywhere below a folder, as one category.

    All are read when the data set is built, and kept in memory. The points of each are shuffled,
    always alike, as many files have them sorted in space; then two thirds are the pool of `points`
    and one third is that of `target`.
    """

    kind: Literal["clouds"] = "clouds"

    root: Folder
    """the folder or file"""

    splits: Fractions = (0.8, 0.1, 0.1)
    """fractions of train, val and test; a shape's place follows from a hash of its name"""

    seed: int = Field(default=0, ge=0)
    """other seeds divide otherwise"""

    def place(self) -> Path:
        """Return the folder or file with ~ expanded.

        Raises:
            ValueError: It is not there.
        """
        root = self.root.expanduser()
        if not root.exists():
            raise ValueError(f"data.root: expected clouds at {root}, found nothing")
        return root

    def source(self, split: Split, *, progress: Progress | None = None) -> CloudFiles:
        """Read the clouds of a split.

        Raises:
            ValueError: Nothing is there, a file cannot be used, or there are too few.
        """
        chosen = self._found(split)
        counts = [len(each.points) for each in chosen if each.points is not None]
        shared = self.is_shared([(count, count // 3) for count in counts])
        problems = [self._problem(each, shared) for each in chosen]
        usable([each.file for each in chosen], problems, self.on_error)  # stops, or warns
        good = [each for each, bad in zip(chosen, problems, strict=True) if not bad]
        return CloudFiles(self.root.stem, good, shared=shared)

    def listed(self, split: Split) -> CloudFiles:
        """Return the clouds of a split, good or bad: a bad one raises when it is asked for.

        Raises:
            ValueError: Nothing is there, or too little for this split.
        """
        return CloudFiles(self.root.stem, self._found(split), shared=True)

    def _found(self, split: Split) -> list[_Found]:
        root = self.place()
        found = _read(root)
        places = hash_splits([each.file.id for each in found], self.splits, self.seed)
        chosen = [each for each, place in zip(found, places, strict=True) if place == split]
        if not chosen:
            raise ValueError(f"{root}: too few clouds for a {split} split ({len(found)} found)")
        return chosen

    def _problem(self, found: _Found, shared: bool) -> str | None:
        if found.points is None:
            return found.problem
        where = f"{found.file.path}: {found.file.id}"
        return too_few(where, len(found.points), self.num_points, shared=shared)


@dataclass(frozen=True, eq=False)
class _Found:
    """A cloud, or a file that holds none.

    Attributes:
        file: where it is, and its name.
        points: (N, 3) float32, shuffled; None of a file that cannot be used.
        problem: why it cannot.
    """

    file: ShapeFile
    points: np.ndarray | None = None
    problem: str | None = None


class CloudFiles:
    """Clouds in memory, of one category."""

    def __init__(self, category: str, found: list[_Found], *, shared: bool) -> None:
        self.categories = (category,)
        self.ids = [each.file.id for each in found]
        self.labels = [0] * len(found)
        self._found = found
        self._shared = shared

    def pools(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return two thirds of a shape's points and the other third, or all of them twice.

        Raises:
            ValueError: Its file cannot be used.
        """
        found = self._found[index]
        if found.points is None:
            raise ValueError(found.problem)
        return split_pools(found.points, shared=self._shared)


def _read(root: Path) -> list[_Found]:
    files = cloud_files(root) if root.is_dir() else [root]
    return _kept(root, tuple((file, _mark(file)) for file in files))


def _mark(file: Path) -> Mark | None:
    try:
        return mark_of(file)
    except FileError:  # the reader will say so, too
        return None


@lru_cache(maxsize=1)  # for the next split of the same folder, while its files stay as they are
def _kept(root: Path, files: tuple[tuple[Path, Mark | None], ...]) -> list[_Found]:
    """Read all files, past those that cannot be used."""
    paths = [path for path, _ in files]
    labels = labels_of([path.relative_to(root) for path in paths] if root.is_dir() else paths)
    parts: list[list[Cloud]] = []
    problems: dict[Path, str] = {}
    for path, label in zip(paths, labels, strict=True):
        try:
            parts.append(read_file(path, label))
        except FileError as error:
            parts.append([])
            problems[path] = str(error)
    clouds = iter(merged(root, parts, labels) if len(problems) < len(paths) else ())
    found: list[_Found] = []
    for path, label, part in zip(paths, labels, parts, strict=True):
        if path in problems:
            found.append(_Found(ShapeFile(path, label, 0), problem=problems[path]))
        for cloud in islice(clouds, len(part)):
            found.append(_Found(ShapeFile(path, cloud.id, 0), _shuffled(cloud)))
    return found


def _shuffled(cloud: Cloud) -> np.ndarray:
    """Return the points in an order that follows from the cloud's id."""
    rng = np.random.default_rng(crc32(cloud.id.encode()))
    return rng.permutation(cloud.points)
