"""What a pack reads: the shapes of a config, one at a time, with normals where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pointgen.datasets.arrays import ShapeFile
from pointgen.datasets.base import Source, split_pools
from pointgen.datasets.hdf5 import Hdf5Source
from pointgen.datasets.meshes import MeshesConfig
from pointgen.datasets.settings import Split
from pointgen.datasets.surfaces import Job, draw, generator
from pointgen.geometry.sampling import normals_at, spots_on

if TYPE_CHECKING:
    from pointgen.datasets import CloudsConfig

__all__ = ["Reader", "Sampled", "mark", "reader_of"]


@dataclass(frozen=True, eq=False)
class Sampled:
    """A shape to be packed.

    Attributes:
        points: (n, 3) float32, data units, of the first pool and then the second.
        first: size of the first pool; n where both pools are all the points.
        normals: (n, 3) float32, those of the points, or None.
    """

    points: np.ndarray
    first: int
    normals: np.ndarray | None = None


class Reader(Protocol):
    """The shapes of one split of a data set."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories."""

    @property
    def ids(self) -> Sequence[str]:
        """Names of the shapes."""

    @property
    def labels(self) -> Sequence[int]:
        """The category of each shape."""

    @property
    def has_normals(self) -> bool:
        """Whether every shape has normals."""

    @property
    def versions(self) -> Sequence[str]:
        """What changes where a shape changes, as far as that can be said without reading it."""

    def read(self, index: int) -> Sampled:
        """Read a shape; raise a ValueError that names it if it cannot be used."""


class SourceReader:
    """Reads the shapes of a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.categories = source.categories
        self.ids = source.ids
        self.labels = source.labels
        self.has_normals = isinstance(source, Hdf5Source) and source.has_normals
        self.versions: Sequence[str] = ()

    def read(self, index: int) -> Sampled:
        """Read a shape."""
        first, second = self._source.pools(index)
        if first is second:
            points, cut = first, len(first)
        else:
            points, cut = np.concatenate([first, second]), len(first)
        if isinstance(self._source, Hdf5Source) and self.has_normals:
            return Sampled(points, cut, self._source.normals(index))
        return Sampled(points, cut)


class MeshReader:
    """Samples meshes: the points are those that training draws, but nothing is cached."""

    has_normals = True

    def __init__(
        self, files: Sequence[ShapeFile], jobs: Sequence[Job], categories: tuple[str, ...]
    ) -> None:
        self._jobs = jobs
        self.categories = categories
        self.ids = [file.id for file in files]
        self.labels = [file.label for file in files]
        self.versions = [job.points.name for job in jobs]  # follows from the mesh's size and time

    def read(self, index: int) -> Sampled:
        """Sample a mesh."""
        job = self._jobs[index]
        drawn = draw(job)
        spots = spots_on(drawn.vertices, drawn.faces, job.count, generator(job))  # the same ones
        normals = normals_at(spots, drawn.vertices)
        return Sampled(drawn.points, len(split_pools(drawn.points)[0]), normals)


# Kept for the processes that are forked from this one: none of them has to look again.
@lru_cache(maxsize=3)
def reader_of(config: CloudsConfig, split: Split) -> Reader:
    """Find the shapes of a split.

    Raises:
        ValueError: The data are not there, or cannot be used.
    """
    if isinstance(config, MeshesConfig):
        return MeshReader(*config.jobs(split))
    return SourceReader(config.source(split))


def mark(reader: Reader) -> str:
    """Return what tells these shapes from others."""
    labels = map(str, reader.labels)
    told = [*reader.categories, "", *reader.ids, "", *labels, "", *reader.versions]
    return sha256("\0".join(told).encode()).hexdigest()
