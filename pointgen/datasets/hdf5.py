"""Shapes in HDF5 files, read when they are asked for: the field's usual layouts, and our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from pointgen.datasets.arrays import ShapeFile, usable
from pointgen.datasets.folders import choose
from pointgen.datasets.hdf5_files import Handles, StoredShape
from pointgen.datasets.hdf5_layouts import read_contents
from pointgen.datasets.pooled import PooledConfig, Pools
from pointgen.datasets.settings import Categories, Folder, Progress, Split
from pointgen.datasets.synsets import category_name

__all__ = ["Hdf5Config", "Hdf5Source"]


class Hdf5Source:
    """Shapes in HDF5 files; safe in the workers of a DataLoader, which open the files anew."""

    def __init__(
        self, shapes: Sequence[StoredShape], categories: Sequence[str], *, shared: bool
    ) -> None:
        """Keep where the shapes lie; no points are read.

        Args:
            shapes: the shapes.
            categories: names of the categories, as the shapes have them.
            shared: both pools of a shape are all its points.
        """
        self._shapes = list(shapes)
        self._shared = shared
        self._handles = Handles(len({shape.path for shape in shapes}))
        self.categories = tuple(map(category_name, categories))
        self.ids = [shape.id for shape in shapes]
        self.labels = [categories.index(shape.category) for shape in shapes]

    def pools(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a shape; where the pools are shared, both are the same array.

        Raises:
            FileError: The file is damaged.
            ValueError: A point is not finite as float32.
        """
        shape = self._shapes[index]
        points = self._read(shape, shape.points)
        if self._shared:
            return points, points
        return points[: shape.first], points[shape.first :]

    @property
    def has_normals(self) -> bool:
        """Whether there are normals of every shape."""
        return all(shape.normals is not None for shape in self._shapes)

    def normals(self, index: int) -> np.ndarray | None:
        """Read the normals of a shape's points, (n, 3) float32; None where there are none.

        Raises:
            FileError: The file is damaged.
            ValueError: A normal is not finite.
        """
        shape = self._shapes[index]
        if shape.normals is None:
            return None
        return self._read(shape, shape.normals)

    def _read(self, shape: StoredShape, key: str) -> np.ndarray:
        """Read the rows of a shape as float32, all of them finite."""
        with np.errstate(over="ignore"):
            rows = self._handles.read(shape.path, key, shape.where).astype(np.float32)
        bad = int((~np.isfinite(rows)).any(axis=-1).sum())
        if bad:
            name = "normals" if key == shape.normals else "points"
            of = f"got {bad} of {len(rows)} not finite"
            raise ValueError(f"{shape.path}: {shape.id}: expected finite {name}, {of}")
        return rows


class Hdf5Config(PooledConfig):
    """Shapes in an HDF5 file or a folder of them; see `read_contents` for the layouts.

    modelnet40_ply_hdf5_2048, AnTao's *_hdf5_2048, DPM's shapenet.hdf5, or a file that
    `pointgen data pack` wrote. Points are read when they are needed, however large the files are;
    building checks what surrounds them, and all of the points where `on_error` is "skip".
    """

    kind: Literal["hdf5"] = "hdf5"

    path: Folder
    """the file, or the folder of the files"""

    categories: Categories = ("all",)
    """names or synset ids of the categories, or all"""

    val_split: Split | None = None
    """the split to read as val where the data have none, for example test for ModelNet"""

    pools: Pools = "auto"  # as most of these files have 2048 points a shape

    def splits(self) -> list[Split]:
        """Return the splits that the data have.

        Raises:
            ValueError: The data are not there or cannot be read.
        """
        return list(read_contents(self.path.expanduser()).shapes)

    def source(self, split: Split, *, progress: Progress | None = None) -> Hdf5Source:
        """Find the shapes of a split, in the order of the files.

        Raises:
            ValueError: A file, the split or a category is missing, or something cannot be used.
        """
        path = self.path.expanduser()
        contents = read_contents(path)
        chosen = choose(contents.categories, self.categories, path)
        wanted = self.val_split if split == "val" and self.val_split else split
        found = contents.shapes.get(wanted)
        if not found:
            there = ", ".join(contents.shapes) or "none"
            hint = "; val_split can name another to use as val" if split == "val" else ""
            raise ValueError(f"{path}: no split {wanted}; found: {there}{hint}")
        order = {name: label for label, name in enumerate(chosen)}
        shapes = [shape for shape in found if shape.category in order]
        shapes.sort(key=lambda shape: order[shape.category])  # stable, as in folders of categories
        if not shapes:
            raise ValueError(f"{path}: no shape of {', '.join(chosen)} in split {wanted}")
        shared = self.is_shared(
            [(_most(shape, shared=True), _most(shape, shared=False)) for shape in shapes]
        )
        return Hdf5Source(self._usable(shapes, shared, progress), chosen, shared=shared)

    def _usable(
        self, shapes: list[StoredShape], shared: bool, progress: Progress | None
    ) -> list[StoredShape]:
        """Return the shapes without a problem."""
        source = Hdf5Source(shapes, sorted({shape.category for shape in shapes}), shared=shared)
        least = min(_most(shape, shared=shared) for shape in shapes)
        problems = []
        for index, shape in enumerate(shapes):
            problem = self._too_few(shape, shared, least)
            if not problem and self.on_error == "skip":
                problem = _unreadable(source, index)
            problems.append(problem)
            if progress:
                progress(index + 1, len(shapes))
        files = [
            ShapeFile(shape.path, shape.id, label)
            for shape, label in zip(shapes, source.labels, strict=True)
        ]
        usable(files, problems, self.on_error)  # stops, or warns with a count
        return [shape for shape, problem in zip(shapes, problems, strict=True) if not problem]

    def _too_few(self, shape: StoredShape, shared: bool, least: int) -> str | None:
        if _most(shape, shared=shared) >= self.num_points:
            return None
        way = "" if shared else ", for two clouds without a common point and a third,"
        return (
            f"{shape.path}: {shape.id}: expected enough points{way} for num_points = "
            f"{self.num_points}, got {shape.count}; for all shapes it can be {least} at most"
        )


def _most(shape: StoredShape, *, shared: bool) -> int:
    """The largest num_points that a shape allows."""
    return shape.count if shared else min(shape.first // 2, shape.count - shape.first)


def _unreadable(source: Hdf5Source, index: int) -> str | None:
    try:
        source.pools(index)
    except ValueError as error:
        return str(error)
    return None
