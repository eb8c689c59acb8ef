"""Clouds in array files: npy, npz and HDF5, where normals, colours and labels lie beside points."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from pointgen.files.errors import FileError, expect, library, plausible, reading
from pointgen.files.raw import Raw, from_array

__all__ = ["read_array", "read_h5", "read_member", "read_npy", "read_npz"]

NPZ_KEYS = ("points", "clouds", "pos", "coords")
H5_KEYS = ("points", "clouds", "data")
MORE_KEYS = {
    "normals": ("normals", "normal"),
    "colours": ("colors", "colours", "rgb"),
    "labels": ("labels", "label", "pid"),  # the last in ShapeNet-Part, whose label is the shape's
}
ALL_MORE_KEYS = {key for keys in MORE_KEYS.values() for key in keys}
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

# How HDF5 stores a variable-length string: its length, and where in which heap it lies.
STRING = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])

# Returns the array of a key, or None if it is not one of numbers whose shape begins as given.
Get = Callable[[str, tuple[int, ...]], np.ndarray | None]


def read_array(path: Path) -> np.ndarray:
    """Return the array of an npy file."""
    with reading(path), path.open("rb") as handle:
        return _array(path, handle, path.stat().st_size)


def read_npy(path: Path) -> Raw:
    """Return what an npy file has; no ids."""
    return from_array(path, read_array(path))


def read_npz(path: Path) -> Raw:
    """Return what an npz file has."""
    with library(path, "npz"):
        archive = zipfile.ZipFile(path)
    with archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        key = _key(path, list(members), NPZ_KEYS)
        raw = from_array(path, _member(path, archive, members[key]))
        ids = _member(path, archive, members["ids"]) if "ids" in members else None

        def get(name: str, lead: tuple[int, ...]) -> np.ndarray | None:
            return _fit_member(path, archive, members[name], lead)

        return _with_more(raw, _ids(path, ids), [name for name in members if name != key], get)


def read_member(path: Path, name: str) -> np.ndarray | None:
    """Return one array of an npz file, None where there is none of that name."""
    with library(path, "npz"):
        archive = zipfile.ZipFile(path)
    with archive:
        found = [info for info in archive.infolist() if info.filename == f"{name}.npy"]
        return _member(path, archive, found[0]) if found else None


def read_h5(path: Path) -> Raw:
    """Return what an HDF5 file has."""
    import h5py  # in a damaged file every access may fail: all of them are one library call

    with library(path, "HDF5"), h5py.File(path, "r") as file:
        key = _key(path, list(file), H5_KEYS)
        raw = from_array(path, _dataset(path, file, key))
        ids = _dataset(path, file, "ids") if "ids" in file else None

        def get(name: str, lead: tuple[int, ...]) -> np.ndarray | None:
            return _fit_dataset(path, file, name, lead)

        return _with_more(raw, _ids(path, ids), [name for name in file if name != key], get)


def _with_more(raw: Raw, ids: list[str] | None, names: list[str], get: Get) -> Raw:
    """Add the ids, and of normals, colours and labels the first name whose array fits the points.

    What cannot be used is named, as are arrays of which nothing is known.
    """
    more: dict[str, Any] = {}
    strange = [name for name in names if name != "ids" and name not in ALL_MORE_KEYS]
    left_out = [f"{name}, which clouds have no place for" for name in strange]
    for name, keys in MORE_KEYS.items():
        there = [key for key in keys if key in names]
        arrays = (get(key, raw.points.shape[:-1]) for key in there)
        array = next((array for array in arrays if array is not None), None)
        if array is not None:
            more[name] = array
        elif there:
            left_out.append(f"{there[0]}, which has not a row of numbers for each point")
    return replace(raw, ids=ids, left_out=tuple(left_out), **more)


def _suits(shape: tuple[int, ...], dtype: np.dtype, lead: tuple[int, ...]) -> bool:
    """Whether an array has a row of at most 4 numbers for each point, which bounds its size."""
    row = shape[len(lead) :]
    return (
        dtype.kind in "fiub" and shape[: len(lead)] == lead and len(row) < 2 and math.prod(row) <= 4
    )


def _key(path: Path, names: list[str], known: tuple[str, ...]) -> str:
    found = [name for name in known if name in names]
    others = [name for name in names if name != "ids" and name not in ALL_MORE_KEYS]
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


def _fit_member(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, lead: tuple[int, ...]
) -> np.ndarray | None:
    with library(path, "npz"):
        handle = archive.open(info)
    with handle:
        shape, _, dtype = _header(path, handle)
    if not _suits(shape, dtype, lead):
        return None
    with archive.open(info) as handle:
        return _array(path, handle, info.file_size)


def _array(path: Path, handle: IO[bytes], size: int) -> np.ndarray:
    """Return the array of an open npy file of `size` bytes, its header checked before the data."""
    shape, fortran, dtype = _header(path, handle)
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


def _header(path: Path, handle: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether in Fortran's order, and type, of an open npy file."""
    with library(path, "npy"):
        version = np.lib.format.read_magic(handle)
    expect(version in HEADERS, path, f"expected npy version 1.0 or 2.0, got {version}")
    with library(path, "npy"):
        return HEADERS[version](handle)


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


def _fit_dataset(path: Path, file: Any, key: str, lead: tuple[int, ...]) -> np.ndarray | None:
    import h5py

    link = file.get(key, getlink=True)
    expect(not isinstance(link, h5py.ExternalLink), path, f"{key} links to another file")
    found = file.get(key)
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        return None
    return _dataset(path, file, key) if _suits(found.shape, found.dtype, lead) else None


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


def _ids(path: Path, array: np.ndarray | None) -> list[str] | None:
    if array is None:
        return None
    expect(array.ndim == 1, path, f"expected ids of shape (S,), got {array.shape}")
    with library(path, "a list of ids"):
        return [i.decode() if isinstance(i, bytes) else str(i) for i in array.tolist()]
