"""Where the pictures of a shape lie: 3D-R2N2's layout, for those who write and those who read.

    <images>/<category>/<id>/rendering/00.png 01.png ...
                                       renderings.txt            names of the pictures, one a line
                                       rendering_metadata.txt    cameras, one a line

The category's folder is named by the category, or by its synset where the meshes lie in folders
named so.
"""

from __future__ import annotations

from pathlib import Path

from pointgen.datasets.synsets import SYNSETS
from pointgen.files.errors import FileError, check_regular, library
from pointgen.geometry.cameras import ViewCamera

__all__ = ["METADATA", "NAMES", "category_folders", "folder_of", "picture_name", "read_cameras"]

METADATA = "rendering_metadata.txt"
NAMES = "renderings.txt"


def folder_of(category: str, id: str) -> Path:
    """Return the folder of a shape below that of the pictures, `<category>/<id>/rendering`.

    An id that is a path becomes one name, "/" as "__".

    Raises:
        ValueError: A name that cannot be a folder's.
    """
    name = id.replace("/", "__")
    for part in (category, name):
        if part in ("", ".", "..") or set(part) & set("/\\\0"):
            raise ValueError(f"{category}/{id}: expected names that folders can have")
    return Path(category, name, "rendering")


def category_folders(category: str) -> tuple[str, ...]:
    """Return the names that a category's folder may have: its own, and those of its synset."""
    same = [synset for synset, name in SYNSETS.items() if name == category]
    return (category, *same)


def picture_name(view: int) -> str:
    """Return the file name of a view, counted from 0."""
    return f"{view:02d}.png"


def read_cameras(path: Path) -> list[ViewCamera]:
    """Read a `rendering_metadata.txt`; empty lines do not count.

    Raises:
        FileError: It is missing, holds no camera or a damaged line; the message names the line.
    """
    check_regular(path)
    with library(path, "text"):
        lines = path.read_text(encoding="utf-8").splitlines()
    cameras = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                cameras.append(ViewCamera.parse(line))
            except ValueError as error:
                raise FileError(path, f"line {number}: {error}") from error
    if not cameras:
        raise FileError(path, "expected a line for each picture, got none")
    return cameras
