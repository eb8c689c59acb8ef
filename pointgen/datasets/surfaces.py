"""Sampling the surfaces of mesh files, once: the points are kept in a cache folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import numpy as np

from pointgen.datasets.settings import Progress
from pointgen.devices import cores
from pointgen.files import FileError, atomic, read_surface
from pointgen.files.cache import user_cache
from pointgen.files.mark import mark_of
from pointgen.geometry.sampling import sample_surface

__all__ = ["Draw", "Job", "cache_folder", "cached_points", "draw", "generator", "sample_meshes"]

FEW = 16  # so few meshes are sampled before a second process has started
MOST_PROCESSES = 8  # more only wait for the disk


@dataclass(frozen=True)
class Job:
    """One mesh to be sampled.

    Attributes:
        mesh: the file to read.
        points: the .npy file to write.
        count: how many points.
        seed: the points are the same for the same seed and name of the mesh.
        name: the shape's id.
    """

    mesh: Path
    points: Path
    count: int
    seed: int
    name: str


@dataclass(frozen=True, eq=False)
class Draw:
    """Points of a surface, and the surface.

    Attributes:
        points: (count, 3) float32, data units.
        vertices: (V, 3), data units.
        faces: (F, 3) int, indices of vertices.
    """

    points: np.ndarray
    vertices: np.ndarray
    faces: np.ndarray


def cache_folder(cache: Path | None) -> Path:
    """Return the folder for points sampled from meshes: `cache`, or one in the user's own cache.

    It is never beside the meshes: data may be shared, or belong to somebody else.
    """
    return cache.expanduser() if cache else user_cache("surfaces")


def cached_points(folder: Path, mesh: Path, name: str, *, count: int, seed: int) -> Path:
    """Name the cache file of a mesh; another size or time of the mesh gives another name.

    The shape's name is in it, as the points follow from that: the same mesh has another name if
    it is found from another root.
    """
    path, size, time = mark_of(mesh)
    key = f"{path}|{name}|{size}|{time}|{count}|{seed}"
    return folder / f"{sha256(key.encode()).hexdigest()[:32]}.npy"


def sample_meshes(
    jobs: Sequence[Job], *, stop_at_problem: bool, progress: Progress | None = None
) -> list[str | None]:
    """Sample those meshes whose points are not there yet, in several processes if there are many.

    Returns:
        For each job what is wrong with its mesh, or None; shorter if `stop_at_problem` cut it off.
    """
    problems = []
    for problem in _results(jobs):
        problems.append(problem)
        if progress:
            progress(len(problems), len(jobs))
        if problem and stop_at_problem:
            break
    return problems


def _results(jobs: Sequence[Job]) -> Iterator[str | None]:
    new = sum(not _is_done(job) for job in jobs)
    processes = min(cores(), MOST_PROCESSES)
    if new < FEW or processes == 1:
        yield from map(sample_mesh, jobs)
        return
    # the platform's way to start processes, as in a DataLoader
    with ProcessPoolExecutor(processes) as executor:
        try:
            yield from executor.map(sample_mesh, jobs, chunksize=4)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _is_done(job: Job) -> bool:
    return job.points.is_file() and job.points.stat().st_size >= 12 * job.count


def sample_mesh(job: Job) -> str | None:
    """Sample one mesh into its file; say what is wrong with it, or None."""
    if _is_done(job):
        return None
    try:
        points = draw(job).points
    except ValueError as error:
        return str(error)
    with atomic(job.points) as temporary, temporary.open("wb") as file:
        np.save(file, points, allow_pickle=False)
    return None


def draw(job: Job) -> Draw:
    """Read a mesh and draw its points; its cache file is not looked at.

    Raises:
        ValueError: The mesh cannot be used; the message begins with its path.
    """
    surface = read_surface(job.mesh)
    try:
        with np.errstate(over="ignore"):
            points = sample_surface(surface.vertices, surface.faces, job.count, generator(job))
    except ValueError as error:  # which does not know the file
        raise FileError(job.mesh, str(error)) from error
    if not np.isfinite(points).all():
        raise FileError(job.mesh, "expected coordinates within float32, got larger ones")
    return Draw(points, surface.vertices, surface.faces)


def generator(job: Job) -> np.random.Generator:
    """Return the source of randomness that a mesh is sampled with."""
    return np.random.default_rng([job.seed, crc32(job.name.encode())])
