"""Looking into data folders: categories, splits, and errors that say what was found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pointgen.datasets.settings import SPLITS
from pointgen.datasets.synsets import category_name

__all__ = [
    "choose",
    "existing_folder",
    "listing",
    "split_folder",
    "split_roots",
    "subfolders",
    "synset_folders",
]

LISTED = 8  # names in a message


def existing_folder(root: Path, expected: str, *, key: str = "data.root") -> Path:
    """Return the folder with ~ expanded.

    Raises:
        ValueError: It is not there; `expected` says what ought to lie in it.
    """
    folder = root.expanduser()
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ValueError(f"{key}: expected a folder with {expected} at {folder}, found {found}")
    return folder


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder by name, without hidden ones."""
    inside = folder.iterdir()
    return sorted(path for path in inside if path.is_dir() and not path.name.startswith("."))


def synset_folders(root: Path) -> dict[str, Path]:
    """Return the folders whose names are synset ids, eight digits, by name."""
    inside = subfolders(root) if root.is_dir() else ()
    return {path.name: path for path in inside if re.fullmatch(r"\d{8}", path.name)}


def listing(folder: Path) -> str:
    """Say in a few words what lies in a folder."""
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) + more) or "nothing"


def split_roots(root: Path) -> dict[str, Path]:
    """Return the categories below `root` that are divided into splits, by folder name.

    They are folders with a folder train, val or test in them; `root` itself may be the only one.
    """
    candidates = [root] if _has_splits(root) else subfolders(root)
    return {path.name: path for path in candidates if _has_splits(path)}


def _has_splits(folder: Path) -> bool:
    return any((folder / split).is_dir() for split in SPLITS)


def choose(found: Sequence[str], wanted: Sequence[str], root: Path) -> list[str]:
    """Return the folder names of the wanted categories; "all" wants all of them.

    A category is wanted by its folder's name or, for a synset, by the synset's name.

    Raises:
        ValueError: One of them is not there, or is wanted twice.
    """
    if tuple(wanted) == ("all",):
        return list(found)
    by_name = {category_name(name): name for name in found} | {name: name for name in found}
    missing = [name for name in wanted if name not in by_name]
    if missing:
        there = ", ".join(category_name(name) for name in found) or "none"
        raise ValueError(
            f"data.categories: no {', '.join(missing)} in {root}; found there: {there}"
        )
    chosen = [by_name[name] for name in wanted]
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"data.categories: expected each once, got {', '.join(wanted)}")
    return chosen


def split_folder(category: Path, split: str, val_split: str | None) -> Path:
    """Return the folder of a split; `val_split` names the one that stands in for a missing val.

    Raises:
        ValueError: There is no such folder.
    """
    folder = category / (val_split if split == "val" and val_split else split)
    if not folder.is_dir():
        there = ", ".join(name for name in SPLITS if (category / name).is_dir()) or "none"
        hint = "; val_split can name another to use as val" if split == "val" else ""
        raise ValueError(f"{folder}: no such split; found in {category}: {there}{hint}")
    return folder
