"""Telling whether a file is still the one that was read."""

from __future__ import annotations

from pathlib import Path

from pointgen.files.errors import reading

__all__ = ["Mark", "mark_of"]

Mark = tuple[Path, int, int]  # the path from the root, bytes, nanoseconds


def mark_of(path: Path) -> Mark:
    """Return what differs where a file does, as far as that is said without reading it.

    Raises:
        FileError: It is not there, or the system does not let it be looked at.
    """
    with reading(path):
        stat = path.stat()
        return path.resolve(), stat.st_size, stat.st_mtime_ns
