"""Where `pointgen convert` finds files and where it puts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

__all__ = ["check_apart", "folder_of", "places", "sources", "target_ending"]


def sources(source: Path) -> list[Path]:
    """Return a file, or the files of points and meshes in a folder in the order of their names.

    Raises:
        ValueError: There are none, or the file is of neither.
    """
    from pointgen.files import is_cloud, is_mesh
    from pointgen.files.errors import check_regular
    from pointgen.files.read import shown

    if not source.exists():
        raise ValueError(f"{source}: no such file or folder")
    if not source.is_dir():
        check_regular(source)
        if not (is_cloud(source) or is_mesh(source)):
            raise ValueError(f"{source}: expected points or a mesh, got ending {source.suffix!r}")
        return [source]
    files = [path for path in shown(source) if path.is_file() and (is_cloud(path) or is_mesh(path))]
    if not files:
        raise ValueError(f"{source}: holds no files of points or meshes")
    return files


def target_ending(target: Path, to: str | None) -> str:
    """Return the ending of the files to write.

    Raises:
        ValueError: The target has an ending that is unknown, or another one than was asked for.
    """
    from pointgen.files import is_mesh_target
    from pointgen.files.encode import ALONE, TOGETHER

    ending = "" if target.is_dir() else target.suffix.lower()
    known = {*TOGETHER, *ALONE} | ({ending} if is_mesh_target(target) else set())
    if ending in known and to in (None, ending[1:]):
        return ending
    if ending in known:
        raise ValueError(f"--to {to}: {target} says {ending}; --to is for a folder without ending")
    if ending and to is None:
        raise ValueError(f"{target}: unknown ending {ending}; for a folder, name a format by --to")
    return f".{to or 'ply'}"


def check_apart(source: Path, target: Path) -> None:
    """Refuse a target within the folder that is converted: it would be converted next time.

    Raises:
        ValueError: It is.
    """
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{target}: lies in the source; choose a place outside {source}")


def places(files: Sequence[Path], source: Path, target: Path, ending: str) -> list[Path]:
    """Return the file in the target that each of the source becomes.

    It keeps its path and name but for the ending; where two files would become one, as a.npy and
    a.xyz, their whole names are kept: a.npy.ply and a.xyz.ply.

    Raises:
        ValueError: Two become one all the same, or one is a source.
    """
    root = source if source.is_dir() else source.parent
    names = [file.relative_to(root) for file in files]
    short = [name.with_suffix(ending) for name in names]
    times = Counter(map(_folded, short))
    chosen = [
        target / (new if times[_folded(new)] == 1 else old.with_name(old.name + ending))
        for old, new in zip(names, short, strict=True)
    ]
    (folded, count), *_ = Counter(map(_folded, chosen)).most_common(1)
    if count > 1:
        raise ValueError(f"{source}: two of its files would become {folded}")
    overlap = {path.resolve() for path in chosen} & {path.resolve() for path in files}
    if overlap and len(files) > 1:
        raise ValueError(f"{min(overlap)}: is a source and would be overwritten")
    return chosen


def folder_of(place: Path) -> Path:
    """Return the folder for the clouds of a file that has several."""
    name = place.stem if "." not in place.stem else place.stem.replace(".", "_")
    return place.with_name(name)


def _folded(path: Path) -> str:
    return path.as_posix().casefold()  # some systems do not tell a.ply from A.ply
