"""The parts of a pack: files of a few shapes each, written by several processes, then joined.

A part is a zip archive of chunks as the packed file has them, and an index, written last.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointgen.datasets.pack_reading import Reader, Sampled, reader_of
from pointgen.datasets.packed import chunk_bytes, create_rows, text
from pointgen.datasets.settings import Progress, Split
from pointgen.devices import cores
from pointgen.files import atomic
from pointgen.files.errors import library

if TYPE_CHECKING:
    from pointgen.datasets import CloudsConfig

__all__ = ["Joined", "Part", "fill", "join", "parts_of", "rows_of_chunk"]

SHAPES = 32  # of a part, and so what a kill costs each process
MOST_PROCESSES = 8  # more only wait for the disk
INDEX = "index.json"
FEWEST_ROWS, MOST_ROWS = 2**10, 2**16  # of a chunk: 12 to 786 kB


@dataclass(frozen=True)
class Part:
    """Some shapes of a split, from one number up to another, and their file."""

    split: Split
    start: int
    stop: int
    path: Path


@dataclass(frozen=True)
class Joined:
    """What became of the shapes of a split.

    Attributes:
        shapes: how many were packed.
        points: how many they have together.
        problems: what was wrong with those left out.
    """

    shapes: int
    points: int
    problems: tuple[str, ...]


def parts_of(reader: Reader, split: Split, folder: Path) -> list[Part]:
    """Divide a split into parts."""
    count = len(reader.ids)
    return [
        Part(split, start, min(start + SHAPES, count), folder / f"{split}-{start:07d}.zip")
        for start in range(0, count, SHAPES)
    ]


def rows_of_chunk(config: CloudsConfig, split: Split) -> int:
    """Return the rows of a chunk: the points of the first shape, which are those of most others.

    Raises:
        ValueError: It cannot be used, nor may it be left out; or none of the shapes can.
    """
    reader = reader_of(config, split)
    problems = []
    for index in range(len(reader.ids)):
        try:
            count = len(reader.read(index).points)
        except ValueError as error:
            if config.on_error == "raise":
                raise
            problems.append(str(error))
        else:
            return min(max(count, FEWEST_ROWS), MOST_ROWS)
    raise ValueError(f"none of the {len(problems)} shapes of {split} can be used: {problems[0]}")


def fill(
    config: CloudsConfig, parts: Sequence[Part], chunk: int, progress: Progress | None = None
) -> int:
    """Write those parts that are not there yet.

    Returns:
        How many shapes were in parts that were there.

    Raises:
        ValueError: A shape cannot be used, and `config.on_error` is "raise".
    """
    missing = [part for part in parts if not _is_whole(part.path)]
    total = sum(part.stop - part.start for part in parts)
    done = found = total - sum(part.stop - part.start for part in missing)
    for count in _written(config, missing, chunk):
        done += count
        if progress:
            progress(done, total)
    return found


def _is_whole(path: Path) -> bool:
    """Whether a part is there to its end; it came to its name complete, but disks fail, too."""
    return zipfile.is_zipfile(path)


def _written(config: CloudsConfig, parts: Sequence[Part], chunk: int) -> Iterator[int]:
    write = partial(write_part, config, chunk)
    processes = min(cores(), MOST_PROCESSES, len(parts))
    if processes < 2:
        yield from map(write, parts)
        return
    with ProcessPoolExecutor(processes, initializer=_follow_the_parent) as executor:
        try:
            yield from executor.map(write, parts)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _follow_the_parent() -> None:
    """End when the parent does: after its kill a worker would wait for work forever.

    Ctrl-C reaches the parent, too, which then lets the workers end what they are at.
    """

    def end() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end, daemon=True).start()


def write_part(config: CloudsConfig, chunk: int, part: Part) -> int:
    """Write one part; return how many shapes it stands for.

    Raises:
        ValueError: A shape cannot be used, and `config.on_error` is "raise".
    """
    reader = reader_of(config, part.split)
    kept: list[tuple[int, int, int]] = []  # number in the split, points, points of the first pool
    problems: list[str] = []
    chunks = 0
    with atomic(part.path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for index in range(part.start, part.stop):
            try:
                shape = reader.read(index)
            except ValueError as error:
                if config.on_error == "raise":
                    raise
                problems.append(str(error))
                continue
            chunks += _write_chunks(archive, shape, chunk, chunks)
            kept.append((index, len(shape.points), shape.first))
        archive.writestr(INDEX, json.dumps({"kept": kept, "problems": problems}))
    return part.stop - part.start


def _write_chunks(archive: zipfile.ZipFile, shape: Sampled, chunk: int, number: int) -> int:
    """Write a shape as chunks of its own, numbered on; return how many."""
    starts = range(0, len(shape.points), chunk)
    for key, rows in (("points", shape.points), ("normals", shape.normals)):
        if rows is not None:
            for at, start in enumerate(starts, start=number):
                archive.writestr(f"{key}/{at}", chunk_bytes(rows[start : start + chunk], chunk))
    return len(starts)


def join(
    group: Any,
    reader: Reader,
    parts: Sequence[Part],
    chunk: int,
    progress: Progress | None = None,
) -> Joined:
    """Write the parts of a split into its group of the packed file, the chunks as they are.

    Raises:
        ValueError: A part cannot be read.
    """
    indexes = [_index(part.path) for part in parts]
    kept = [row for index in indexes for row in index["kept"]]
    problems = [problem for index in indexes for problem in index["problems"]]
    numbers, counts, first = np.array(kept, dtype=np.int64).T
    spans = -(-counts // chunk) * chunk
    keys = ("points", "normals") if reader.has_normals else ("points",)
    tables = {key: create_rows(group, key, int(spans.sum()), chunk) for key in keys}
    row = 0
    for done, (part, index) in enumerate(zip(parts, indexes, strict=True), start=1):
        chunks = sum(-(-count // chunk) for _, count, _ in index["kept"])
        with zipfile.ZipFile(part.path) as archive:
            for number in range(chunks):
                for key, table in tables.items():
                    with library(part.path, "a part"):
                        stored = archive.read(f"{key}/{number}")
                    table.id.write_direct_chunk((row, 0), stored)
                row += chunk
        if progress:
            progress(done, len(parts))
    group["starts"] = np.cumsum(spans) - spans
    group["counts"], group["first"] = counts, first
    group["labels"] = np.array(reader.labels, dtype=np.int32)[numbers]
    group["ids"] = text([reader.ids[number] for number in numbers])
    return Joined(len(numbers), int(counts.sum()), tuple(problems))


def _index(path: Path) -> dict[str, Any]:
    with library(path, "a part"), zipfile.ZipFile(path) as archive:
        return dict(json.loads(archive.read(INDEX)))
