"""Folders of meshes: ShapeNetCore, ModelNet, or your own; sampled once and cached."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pointgen.datasets.arrays import ArraySource, ShapeFile, usable
from pointgen.datasets.folders import existing_folder
from pointgen.datasets.layouts import Division, find_meshes
from pointgen.datasets.settings import (
    Categories,
    CloudConfig,
    Folder,
    Fractions,
    Progress,
    Split,
)
from pointgen.datasets.surfaces import Job, cache_folder, cached_points, sample_meshes
from pointgen.files import MESH_SUFFIXES

__all__ = ["MeshesConfig"]


class MeshesConfig(CloudConfig):
    """Meshes (ply, obj, off, stl, glb, gltf), found by looking; see `find_meshes` for the layouts.

    Building samples the surfaces of the split, uniformly by area, where that is not yet done. The
    points keep the meshes' own units; the first two thirds are the pool of `points`, the last
    third that of `target`.
    """

    kind: Literal["meshes"] = "meshes"

    root: Folder
    """the folder of the meshes"""

    categories: Categories = ("all",)
    """names, synset ids or folder names of the categories, or all"""

    splits: Fractions = (0.8, 0.1, 0.1)
    """fractions of train, val and test where neither folders nor all.csv say it; a shape's place
    follows from a hash of its name"""

    val_split: str | None = None
    """the folder to read as val where there are folders of splits but no val (ModelNet)"""

    seed: int = Field(default=0, ge=0)
    """other seeds sample and divide otherwise"""

    points_per_shape: int = Field(default=15_000, ge=3)
    """points drawn from each surface, at least three times num_points"""

    cache: Folder | None = None
    """where the points are kept; if not given, pointgen/surfaces in the user's cache folder
    ($XDG_CACHE_HOME or ~/.cache; on Windows %LOCALAPPDATA%), never in root"""

    def source(self, split: Split, *, progress: Progress | None = None) -> ArraySource:
        """Find and sample the meshes of a split.

        Raises:
            ValueError: A folder is missing or empty, or a mesh cannot be used.
        """
        files, jobs, categories = self.jobs(split)
        stop = self.on_error == "raise"
        problems = sample_meshes(jobs, stop_at_problem=stop, progress=progress)
        sampled = [
            ShapeFile(job.points, file.id, file.label)
            for job, file in zip(jobs, files, strict=True)
        ]
        # where sampling stopped at a problem there are fewer problems than files
        good = usable(sampled[: len(problems)], problems, self.on_error)
        return ArraySource(good, categories)

    def jobs(self, split: Split) -> tuple[list[ShapeFile], list[Job], tuple[str, ...]]:
        """Find the meshes of a split: each with how it is sampled, and the categories' names.

        Raises:
            ValueError: A folder is missing or empty.
        """
        if self.points_per_shape // 3 < self.num_points:
            raise ValueError(
                f"data.points_per_shape: expected at least {3 * self.num_points}, three times "
                f"num_points, got {self.points_per_shape}"
            )
        root = existing_folder(self.root, f"meshes ({', '.join(MESH_SUFFIXES)})")
        division = Division(self.splits, self.seed, self.val_split)
        files, categories = find_meshes(root, split, self.categories, division)
        folder = cache_folder(self.cache)
        return files, [self._job(folder, file) for file in files], categories

    def _job(self, folder: Path, file: ShapeFile) -> Job:
        count, seed = self.points_per_shape, self.seed
        points = cached_points(folder, file.path, file.id, count=count, seed=seed)
        return Job(file.path, points, count, seed, file.id)
