"""A folder of one's own clouds, in any format that is read."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from pointgen.datasets.base import split_pools
from pointgen.datasets.layouts import hash_splits
from pointgen.datasets.settings import CloudConfig, Folder, Fractions, Progress, Split
from pointgen.files import read_clouds
from pointgen.files.mark import Mark, mark_of
from pointgen.files.read import cloud_files

__all__ = ["CloudFilesConfig"]


class CloudFilesConfig(CloudConfig):
    """Clouds (ply, xyz, pcd, npy, npz, h5) of a file, or anywhere below a folder, as one category.

    All are read when the data set is built, and kept in memory. The first two thirds of the points
    are the pool of `points`, the rest that of `target`; points should be in no particular order.
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
        root = self.place()
        ids, clouds = _read(root)
        places = hash_splits(ids, self.splits, self.seed)
        chosen = [i for i, place in enumerate(places) if place == split]
        if not chosen:
            raise ValueError(f"{root}: too few clouds for a {split} split ({len(ids)} found)")
        return CloudFiles(root.stem, [ids[i] for i in chosen], [clouds[i] for i in chosen])


class CloudFiles:
    """Clouds in memory, of one category."""

    def __init__(self, category: str, ids: list[str], clouds: list[np.ndarray]) -> None:
        self.categories = (category,)
        self.ids = ids
        self.labels = [0] * len(ids)
        self._clouds = clouds

    def pools(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first two thirds of a shape's points, and the last third."""
        return split_pools(self._clouds[index])


def _read(root: Path) -> tuple[list[str], list[np.ndarray]]:
    files = cloud_files(root) if root.is_dir() else [root]
    return _kept(root, tuple((file, mark_of(file)) for file in files))


@lru_cache(maxsize=1)  # for the next split of the same folder, while its files stay as they are
def _kept(root: Path, files: tuple[tuple[Path, Mark], ...]) -> tuple[list[str], list[np.ndarray]]:
    found = read_clouds(root)
    return [cloud.id for cloud in found], [cloud.points for cloud in found]
