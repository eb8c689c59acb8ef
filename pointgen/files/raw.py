"""What a reader found in a file, by the names or by the number of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointgen.files.errors import FileError, expect

__all__ = ["Raw", "by_name", "by_number", "from_array"]

NORMALS = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))
COLOURS = (
    ("red", "green", "blue"),
    ("r", "g", "b"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
)
LABELS = ("label", "labels", "part", "part_label", "class", "classification", "scalar_label")

ARRAY_COLUMNS = (3, 6, 7)


@dataclass(frozen=True)
class Raw:
    """Arrays as they stand in a file, of which only the coordinates must be usable.

    Attributes:
        points: (N, 3) or (S, N, 3), or whatever the file has in its place.
        ids: the names of the clouds, where stored.
        normals: of the shape of the points, or None.
        colours: of the shape of the points: bytes, or shares of one; or None.
        labels: of that shape without its last axis, or None.
        left_out: what else was there and why it cannot be used.
    """

    points: np.ndarray
    ids: list[str] | None = None
    normals: np.ndarray | None = None
    colours: np.ndarray | None = None
    labels: np.ndarray | None = None
    left_out: tuple[str, ...] = ()


def from_array(path: Path, array: np.ndarray) -> Raw:
    """Choose among the columns of an array (..., C), or the fields of a structured one (N,).

    Raises:
        FileError: There are neither 3, 6 nor 7 columns, or the fields x, y, z are missing.
    """
    if array.dtype.names is not None:
        return by_name(path, _fields(path, array))
    if array.dtype.kind not in "fiu" or array.ndim not in (2, 3) or array.size == 0:
        return Raw(array)  # no points, as will be found out
    expect(
        array.shape[-1] == 3 or array.shape[-2] != 3,
        path,
        f"expected (N, 3), got {array.shape}: transposed?",
    )
    expect(
        array.shape[-1] in ARRAY_COLUMNS,
        path,
        "expected 3 columns (x, y, z), 6 (and normals or colours) or 7 (and a label), got shape "
        f"{array.shape}",
    )
    return by_number(path, array)


def by_name(path: Path, columns: Mapping[str, np.ndarray]) -> Raw:
    """Choose among columns (N,) by their names in lower case.

    Raises:
        FileError: There is no x, y or z.
    """
    names = ", ".join(list(columns)[:9]) or "none"
    expect({"x", "y", "z"} <= columns.keys(), path, f"expected columns x, y, z, got {names}")
    labels = next((columns[name] for name in LABELS if name in columns), None)
    return Raw(
        np.stack([columns[axis] for axis in "xyz"], axis=-1),
        normals=_three(columns, NORMALS),
        colours=_three(columns, COLOURS),
        labels=labels,
    )


def by_number(path: Path, table: np.ndarray) -> Raw:
    """Choose among the columns of (..., C) by how many there are; x, y, z come first.

    6: normals, or colours if they are whole numbers from 0 to 255 and some exceed 1.
    7: normals within [-1, 1] and a label, as in ShapeNet-Part; or colours and something else
    before them (as in pts files) or behind.
    9: colours and normals in either order. Of other columns nothing is known.
    """
    points, rest = table[..., :3], table[..., 3:]
    first, last = rest[..., :3], rest[..., -3:]
    match rest.shape[-1]:
        case 3:
            return Raw(points, colours=first) if _bytes(first) else Raw(points, normals=first)
        case 4 if _within_one(first) and _whole(rest[..., 3]):
            return Raw(points, normals=first, labels=rest[..., 3])
        case 4 if _bytes(last) and (path.suffix.lower() == ".pts" or not _bytes(first)):
            return Raw(points, colours=last)
        case 4 if _bytes(first):
            return Raw(points, colours=first)
        case 6 if _bytes(first) and not _bytes(last):
            return Raw(points, colours=first, normals=last)
        case 6 if _bytes(last) and not _bytes(first):
            return Raw(points, colours=last, normals=first)
    return Raw(points)


def _fields(path: Path, array: np.ndarray) -> dict[str, np.ndarray]:
    """Return the fields of one number by their names in lower case."""
    names = {str(name).lower(): name for name in array.dtype.names or ()}
    if array.ndim != 1 or not {"x", "y", "z"} <= names.keys():
        raise FileError(path, f"expected fields x, y, z, got {array.dtype.names}")
    fields = {key: array[name] for key, name in names.items() if array[name].ndim == 1}
    expect({"x", "y", "z"} <= fields.keys(), path, "expected one number in each of x, y, z")
    return fields


def _three(
    columns: Mapping[str, np.ndarray], known: Iterable[tuple[str, ...]]
) -> np.ndarray | None:
    names = next((names for names in known if columns.keys() >= set(names)), None)
    return None if names is None else np.stack([columns[name] for name in names], axis=-1)


def _whole(values: np.ndarray) -> bool:
    return values.dtype.kind in "iu" or bool((np.floor(values) == values).all())


def _bytes(values: np.ndarray) -> bool:
    return bool(values.min() >= 0 and 1 < values.max() <= 255) and _whole(values)


def _within_one(values: np.ndarray) -> bool:
    return bool(values.min() >= -1.001 and values.max() <= 1.001)  # rounded in text
