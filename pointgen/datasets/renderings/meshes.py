"""The surfaces of a data config: what there is to be rendered, and how each is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pointgen.datasets.detect import splits_of
from pointgen.datasets.folders import existing_folder, split_roots, synset_folders
from pointgen.datasets.meshes import MeshesConfig
from pointgen.datasets.procedural import ProceduralConfig
from pointgen.datasets.procedural.config import made_shape, shape_id
from pointgen.datasets.renderings.layout import folder_of
from pointgen.datasets.settings import Split
from pointgen.files import read_surface

if TYPE_CHECKING:
    from pointgen.datasets import DataConfig

__all__ = ["BuiltIn", "MeshFile", "Subject", "subjects"]


@dataclass(frozen=True)
class BuiltIn:
    """A built-in shape, made when it is read."""

    category: str
    index: int
    split: Split
    seed: int

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices (V, 3) and faces (F, 3)."""
        shape = made_shape(self.category, self.index, split=self.split, seed=self.seed)[0]
        return shape.vertices, shape.faces

    @property
    def place(self) -> str:
        """Where it comes from, for people."""
        return f"{self.category} {self.index} of {self.split}"

    def mark(self) -> str:
        """Return what differs where the surface does."""
        return f"{self.place}, seed {self.seed}"


@dataclass(frozen=True)
class MeshFile:
    """A mesh on disk."""

    path: Path

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices (V, 3) and faces (F, 3).

        Raises:
            FileError: It cannot be used.
        """
        surface = read_surface(self.path)
        return surface.vertices, surface.faces

    @property
    def place(self) -> str:
        """Where it comes from, for people."""
        return str(self.path)

    def mark(self) -> str:
        """Return what differs where the surface does, as far as that is quickly said."""
        return f"{self.path.stat().st_size} bytes"  # a copy of the data is as good: no path or time


@dataclass(frozen=True)
class Subject:
    """One shape to be rendered.

    Attributes:
        name: its category's folder and its id, "chair/chair_00000".
        folder: of its pictures, below that of all pictures.
        surface: where its surface comes from.
    """

    name: str
    folder: Path
    surface: BuiltIn | MeshFile


def subjects(config: DataConfig, splits: Sequence[Split] | None = None) -> list[Subject]:
    """Return the shapes of a config, of all its splits or of some.

    Raises:
        ValueError: There are no meshes, or two shapes would have one folder.
    """
    match config:
        case ProceduralConfig():
            found = _built_in(config, splits or splits_of(config))
        case MeshesConfig():
            found = _files(config, splits)
        case _:
            raise ValueError(
                f"data.kind: expected meshes to render (procedural or meshes), got {config.kind}, "
                "which holds points"
            )
    folders: dict[Path, str] = {}
    for subject in found:
        if subject.folder in folders:
            raise ValueError(
                f"{subject.name}: its pictures would lie in {subject.folder}, as those of "
                f"{folders[subject.folder]}; rename one of them"
            )
        folders[subject.folder] = subject.name
    return found


def _built_in(config: ProceduralConfig, splits: Sequence[Split]) -> list[Subject]:
    return [
        _subject(category, shape_id(category, i, split), BuiltIn(category, i, split, config.seed))
        for split in splits
        for category in config.categories
        for i in range(config.count(split))
    ]


def _files(config: MeshesConfig, splits: Sequence[Split] | None) -> list[Subject]:
    # how many points are drawn, and how many splits can be filled, does not matter to a camera
    config = config.model_copy(update={"num_points": 1})
    root = existing_folder(config.root, "meshes")
    if splits is None and not split_roots(root) and not (root / "all.csv").is_file():
        config, splits = config.model_copy(update={"splits": (1.0, 0.0, 0.0)}), ["train"]
    synsets = {} if split_roots(root) else synset_folders(root)
    found = []
    for split in splits or splits_of(config):
        files, _, categories = config.jobs(split)
        for file in files:
            category = categories[file.label]
            if synsets:
                category = file.path.relative_to(root).parts[0]
            found.append(_subject(category, file.id, MeshFile(file.path)))
    return found


def _subject(category: str, id: str, surface: BuiltIn | MeshFile) -> Subject:
    return Subject(f"{category}/{id}", folder_of(category, id), surface)
