"""Clouds in array files: npy, npz and HDF5."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from pointgen.files.errors import FileError, expect, library, plausible

__all__ = ["read_h5", "read_npy", "read_npz"]

NPZ_KEYS = ("points", "clouds", "pos", "coords")
H5_KEYS = ("points", "clouds", "data")
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

# How HDF5 stores a variable-length string: its length, and where in which heap it lies.
STRING = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])

Stack = tuple[np.ndarray, list[str] | None]


def read_npy(path: Path) -> Stack:
    """Return the array of an npy file; no ids."""
    with path.open("rb") as handle:
        return _array(path, handle, path.stat().st_size), None


def read_npz(path: Path) -> Stack:
    """Return the points and, where stored, the ids of an npz file."""
    with library(path, "npz"):
        archive = zipfile.ZipFile(path)
    with archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        points = _member(path, archive, members[_key(path, list(members), NPZ_KEYS)])
        ids = _member(path, archive, members["ids"]) if "ids" in members else None
    return points, None if ids is None else _ids(path, ids)


def read_h5(path: Path) -> Stack:
    """Return the points and, where stored, the ids of an HDF5 file."""
    import h5py  # in a damaged file every access may fail: all of them are one library call

    with library(path, "HDF5"), h5py.File(path, "r") as file:
        key = _key(path, list(file), H5_KEYS)
        points = _dataset(path, file, key)
        ids = _dataset(path, file, "ids") if "ids" in file else None
    return points, None if ids is None else _ids(path, ids)


def _key(path: Path, names: list[str], known: tuple[str, ...]) -> str:
    found = [name for name in known if name in names]
    others = [name for name in names if name != "ids"]
    if not found and len(others) == 1:
        return others[0]
    expect(
        len(found) == 1,
        path,
        f"expected one array named {' or '.join(known)}, got {', '.join(names[:10]) or 'none'}",
    )
    return found[0]


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    plausible(path, info.file_size, info.compress_size)
    with library(path, "npz"):
        handle = archive.open(info)
    with handle:
        return _array(path, handle, info.file_size)


def _array(path: Path, handle: IO[bytes], size: int) -> np.ndarray:
    """Return the array of an open npy file of `size` bytes, its header checked before the data."""
    with library(path, "npy"):
        version = np.lib.format.read_magic(handle)
    expect(version in HEADERS, path, f"expected npy version 1.0 or 2.0, got {version}")
    with library(path, "npy"):
        shape, fortran, dtype = HEADERS[version](handle)
    expect(not dtype.hasobject, path, "holds pickled objects, which are never loaded")
    needed, left = math.prod(shape) * dtype.itemsize, size - handle.tell()
    expect(
        min(shape, default=0) >= 0 and needed <= left,
        path,
        f"is truncated: its header announces shape {shape}, {needed} bytes, {left} are there",
    )
    with library(path, "npy"):
        data = handle.read(needed)
    expect(len(data) == needed, path, f"is truncated: expected {needed} bytes, got {len(data)}")
    with library(path, "npy"):
        return np.frombuffer(data, dtype, math.prod(shape)).reshape(
            shape, order="F" if fortran else "C"
        )


def _dataset(path: Path, file: Any, key: str) -> np.ndarray:
    """Return a dataset that lives in this very file: links out of it are refused."""
    import h5py

    link = file.get(key, getlink=True)
    expect(not isinstance(link, h5py.ExternalLink), path, f"{key} links to another file")
    dataset = file[key]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise FileError(path, f"expected {key} to be a dataset, got another object")
    expect(not dataset.is_virtual and not dataset.external, path, f"{key} is in another file")
    plausible(path, int(dataset.nbytes), path.stat().st_size)
    if dataset.dtype.hasobject:
        _check_strings(path, dataset)
    return np.asarray(dataset[()])


def _check_strings(path: Path, dataset: Any) -> None:
    """Refuse lengths of variable-length strings that cannot be: HDF5 allocates before it looks."""
    import h5py

    expect(h5py.check_string_dtype(dataset.dtype) is not None, path, "expected numbers or strings")
    start, size = dataset.id.get_offset(), path.stat().st_size
    expect(
        start is not None and dataset.id.get_storage_size() == STRING.itemsize * dataset.size,
        path,
        f"expected strings of fixed length, or in one contiguous block, in {dataset.name}",
    )
    with path.open("rb") as handle:
        handle.seek(start)
        raw = handle.read(STRING.itemsize * dataset.size)
    lengths = np.frombuffer(raw, STRING)["length"]
    expect(int(lengths.sum(dtype=np.int64)) <= size, path, f"{dataset.name} is damaged")


def _ids(path: Path, array: np.ndarray) -> list[str]:
    expect(array.ndim == 1, path, f"expected ids of shape (S,), got {array.shape}")
    with library(path, "a list of ids"):
        return [i.decode() if isinstance(i, bytes) else str(i) for i in array.tolist()]
