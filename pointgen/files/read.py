"""Read clouds from a file or a folder of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pointgen.files.arrays import read_h5, read_npy, read_npz
from pointgen.files.attributes import usable
from pointgen.files.cloud import Cloud, coordinates
from pointgen.files.errors import check_regular, expect, reading
from pointgen.files.pcd import read_pcd
from pointgen.files.ply import has_faces, read_ply, scalars
from pointgen.files.raw import Raw, by_name
from pointgen.files.text import read_text

__all__ = [
    "cloud_files",
    "is_cloud",
    "is_shown",
    "labels_of",
    "merged",
    "read_clouds",
    "read_file",
    "shown",
]


def is_cloud(path: Path) -> bool:
    """Return whether the ending of a path is that of a format of points; some are of meshes too."""
    return path.suffix.lower() in READERS


def read_clouds(path: Path) -> list[Cloud]:
    """Return every cloud of a file, or of a folder and its subfolders in the order of their names.

    A folder may hold other files; those with the ending of a point format must be readable. Ids
    are unique: where stems collide, the path below the folder (without its ending) takes over.

    Normals, colours and labels come along where a file has them: by name in ply (nx; red; label,
    part or class), pcd (normal_x; rgb or rgba; label), structured npy and text with a line of
    names, as arrays beside the points in npz and h5 (normals; colors; labels), and by the number
    of columns (see `by_number`) in other text and arrays.

    Raises:
        FileError: Nothing to read, or a file that is damaged or is no cloud.
    """
    path = Path(path)
    if not path.is_dir():
        return merged(path, [read_file(path, path.stem)], [path.stem])
    files = cloud_files(path)
    labels = labels_of([file.relative_to(path) for file in files])
    return merged(path, [read_file(f, i) for f, i in zip(files, labels, strict=True)], labels)


def cloud_files(folder: Path) -> list[Path]:
    """Return the files of a folder and its subfolders that `read_clouds` reads, in its order.

    Raises:
        FileError: There are none.
    """
    files = [path for path in shown(folder) if is_cloud(path)]
    expect(bool(files), folder, f"holds no point files ({', '.join(READERS)})")
    return files


def shown(folder: Path) -> list[Path]:
    """Return what is in a folder and its subfolders, in order, without what is hidden."""
    return [path for path in sorted(folder.rglob("*")) if is_shown(folder, path)]


def is_shown(folder: Path, path: Path) -> bool:
    """Whether neither a file nor a folder on the way to it from `folder` is hidden."""
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def labels_of(paths: Sequence[Path]) -> list[str]:
    """Return the shortest of stem, path without ending and path that is unique, of each path."""
    stems = Counter(path.stem for path in paths)
    shorts = Counter(path.with_suffix("") for path in paths)
    return [
        path.stem
        if stems[path.stem] == 1
        else (path.with_suffix("") if shorts[path.with_suffix("")] == 1 else path).as_posix()
        for path in paths
    ]


def merged(path: Path, parts: Sequence[list[Cloud]], labels: Sequence[str]) -> list[Cloud]:
    """Join the clouds of several files; an id that two files store is preceded by the label.

    Raises:
        FileError: An id is there twice all the same; the message names `path`.
    """
    seen = Counter(cloud.id for part in parts for cloud in part)
    clouds = [
        cloud
        if seen[cloud.id] == 1 or len(parts) == 1
        else replace(cloud, id=f"{label}/{cloud.id}")
        for part, label in zip(parts, labels, strict=True)
        for cloud in part
    ]
    (name, times), *_ = Counter(cloud.id for cloud in clouds).most_common(1)
    expect(times == 1, path, f"the id {name!r} is there {times} times")
    return clouds


def read_file(path: Path, label: str) -> list[Cloud]:
    """Return the clouds of one file; `label` names them where the file does not.

    Raises:
        FileError: A file that is damaged or holds no cloud.
    """
    check_regular(path)
    ending = path.suffix.lower()
    expect(
        ending in READERS, path, f"expected points ({', '.join(READERS)}), got ending {ending!r}"
    )
    with reading(path):
        raw = READERS[ending](path)
    points = coordinates(path, raw.points)
    found, left_out = usable(raw, points.shape[:-1])
    if points.ndim == 2:
        points = points[None]
        found = {name: None if array is None else array[None] for name, array in found.items()}
    ids = raw.ids
    if ids is None:
        one = len(points) == 1
        ids = [label] if one else [f"{label}-{index:04d}" for index in range(len(points))]
    expect(len(ids) == len(points), path, f"has {len(ids)} ids for {len(points)} clouds")
    more = [{name: a[at] for name, a in found.items() if a is not None} for at in range(len(ids))]
    return [
        Cloud(name, cloud, **each, left_out=left_out)
        for name, cloud, each in zip(ids, points, more, strict=True)
    ]


def _ply(path: Path) -> Raw:
    expect(not has_faces(path), path, "is a mesh: sample its surface first")
    return by_name(path, scalars(read_ply(path).get("vertex", {})))


READERS: dict[str, Callable[[Path], Raw]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".h5": read_h5,
    ".hdf5": read_h5,
    ".ply": _ply,
    ".xyz": read_text,
    ".txt": read_text,
    ".pts": read_text,
    ".pcd": read_pcd,
}
