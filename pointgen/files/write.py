"""Write clouds; the ending of the path picks the format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointgen.files.atomic import atomic
from pointgen.files.attributes import ATTRIBUTES, checked
from pointgen.files.cloud import Cloud, to_float32
from pointgen.files.encode import ALONE, TOGETHER, Stack
from pointgen.files.errors import expect, writing
from pointgen.files.targets import check_folder, check_free, ending_of

__all__ = ["carried", "check_target", "safe_name", "write_clouds"]

# Of each cloud, in the order of the clouds; or of all in one array.
Each = Sequence[np.ndarray] | np.ndarray
EachOrNone = Sequence[np.ndarray | None] | np.ndarray | None


def carried(path: Path) -> tuple[str, ...]:
    """Return what of normals, colours and labels `write_clouds` can write to a path.

    Raises:
        FileError: The ending is unknown or all there is.
    """
    return () if _ending(Path(path)) == ".npy" else tuple(ATTRIBUTES)


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
            check_free([path], force)
        check_folder(path, path.parent if ending else path)
        if ids is not None:
            _check_ids(path, list(ids), len(ids))
            if ending not in TOGETHER:
                check_free(_paths(path, ending, ids, len(ids)), force)


def write_clouds(
    path: Path,
    clouds: Each,
    *,
    ids: Sequence[str] | None = None,
    normals: EachOrNone = None,
    colours: EachOrNone = None,
    labels: EachOrNone = None,
    force: bool = False,
) -> list[Path]:
    """Write clouds as float32 and return the files written.

    Args:
        path: `*.npy`, `*.npz`, `*.h5`, `*.hdf5`: one file of shape (S, N, 3), the last three with
            the ids. `*.ply`, `*.xyz`, `*.pcd`: one cloud to that file, several to `stem-000.ply`,
            ... or `stem-ID.ply`. No ending: a folder of `000.ply`, ... or `ID.ply`.
        clouds: A list of clouds of shape (N, 3), or an array (S, N, 3), or one cloud (N, 3).
        ids: A name of each cloud. Characters that no file name should have become `_`.
        normals: Those of the points of each cloud, as the clouds themselves; every format but npy
            has a place for them. Where clouds have a file each, some may be None.
        colours: Red, green, blue of the points of each cloud, uint8, likewise.
        labels: Of the points of each cloud, (N,) int of 32 bits, likewise.
        force: Overwrite files of these names.

    Raises:
        FileError: A file exists already or cannot be written, or the clouds, or what is known of
            their points, do not suit the format.
    """
    path = Path(path)
    check_target(path, force=force)
    bare = not isinstance(clouds, list | tuple) and np.ndim(clouds) == 2
    more = {"normals": normals, "colours": colours, "labels": labels}
    given = _clouds(path, np.asarray(clouds)[None] if bare else clouds, more, bare=bare)
    if ids is not None:
        _check_ids(path, list(ids), len(given))
    ending = _ending(path)
    if ending in TOGETHER:
        stack = _stacked(path, given)
        if bare:
            stack = {name: array[0] for name, array in stack.items()}
        with atomic(path) as temporary:
            TOGETHER[ending](temporary, stack, ids)
        return [path]
    paths = _paths(path, ending, ids, len(given))
    check_free(paths, force)
    for target, cloud in zip(paths, given, strict=True):
        with atomic(target) as temporary:
            temporary.write_bytes(ALONE[ending or ".ply"](cloud))
    return paths


def safe_name(id: str) -> str:
    """Return an id as a file name that stays in its folder and is not hidden."""
    kept = "".join(c if c.isalnum() or c in " -+()_.," else "_" for c in id)
    return kept if not kept.startswith(".") else "_" + kept[1:]


def _ending(path: Path) -> str:
    """Return the ending, which picks the format; none means a folder."""
    known = (*TOGETHER, *ALONE)
    ending = ending_of(path, known)
    expect(
        ending in ("", *known),
        path,
        f"expected the ending {', '.join(known)} or none (a folder), got {ending!r}",
    )
    return ending


def _clouds(path: Path, clouds: Each, more: dict[str, EachOrNone], *, bare: bool) -> list[Cloud]:
    """Return the clouds, checked, with what is known of their points."""
    expect(len(clouds) > 0, path, "expected at least one cloud to write, got none")
    columns: dict[str, list[np.ndarray | None]] = {}
    for name, arrays in more.items():
        if arrays is None:
            columns[name] = [None] * len(clouds)
        else:
            columns[name] = [np.asarray(arrays)] if bare else list(arrays)
        count = len(columns[name])
        expect(count == len(clouds), path, f"expected {len(clouds)} {name}, got {count}")
        expect(
            name in carried(path) or all(array is None for array in columns[name]),
            path,
            f"has no place for {name}: choose .npz, .h5, .ply, .xyz or .pcd, or leave them out",
        )
    return [
        _cloud(path, np.asarray(cloud), {name: columns[name][at] for name in columns})
        for at, cloud in enumerate(clouds)
    ]


def _cloud(path: Path, cloud: np.ndarray, more: dict[str, np.ndarray | None]) -> Cloud:
    expect(
        cloud.ndim == 2 and cloud.shape[1] == 3 and len(cloud) > 0 and cloud.dtype.kind in "fiu",
        path,
        f"expected clouds of shape (N, 3) to write, got {cloud.shape} {cloud.dtype}",
    )
    known = {
        name: None if array is None else checked(path, name, np.asarray(array), len(cloud))
        for name, array in more.items()
    }
    return Cloud("", to_float32(path, cloud), known["normals"], known["colours"], known["labels"])


def _check_ids(path: Path, ids: list[str], count: int) -> None:
    expect(len(ids) == count, path, f"expected {count} ids, got {len(ids)}")
    expect(len(set(ids)) == count and all(ids), path, "expected ids that differ and are not empty")


def _stacked(path: Path, clouds: list[Cloud]) -> Stack:
    """Return the points (S, N, 3) and what else all clouds have."""
    sizes = sorted({len(cloud.points) for cloud in clouds})
    expect(
        len(sizes) == 1,
        path,
        f"clouds of {sizes[0]} to {sizes[-1]} points do not fit one array: write "
        f"{', '.join(ALONE)} or a folder",
    )
    stack = {"points": np.stack([cloud.points for cloud in clouds])}
    columns = {
        "normals": [cloud.normals for cloud in clouds],
        "colours": [cloud.colours for cloud in clouds],
        "labels": [cloud.labels for cloud in clouds],
    }
    for name, arrays in columns.items():
        there = [array for array in arrays if array is not None]
        expect(
            len(there) in (0, len(clouds)),
            path,
            f"{name} of {len(there)} of {len(clouds)} clouds do not fit one array: write "
            f"{', '.join(ALONE)} or a folder",
        )
        if there:
            stack[name] = np.stack(there)
    return stack


def _paths(path: Path, ending: str, ids: Sequence[str] | None, count: int) -> list[Path]:
    """Return the file of each cloud."""
    if ending and count == 1:
        return [path]
    width = max(3, len(str(count - 1)))
    names = [f"{i:0{width}d}" for i in range(count)] if ids is None else list(map(safe_name, ids))
    folded = [name.casefold() for name in names]  # some systems do not tell a.ply from A.ply
    expect(len(set(folded)) == count, path, "two of the ids give the same file name")
    if not ending:
        return [path / f"{name}.ply" for name in names]
    return [path.with_name(f"{path.stem}-{name}{path.suffix}") for name in names]
