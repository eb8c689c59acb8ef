"""The shapes of a data set by name, bad ones too: listed where training would stop at the first."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from pointgen.datasets.arrays import ArraySource, ShapeFile
from pointgen.datasets.base import Source
from pointgen.datasets.cloud_files import CloudFilesConfig
from pointgen.datasets.folders import split_roots, synset_folders
from pointgen.datasets.hdf5 import Hdf5Config
from pointgen.datasets.meshes import MeshesConfig
from pointgen.datasets.pc15k import Pc15kConfig
from pointgen.datasets.procedural import ProceduralConfig
from pointgen.datasets.settings import Split
from pointgen.datasets.surfaces import Job
from pointgen.datasets.synsets import category_name

__all__ = ["Absence", "AnyConfig", "Name", "Shelf", "find_shelves"]

AnyConfig = ProceduralConfig | MeshesConfig | Pc15kConfig | Hdf5Config | CloudFilesConfig


@dataclass(frozen=True)
class Name:
    """One shape by its names."""

    split: Split
    category: str
    id: str

    def __str__(self) -> str:
        """Return the names in a row."""
        return f"{self.category}/{self.split}/{self.id}"


@dataclass(frozen=True)
class Absence:
    """A category without shapes in a split that the data have, and why."""

    split: Split
    category: str
    reason: str


@dataclass(frozen=True)
class Shelf:
    """Shapes of one split, none of them read yet.

    Attributes:
        split: which.
        source: the shapes; where they are meshes, the points that the jobs write.
        jobs: for each shape how its mesh is sampled, where they are meshes.
    """

    split: Split
    source: Source
    jobs: tuple[Job, ...] = ()

    def name(self, index: int) -> Name:
        """Return the names of a shape."""
        source = self.source
        return Name(self.split, source.categories[source.labels[index]], source.ids[index])


def find_shelves(config: AnyConfig, split: Split) -> tuple[list[Shelf], list[Absence]]:
    """Find the shapes of a split, category by category if not all of them are there.

    Returns:
        The shapes that were found, and the categories without any.
    """
    try:
        shelves = [_shelf(config, split)]
    except ValueError as error:
        return _one_by_one(config, split, error)
    return shelves, [lack for shelf in shelves for lack in _unused(shelf)]


def _one_by_one(
    config: AnyConfig, split: Split, error: ValueError
) -> tuple[list[Shelf], list[Absence]]:
    categories = _categories(config)
    if len(categories) < 2:
        return [], [Absence(split, category_name("".join(categories)), str(error))]
    shelves: list[Shelf] = []
    absences: list[Absence] = []
    for name in categories:
        try:
            shelves.append(_shelf(config.model_copy(update={"categories": (name,)}), split))
        except ValueError as reason:
            absences.append(Absence(split, category_name(name), str(reason)))
    return shelves, absences


def _unused(shelf: Shelf) -> list[Absence]:
    """The categories that the source knows, but has no shape of."""
    used = set(shelf.source.labels)
    return [
        Absence(shelf.split, name, f"no shape of {name} in split {shelf.split}")
        for label, name in enumerate(shelf.source.categories)
        if label not in used
    ]


def _categories(config: AnyConfig) -> tuple[str, ...]:
    """The names of the categories that the config asks for, as far as folders say them."""
    if isinstance(config, CloudFilesConfig):
        return (config.root.stem,)
    if config.categories != ("all",):
        return config.categories
    if isinstance(config, Pc15kConfig | MeshesConfig):
        root = config.root.expanduser()
        return tuple(split_roots(root) or synset_folders(root))
    return ()


def _shelf(config: AnyConfig, split: Split) -> Shelf:
    match config:
        case Pc15kConfig():
            return Shelf(split, ArraySource(*config.files(split)))
        case MeshesConfig():
            return _meshes(config, split)
        case Hdf5Config():  # which refuses shapes with fewer points than num_points
            undemanding = config.model_copy(update={"num_points": 1, "on_error": "raise"})
            return Shelf(split, undemanding.source(split))
        case CloudFilesConfig():
            return Shelf(split, config.listed(split))
        case ProceduralConfig():
            return Shelf(split, config.source(split))


def _meshes(config: MeshesConfig, split: Split) -> Shelf:
    undemanding = config.model_copy(update={"num_points": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that all.csv lacks shapes is found elsewhere
        files, jobs, categories = undemanding.jobs(split)
    sampled = [
        ShapeFile(job.points, file.id, file.label) for job, file in zip(jobs, files, strict=True)
    ]
    return Shelf(split, ArraySource(sampled, categories), tuple(jobs))
