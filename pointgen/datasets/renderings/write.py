"""Rendering the meshes of a data set to 3D-R2N2's layout, several at a time, resumably.

Beside the pictures lies what they were made from; the cameras are written last, so that a shape
with its cameras is complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from PIL import Image

from pointgen.datasets.renderings.layout import METADATA, NAMES, picture_name
from pointgen.datasets.renderings.meshes import Subject, subjects
from pointgen.datasets.renderings.shade import framed, render
from pointgen.datasets.settings import Progress, Split
from pointgen.devices import cores
from pointgen.files import FileError, atomic
from pointgen.files.errors import writing
from pointgen.geometry.cameras import random_camera

if TYPE_CHECKING:
    from pointgen.datasets import DataConfig

__all__ = ["RenderResult", "RenderSettings", "write_renderings"]

SETTINGS = "rendering_settings.json"
MOST_VIEWS = 100  # that two digits can name, whose order is that of the cameras
MOST_PIXELS = 2048  # of a side; a picture of nine times as many pixels is held in memory
FEW = 4  # so few shapes are rendered before a second process has started


@dataclass(frozen=True)
class RenderSettings:
    """What decides the pictures of a shape, besides its surface.

    Attributes:
        views: pictures of each shape.
        size: pixels of a side.
        seed: other seeds give other cameras, colours and lights.
    """

    views: int = 24
    size: int = 137
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.views <= MOST_VIEWS:
            raise ValueError(f"views: expected 1 to {MOST_VIEWS}, got {self.views}")
        if not 1 <= self.size <= MOST_PIXELS:
            raise ValueError(f"size: expected 1 to {MOST_PIXELS}, got {self.size}")
        if self.seed < 0:
            raise ValueError(f"seed: expected at least 0, got {self.seed}")


@dataclass(frozen=True)
class RenderResult:
    """What a rendering did.

    Attributes:
        images: the folder of the pictures.
        rendered: shapes.
        found: shapes that were there already.
        problems: one line for each shape that was left out.
    """

    images: Path
    rendered: int
    found: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Job:
    """One shape, the folder for its pictures, and how they are made."""

    subject: Subject
    folder: Path
    settings: RenderSettings

    @property
    def names(self) -> list[str]:
        """The files of the pictures."""
        return [picture_name(view) for view in range(self.settings.views)]

    @property
    def record(self) -> dict[str, Any]:
        """What is written beside the pictures."""
        return asdict(self.settings) | {"surface": self.subject.surface.mark()}


def write_renderings(
    config: DataConfig,
    images: Path,
    settings: RenderSettings | None = None,
    *,
    splits: Sequence[Split] | None = None,
    force: bool = False,
    processes: int | None = None,
    progress: Progress | None = None,
) -> RenderResult:
    """Render the meshes of a config, as far as they are not rendered yet.

    `<images>/<category>/<id>/rendering/` gets the pictures, `renderings.txt` and
    `rendering_metadata.txt`; see `pointgen.geometry.cameras` for the cameras in it. The meshes are
    moved: box centre at 0, box diagonal 1. The pictures do not depend on the number of processes.

    Args:
        config: built-in shapes, or meshes.
        images: the folder, made if needed.
        settings: how many pictures, and which.
        splits: which to render; all there are, if not given.
        force: render again what was rendered otherwise, or by others.
        processes: how many at most; as many as there are cores, if not given.
        progress: called with (done, total).

    Raises:
        ValueError: There are no meshes, a mesh cannot be used and `config.on_error` is "raise", or
            pictures of other settings are there and `force` is off.
    """
    settings = settings or RenderSettings()
    if images.exists() and not images.is_dir():
        raise ValueError(f"{images}: expected a folder, found a file")
    jobs = [
        _Job(subject, images / subject.folder, settings) for subject in subjects(config, splits)
    ]
    new = [job for job in jobs if not _is_done(job, force=force)]
    found, problems = len(jobs) - len(new), []
    for done, problem in enumerate(_results(new, processes or cores()), start=1):
        if problem and config.on_error == "raise":
            raise ValueError(problem)
        if problem:
            problems.append(problem)
        if progress:
            progress(found + done, len(jobs))
    if problems and len(problems) == len(jobs):
        raise ValueError(f"none of {len(jobs)} shapes can be rendered; the first: {problems[0]}")
    return RenderResult(images, len(new) - len(problems), found, tuple(problems))


def _is_done(job: _Job, *, force: bool) -> bool:
    """Whether the pictures are there, complete and the same.

    Raises:
        ValueError: Others are there, and `force` is off.
    """
    inside = job.folder.iterdir() if job.folder.is_dir() else ()
    files = {path.name for path in inside if not path.name.startswith(".")}  # those are torn
    record = _record(job.folder) if SETTINGS in files else None
    if not files or (force and record != job.record):
        return False
    if record is not None and (record == job.record or METADATA not in files):  # or not completed
        return files >= {METADATA, NAMES, *job.names}
    there = "pictures that were not rendered here"
    if record is not None:
        there = f"pictures of {_words(record)}, wanted {_words(job.record)}"
    raise ValueError(f"{job.folder}: found {there}; --force (in Python force=True) replaces them")


def _record(folder: Path) -> dict[str, Any] | None:
    """Read what the pictures of a folder were made from, if that is known."""
    try:
        record = json.loads((folder / SETTINGS).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _words(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in record.items())


def _results(jobs: Sequence[_Job], processes: int) -> Iterator[str | None]:
    """Render; yield for each shape in order what is wrong with it, or None."""
    todo = iter(jobs)
    if len(jobs) < FEW or processes == 1:
        yield from map(_render, todo)
        return
    # the first one here: what is compiled for it, the others find compiled
    yield from map(_render, islice(todo, 1))
    # the platform's way to start processes, as in a DataLoader
    with ProcessPoolExecutor(min(processes, len(jobs) - 1)) as executor:
        try:
            yield from executor.map(_render, todo)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _render(job: _Job) -> str | None:
    """Render one shape into its folder; say what is wrong with it, or None."""
    subject, settings = job.subject, job.settings
    try:
        vertices, faces = subject.surface.read()
        rng = np.random.default_rng([settings.seed, crc32(subject.name.encode())])
        cameras = [random_camera(rng) for _ in range(settings.views)]
        pictures = render(framed(vertices), faces, cameras, settings.size, rng)
        first = next(pictures)  # before anything is written: the surface is refused here
    except FileError as error:
        return str(error)
    except ValueError as error:  # which does not know where the surface comes from
        return f"{subject.surface.place}: {error}"
    _clear(job)
    with writing(job.folder):
        for name, picture in zip(job.names, chain([first], pictures), strict=True):
            Image.fromarray(picture).save(job.folder / name)
    _write_lines(job.names, job.folder / NAMES)
    _write_lines([camera.line() for camera in cameras], job.folder / METADATA)
    return None


def _clear(job: _Job) -> None:
    """Remove what earlier pictures left, the cameras first, and say what is made now."""
    (job.folder / METADATA).unlink(missing_ok=True)
    for path in job.folder.glob("*.png"):
        path.unlink()
    with atomic(job.folder / SETTINGS) as temporary:
        temporary.write_text(json.dumps(job.record) + "\n", encoding="utf-8")


def _write_lines(lines: Sequence[str], path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
