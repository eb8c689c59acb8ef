"""Clouds as the bytes of each format."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointgen.files.cloud import Cloud
from pointgen.files.encode_ply import ply_bytes

__all__ = ["ALONE", "TOGETHER", "Stack"]

# Arrays of all clouds, points (S, N, 3) or (N, 3) and what else there is, by the names of a Cloud.
Stack = dict[str, np.ndarray]

KEYS = {"points": "points", "normals": "normals", "colours": "colors", "labels": "labels"}


def _npy(path: Path, stack: Stack, ids: Sequence[str] | None) -> None:
    with path.open("wb") as handle:
        np.save(handle, stack["points"], allow_pickle=False)


def _npz(path: Path, stack: Stack, ids: Sequence[str] | None) -> None:
    arrays: dict[str, Any] = {KEYS[name]: array for name, array in stack.items()}
    if ids is not None:
        arrays["ids"] = np.array(list(ids), dtype=np.str_)
    with path.open("wb") as handle:
        np.savez(handle, **arrays)


def _h5(path: Path, stack: Stack, ids: Sequence[str] | None) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in stack.items():
            file[KEYS[name]] = array
        if ids is not None:
            file.create_dataset("ids", data=list(ids), dtype=h5py.string_dtype())


def _ply(cloud: Cloud) -> bytes:
    return ply_bytes(
        cloud.points, normals=cloud.normals, colours=cloud.colours, labels=cloud.labels
    )


def _pcd(cloud: Cloud) -> bytes:
    fields = [(axis, "<f4", cloud.points[:, i]) for i, axis in enumerate("xyz")]
    if cloud.normals is not None:
        fields += [(f"normal_{a}", "<f4", cloud.normals[:, i]) for i, a in enumerate("xyz")]
    if cloud.colours is not None:
        red, green, blue = cloud.colours.astype("<u4").T
        # The bits of a float, as the Point Cloud Library stores them in its own files.
        fields.append(("rgb", "<f4", (red << 16 | green << 8 | blue).view("<f4")))
    if cloud.labels is not None:
        kind = "<u4" if cloud.labels.min() >= 0 else "<i4"
        fields.append(("label", kind, cloud.labels))
    rows = np.zeros(len(cloud.points), np.dtype([(name, kind) for name, kind, _ in fields]))
    for name, _, column in fields:
        rows[name] = column
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\n"
        f"FIELDS {' '.join(name for name, _, _ in fields)}\n"
        f"SIZE {' '.join('4' for _ in fields)}\n"
        f"TYPE {' '.join(kind[1].upper() for _, kind, _ in fields)}\n"
        f"COUNT {' '.join('1' for _ in fields)}\n"
        f"WIDTH {len(rows)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(rows)}\nDATA binary\n"
    )
    return header.encode("ascii") + rows.tobytes()


def _xyz(cloud: Cloud) -> bytes:
    """Return rows of numbers; a comment names the columns where there are more than three."""
    columns = [("x y z", "%.9g", cloud.points)]  # nine digits name every float32
    if cloud.normals is not None:
        columns.append(("nx ny nz", "%.9g", cloud.normals))
    if cloud.colours is not None:
        columns.append(("red green blue", "%d", cloud.colours))
    if cloud.labels is not None:
        columns.append(("label", "%d", cloud.labels[:, None]))
    names = " ".join(name for name, _, _ in columns)
    formats = [kind for _, kind, array in columns for _ in range(array.shape[1])]
    text = io.StringIO()
    if len(columns) > 1:
        text.write(f"# {names}\n")
    np.savetxt(text, np.hstack([array for _, _, array in columns], dtype=np.float64), formats)
    return text.getvalue().encode("ascii")


TOGETHER: dict[str, Callable[[Path, Stack, Sequence[str] | None], None]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".h5": _h5,
    ".hdf5": _h5,
}
ALONE: dict[str, Callable[[Cloud], bytes]] = {".ply": _ply, ".xyz": _xyz, ".pcd": _pcd}
