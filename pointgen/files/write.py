"""Write clouds; the ending of the path picks the format."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pointgen.files.atomic import atomic
from pointgen.files.cloud import to_float32
from pointgen.files.errors import expect, writing

__all__ = ["check_target", "write_clouds"]


def check_target(path: Path, *, force: bool = False, ids: Sequence[str] | None = None) -> None:
    """Refuse what `write_clouds` could not write to, so that nothing is computed in vain.

    Args:
        path: As in `write_clouds`. Without ids, of a folder or a series only the place is checked,
            and not whether one of its files is there.
        force: Files may be overwritten.
        ids: The names of the clouds that will come, where they are known.

    Raises:
        FileError: The ending is unknown or all there is, the folder cannot be made or written to,
            a file exists already, or two ids give the same one.
    """
    path = Path(path)
    with writing(path):
        ending = _ending(path)
        if ending:
            _check_free([path], force)
        _check_folder(path, path.parent if ending else path)
        if ids is not None:
            _check_ids(path, list(ids), len(ids))
            if ending not in TOGETHER:
                _check_free(_paths(path, ending, ids, len(ids)), force)


def write_clouds(
    path: Path,
    clouds: Sequence[np.ndarray] | np.ndarray,
    *,
    ids: Sequence[str] | None = None,
    force: bool = False,
) -> list[Path]:
    """Write clouds as float32 and return the files written.

    Args:
        path: `*.npy`, `*.npz`, `*.h5`, `*.hdf5`: one file of shape (S, N, 3), the last three with
            the ids. `*.ply`, `*.xyz`, `*.pcd`: one cloud to that file, several to `stem-000.ply`,
            ... or `stem-ID.ply`. No ending: a folder of `000.ply`, ... or `ID.ply`.
        clouds: A list of clouds of shape (N, 3), or an array (S, N, 3), or one cloud (N, 3).
        ids: A name of each cloud. Characters that no file name should have become `_`.
        force: Overwrite files of these names.

    Raises:
        FileError: A file exists already or cannot be written, or the clouds do not suit the
            format.
    """
    path = Path(path)
    check_target(path, force=force)
    arrays = _clouds(path, clouds)
    if ids is not None:
        _check_ids(path, list(ids), len(arrays))
    ending = _ending(path)
    if ending in TOGETHER:
        stack = _stacked(path, clouds, arrays)
        with atomic(path) as temporary:
            TOGETHER[ending](temporary, stack, ids)
        return [path]
    paths = _paths(path, ending, ids, len(arrays))
    _check_free(paths, force)
    for target, cloud in zip(paths, arrays, strict=True):
        with atomic(target) as temporary:
            ALONE[ending or ".ply"](temporary, cloud)
    return paths


def _ending(path: Path) -> str:
    """Return the ending, which picks the format; none means a folder."""
    known = (*TOGETHER, *ALONE)
    bare = path.name.lower() in known  # for Path, the name ".npy" has no ending
    expect(not bare, path, f"expected a name before the ending {path.name}")
    ending = "" if path.is_dir() else path.suffix.lower()
    expect(
        ending in ("", *known),
        path,
        f"expected the ending {', '.join(known)} or none (a folder), got {ending!r}",
    )
    return ending


def _check_folder(path: Path, folder: Path) -> None:
    """Refuse a folder that cannot be written to or, where it is not there yet, made."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    expect(there.is_dir(), path, f"cannot be written: {there} is not a folder")
    expect(
        os.access(there, os.W_OK | os.X_OK), path, f"cannot be written: no permission in {there}"
    )


def _clouds(path: Path, clouds: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
    """Return the clouds as a list of finite float32 arrays (N, 3)."""
    if not isinstance(clouds, list | tuple):
        array = np.asarray(clouds)
        clouds = list(array[None] if array.ndim == 2 else array)
    expect(len(clouds) > 0, path, "expected at least one cloud to write, got none")
    return [_cloud(path, np.asarray(cloud)) for cloud in clouds]


def _cloud(path: Path, cloud: np.ndarray) -> np.ndarray:
    expect(
        cloud.ndim == 2 and cloud.shape[1] == 3 and len(cloud) > 0 and cloud.dtype.kind in "fiu",
        path,
        f"expected clouds of shape (N, 3) to write, got {cloud.shape} {cloud.dtype}",
    )
    return to_float32(path, cloud)


def _check_ids(path: Path, ids: list[str], count: int) -> None:
    expect(len(ids) == count, path, f"expected {count} ids, got {len(ids)}")
    expect(len(set(ids)) == count and all(ids), path, "expected ids that differ and are not empty")


def _stacked(
    path: Path, clouds: Sequence[np.ndarray] | np.ndarray, arrays: list[np.ndarray]
) -> np.ndarray:
    """Return (S, N, 3), or (N, 3) where one bare cloud came."""
    sizes = sorted({len(array) for array in arrays})
    expect(
        len(sizes) == 1,
        path,
        f"clouds of {sizes[0]} to {sizes[-1]} points do not fit one array: write "
        f"{', '.join(ALONE)} or a folder",
    )
    bare = not isinstance(clouds, list | tuple) and np.ndim(clouds) == 2
    return arrays[0] if bare else np.stack(arrays)


def _paths(path: Path, ending: str, ids: Sequence[str] | None, count: int) -> list[Path]:
    """Return the file of each cloud."""
    if ending and count == 1:
        return [path]
    width = max(3, len(str(count - 1)))
    names = [f"{i:0{width}d}" for i in range(count)] if ids is None else list(map(_safe, ids))
    folded = [name.casefold() for name in names]  # some systems do not tell a.ply from A.ply
    expect(len(set(folded)) == count, path, "two of the ids give the same file name")
    if not ending:
        return [path / f"{name}.ply" for name in names]
    return [path.with_name(f"{path.stem}-{name}{path.suffix}") for name in names]


def _safe(name: str) -> str:
    """Return an id as a file name that stays in its folder and is not hidden."""
    kept = "".join(c if c.isalnum() or c in " -+()_.," else "_" for c in name)
    return kept if not kept.startswith(".") else "_" + kept[1:]


def _check_free(paths: Sequence[Path], force: bool) -> None:
    for path in paths:
        expect(not path.is_dir(), path, "expected a file to write, got a folder")
        expect(
            force or not path.exists(),
            path,
            "exists already; --force (in Python force=True) overwrites it",
        )


def _npy(path: Path, stack: np.ndarray, ids: Sequence[str] | None) -> None:
    with path.open("wb") as handle:
        np.save(handle, stack, allow_pickle=False)


def _npz(path: Path, stack: np.ndarray, ids: Sequence[str] | None) -> None:
    with path.open("wb") as handle:
        if ids is None:
            np.savez(handle, points=stack)
        else:
            np.savez(handle, points=stack, ids=np.array(list(ids), dtype=np.str_))


def _h5(path: Path, stack: np.ndarray, ids: Sequence[str] | None) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["points"] = stack
        if ids is not None:
            file.create_dataset("ids", data=list(ids), dtype=h5py.string_dtype())


def _ply(path: Path, cloud: np.ndarray) -> None:
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(cloud)}\n"
        "property float x\nproperty float y\nproperty float z\nend_header\n"
    )
    path.write_bytes(header.encode("ascii") + cloud.astype("<f4").tobytes())


def _pcd(path: Path, cloud: np.ndarray) -> None:
    count = len(cloud)
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\n"
        f"TYPE F F F\nCOUNT 1 1 1\nWIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\n"
        f"POINTS {count}\nDATA binary\n"
    )
    path.write_bytes(header.encode("ascii") + cloud.astype("<f4").tobytes())


def _xyz(path: Path, cloud: np.ndarray) -> None:
    np.savetxt(path, cloud, fmt="%.9g")  # nine digits name every float32


TOGETHER: dict[str, Callable[[Path, np.ndarray, Sequence[str] | None], None]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".h5": _h5,
    ".hdf5": _h5,
}
ALONE: dict[str, Callable[[Path, np.ndarray], None]] = {".ply": _ply, ".xyz": _xyz, ".pcd": _pcd}
