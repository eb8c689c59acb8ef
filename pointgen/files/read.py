"""Read clouds from a file or a folder of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pointgen.files.arrays import Stack, read_h5, read_npy, read_npz
from pointgen.files.cloud import Cloud, coordinates
from pointgen.files.errors import check_regular, expect
from pointgen.files.pcd import read_pcd
from pointgen.files.ply import has_faces, read_ply
from pointgen.files.text import read_text

__all__ = ["is_cloud", "read_clouds"]


def is_cloud(path: Path) -> bool:
    """Return whether the ending of a path is that of a format of points; some are of meshes too."""
    return path.suffix.lower() in READERS


def read_clouds(path: Path) -> list[Cloud]:
    """Return every cloud of a file, or of a folder and its subfolders in the order of their names.

    A folder may hold other files; those with the ending of a point format must be readable. Ids
    are unique: where stems collide, the path below the folder (without its ending) takes over.

    Raises:
        FileError: Nothing to read, or a file that is damaged or is no cloud.
    """
    path = Path(path)
    if not path.is_dir():
        return _unique(path, _read(path, path.stem))
    files = [file for file in sorted(path.rglob("*")) if _is_shown_cloud(file.relative_to(path))]
    expect(bool(files), path, f"holds no point files ({', '.join(READERS)})")
    labels = _labels([file.relative_to(path) for file in files])
    return _unique(path, _merged([_read(f, i) for f, i in zip(files, labels, strict=True)], labels))


def _is_shown_cloud(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return is_cloud(path) and not hidden


def _labels(paths: list[Path]) -> list[str]:
    """Return the shortest of stem, path without ending and path that is unique, of each path."""
    stems = Counter(path.stem for path in paths)
    shorts = Counter(path.with_suffix("") for path in paths)
    return [
        path.stem
        if stems[path.stem] == 1
        else (path.with_suffix("") if shorts[path.with_suffix("")] == 1 else path).as_posix()
        for path in paths
    ]


def _merged(parts: list[list[Cloud]], labels: list[str]) -> list[Cloud]:
    """Join the clouds of several files; an id that two files store is preceded by the label."""
    seen = Counter(cloud.id for part in parts for cloud in part)
    return [
        cloud if seen[cloud.id] == 1 else Cloud(f"{label}/{cloud.id}", cloud.points)
        for part, label in zip(parts, labels, strict=True)
        for cloud in part
    ]


def _unique(path: Path, clouds: list[Cloud]) -> list[Cloud]:
    (name, times), *_ = Counter(cloud.id for cloud in clouds).most_common(1)
    expect(times == 1, path, f"the id {name!r} is there {times} times")
    return clouds


def _read(path: Path, label: str) -> list[Cloud]:
    check_regular(path)
    ending = path.suffix.lower()
    expect(
        ending in READERS, path, f"expected points ({', '.join(READERS)}), got ending {ending!r}"
    )
    array, ids = READERS[ending](path)
    points = coordinates(path, array)
    stack = points[None] if points.ndim == 2 else points  # (S, N, 3)
    if ids is None:
        one = len(stack) == 1
        ids = [label] if one else [f"{label}-{index:04d}" for index in range(len(stack))]
    expect(len(ids) == len(stack), path, f"has {len(ids)} ids for {len(stack)} clouds")
    return [Cloud(name, cloud) for name, cloud in zip(ids, stack, strict=True)]


def _ply(path: Path) -> np.ndarray:
    expect(not has_faces(path), path, "is a mesh: sample its surface first")
    vertex = read_ply(path).get("vertex", {})
    expect({"x", "y", "z"} <= vertex.keys(), path, "expected vertices with x, y, z")
    return np.stack([np.asarray(vertex[axis]) for axis in "xyz"], axis=-1)


def _alone(reader: Callable[[Path], np.ndarray]) -> Callable[[Path], Stack]:
    return lambda path: (reader(path), None)


READERS: dict[str, Callable[[Path], Stack]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".h5": read_h5,
    ".hdf5": read_h5,
    ".ply": _alone(_ply),
    ".xyz": _alone(read_text),
    ".txt": _alone(read_text),
    ".pts": _alone(read_text),
    ".pcd": _alone(read_pcd),
}
