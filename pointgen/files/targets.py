"""Whether a path can be written to: asked before the work rather than found out after it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pointgen.files.errors import expect

__all__ = ["check_folder", "check_free", "ending_of"]


def ending_of(path: Path, known: Iterable[str]) -> str:
    """Return the ending, which picks the format, in lower case; "" for a folder.

    Raises:
        FileError: The ending is all there is of the name.
    """
    bare = path.name.lower() in known  # for Path, the name ".npy" has no ending
    expect(not bare, path, f"expected a name before the ending {path.name}")
    return "" if path.is_dir() else path.suffix.lower()


def check_folder(path: Path, folder: Path) -> None:
    """Refuse a folder that cannot be written to or, where it is not there yet, made.

    Raises:
        FileError: That is so; the message names `path`.
    """
    there = next(place for place in (folder, *folder.parents) if place.exists())
    expect(there.is_dir(), path, f"cannot be written: {there} is not a folder")
    expect(
        os.access(there, os.W_OK | os.X_OK), path, f"cannot be written: no permission in {there}"
    )


def check_free(paths: Sequence[Path], force: bool) -> None:
    """Refuse files that are there already, unless they may be overwritten, and folders.

    Raises:
        FileError: One of the paths is there already.
    """
    for path in paths:
        expect(not path.is_dir(), path, "expected a file to write, got a folder")
        expect(
            force or not path.exists(),
            path,
            "exists already; --force (in Python force=True) overwrites it",
        )
