"""Reading HDF5 files, also those of strangers: nothing outside the file, nothing without bounds."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointgen.files.errors import check_regular, expect, library, plausible

if TYPE_CHECKING:
    import h5py

__all__ = ["Handles", "StoredShape", "is_table", "member", "names", "opened", "table"]

MOST_OPEN = 32  # files of one process; the largest sets have about twenty
# The common files have chunks of 128 shapes: 20 ms a shape at random, 0.1 ms from this cache.
CACHE = 2**28  # bytes of a process, shared by its files; ModelNet40 fits
LEAST_CACHE = 2**23  # bytes of a file: with HDF5's own 2**20 reading in order takes 20 ms, too
CACHE_SLOTS = 10_007  # a prime far above the number of chunks that fit, as HDF5's manual advises
LARGEST_CHUNK = 2**28  # bytes; a chunk is unpacked as a whole, however little of it is read


@dataclass(frozen=True)
class StoredShape:
    """Where in which file the points of a shape lie.

    Attributes:
        path: the file.
        id: the shape's name.
        category: its category's name, or synset id.
        points: the dataset of its points, (S, N, 3) or (T, 3).
        where: its row of (S, N, 3), or its rows of (T, 3).
        count: how many points it has.
        first: how many of them, from the first on, are the first pool.
        normals: the dataset of its normals, of the shape of `points`, where there is one.
    """

    path: Path
    id: str
    category: str
    points: str
    where: int | slice
    count: int
    first: int
    normals: str | None = None


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; every failure inside is a `FileError` of the file."""
    check_regular(path)
    with library(path, "HDF5"), _open(path, LEAST_CACHE) as file:
        yield file


def _open(path: Path, cache: int) -> h5py.File:
    import h5py  # most data sets never need it

    # Locks fail on many network file systems, and nobody writes: files are replaced as a whole.
    return h5py.File(path, "r", rdcc_nbytes=cache, rdcc_nslots=CACHE_SLOTS, locking=False)


def member(path: Path, group: Any, key: str) -> Any:
    """Return the group or dataset of a name in a group, or None; it lies in this very file.

    Raises:
        FileError: It is a soft or external link, which may lead to somewhere else.
    """
    import h5py

    link = group.get(key, getlink=True)
    if link is None:
        return None
    hard = isinstance(link, h5py.HardLink)
    expect(hard, path, f"{_name(group, key)} is a link: to read it could read another file")
    return group[key]


def is_table(item: Any) -> bool:
    """Return whether something is a dataset."""
    import h5py

    return isinstance(item, h5py.Dataset)


def table(path: Path, group: Any, key: str, *, kinds: str, shape: str) -> Any:
    """Return a dataset that can be read safely, none of it read yet.

    Args:
        path: the file, for messages.
        group: where it lies.
        key: its name there, possibly a path through groups.
        kinds: the kinds of its numbers, letters of NumPy.
        shape: what is expected, for example "(n, 3)"; names stand for any size above 0.

    Raises:
        FileError: It is missing, of another shape or type, stored elsewhere, too large for the
            file that it is in, or not wholly there.
    """
    found, name = group, _name(group, key)
    for part in key.split("/"):
        found = None if found is None or is_table(found) else member(path, found, part)
    expect(is_table(found), path, f"expected a dataset {name}, found none")
    dataset: Any = found
    expect(not dataset.is_virtual and not dataset.external, path, f"{name} is in another file")
    matches = dataset.shape is not None and _matches(dataset.shape, shape)
    words = "text" if kinds == "S" else "integers" if kinds == "iu" else "numbers"
    expect(
        matches and dataset.dtype.kind in kinds,
        path,
        f"{name}: expected {shape} {words}, got {dataset.shape} of {dataset.dtype}",
    )
    _check_stored(path, dataset, name)
    return dataset


def _name(group: Any, key: str) -> str:
    return f"{group.name.rstrip('/')}/{key}"


def _matches(shape: tuple[int, ...], expected: str) -> bool:
    sizes = expected.strip("(),").replace(" ", "").split(",")
    return len(sizes) == len(shape) and all(
        size == int(wanted) if wanted.isdigit() else size > 0
        for size, wanted in zip(shape, sizes, strict=True)
    )


def _check_stored(path: Path, dataset: Any, name: str) -> None:
    """Refuse a dataset that announces more than is there: HDF5 would fill up with zeros."""
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    plausible(path, size, path.stat().st_size)
    if dataset.chunks is None:
        whole = dataset.id.get_storage_size() == size
    else:
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
        expect(chunk <= LARGEST_CHUNK, path, f"{name}: chunks of {chunk} bytes are too large")
        per_axis = zip(dataset.shape, dataset.chunks, strict=True)
        whole = dataset.id.get_num_chunks() == math.prod(-(-n // c) for n, c in per_axis)
    expect(whole, path, f"{name}: announces shape {dataset.shape}, but part of it is not there")


def names(path: Path, group: Any, key: str, count: str = "n") -> list[str]:
    """Return a one-dimensional dataset of fixed-length UTF-8 text.

    Raises:
        FileError: It is not that.
    """
    dataset = table(path, group, key, kinds="S", shape=f"({count},)")
    return [name.decode() for name in dataset[()].tolist()]


class Handles:
    """Reads datasets shape by shape, from files that each process opens for itself.

    An open HDF5 file must not be shared between processes, nor can it be pickled: a copy that
    reaches another process, by fork or by pickle, starts without open files.
    """

    def __init__(self, files: int) -> None:
        """Open nothing yet.

        Args:
            files: how many files there are, to share the memory for unpacked chunks.
        """
        self._number = files
        self._files: OrderedDict[Path, h5py.File] = OrderedDict()  # the one used last is last
        self._owner = os.getpid()

    def __reduce__(self) -> tuple[type[Handles], tuple[int]]:
        """Leave the open files behind."""
        return Handles, (self._number,)

    def read(self, path: Path, key: str, where: int | slice) -> np.ndarray:
        """Return rows of a dataset that was checked before.

        Raises:
            FileError: The file is gone or damaged.
        """
        with library(path, "HDF5"):
            return np.asarray(self._file(path)[key][where])

    def _file(self, path: Path) -> h5py.File:
        if self._owner != os.getpid():
            self._files, self._owner = OrderedDict(), os.getpid()
        if path not in self._files:
            if len(self._files) >= MOST_OPEN:
                _, oldest = self._files.popitem(last=False)
                oldest.close()
            self._files[path] = _open(path, max(CACHE // self._number, LEAST_CACHE))
        self._files.move_to_end(path)
        return self._files[path]
