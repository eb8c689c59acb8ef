"""Folders of sampled shapes: ShapeNetCore.v2.PC15k, ModelNet40.PC15k and any others laid out so."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pointgen.datasets.arrays import ArraySource, ShapeFile, count_of, usable
from pointgen.datasets.folders import (
    choose,
    existing_folder,
    listing,
    split_folder,
    split_roots,
)
from pointgen.datasets.pooled import PooledConfig, too_few
from pointgen.datasets.settings import Categories, Folder, Progress, Split
from pointgen.datasets.synsets import category_name

__all__ = ["Pc15kConfig"]

LAYOUT = "<synset or class>/{train,val,test}/<id>.npy"


class Pc15kConfig(PooledConfig):
    """Shapes in `<root>/<synset or class>/{train,val,test}/<id>.npy`, (15000, 3) numbers each.

    The first 10,000 points are the pool of `points`, the last 5,000 that of `target`; of any other
    count n the first two thirds and the last third. A root that itself holds train, val and test
    is a single category. Files are read when they are needed; building checks their headers, and
    all of their points where `on_error` is "skip".
    """

    kind: Literal["pc15k"] = "pc15k"

    root: Folder
    """the folder of the categories"""

    categories: Categories = ("all",)
    """names (airplane), synset ids (02691156) or folder names of the categories, or all"""

    val_split: str | None = None
    """the folder to read as val where the data have none, for example test for ModelNet"""

    def source(self, split: Split, *, progress: Progress | None = None) -> ArraySource:
        """Find the shapes of a split, in the order of their names.

        Raises:
            ValueError: A folder is missing or empty, or a file cannot be used.
        """
        files, categories = self.files(split)
        counts = self._counts(files, progress)
        shared = self.is_shared([(n, n // 3) for n in counts if isinstance(n, int)])
        problems = [
            n if isinstance(n, str) else too_few(str(file.path), n, self.num_points, shared=shared)
            for file, n in zip(files, counts, strict=True)
        ]
        return ArraySource(usable(files, problems, self.on_error), categories, shared=shared)

    def files(self, split: Split) -> tuple[list[ShapeFile], tuple[str, ...]]:
        """Find the files of a split, good or bad, and the categories' names; none is opened.

        Raises:
            ValueError: A folder is missing or empty.
        """
        root = existing_folder(self.root, LAYOUT)
        folders = split_roots(root)
        if not folders:
            raise ValueError(f"data.root: expected {LAYOUT} in {root}, found {listing(root)}")
        chosen = choose(list(folders), self.categories, root)
        files = [
            file
            for label, name in enumerate(chosen)
            for file in _files(split_folder(folders[name], split, self.val_split), label)
        ]
        return files, tuple(map(category_name, chosen))

    def _counts(self, files: list[ShapeFile], progress: Progress | None) -> list[int | str]:
        """Return how many points each file has, or what is wrong with it."""
        counts = []
        for done, file in enumerate(files, start=1):
            counts.append(count_of(file.path, whole=self.on_error == "skip"))
            if progress:
                progress(done, len(files))
        return counts


def _files(folder: Path, label: int) -> list[ShapeFile]:
    paths = sorted(path for path in folder.glob("*.npy") if not path.name.startswith("."))
    if not paths:
        raise ValueError(f"{folder}: expected <id>.npy files, found {listing(folder)}")
    return [ShapeFile(path, path.stem, label) for path in paths]
