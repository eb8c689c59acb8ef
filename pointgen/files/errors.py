"""The one error of this part, and the doors that every file passes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "FileError",
    "check_regular",
    "expect",
    "library",
    "natural",
    "plausible",
    "reading",
    "writing",
]

PACKED = {".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".tar", ".tgz"}

# No array of real coordinates shrinks a hundredfold; a bomb shrinks a thousandfold.
EXPANSION = 100
SMALL = 2**26  # bytes; below this (64 MiB) nothing can hurt


class FileError(ValueError):
    """A file that cannot be used; the message starts with its path."""

    def __init__(self, path: Path, message: str):
        super().__init__(path, message)  # both, so that it survives the way out of a process

    def __str__(self) -> str:
        """Return the path and what is wrong with it."""
        path, message = self.args
        return f"{path}: {message}"


def expect(condition: bool, path: Path, message: str) -> None:
    """Raise a `FileError` with the message unless the condition holds."""
    if not condition:
        raise FileError(path, message)


@contextmanager
def library(path: Path, what: str) -> Iterator[None]:
    """Turn any exception of one library call into a `FileError`; only such calls go inside."""
    try:
        yield
    except FileError:
        raise
    except Exception as error:  # a parser fed with damage may raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileError(path, f"cannot be read as {what}: {reason}") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says while `path` is written into a `FileError` of that path.

    The system's own words for the number of the error are taken: a library's may be many, and
    name the temporary file.
    """
    try:
        yield
    except OSError as error:
        raise FileError(path, f"cannot be written ({_said(error)})") from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says while `path` is read into a `FileError` of that path.

    It is for the doors, not for each reader: whoever leaves out bad files looks for one error.
    """
    try:
        yield
    except OSError as error:
        raise FileError(path, f"cannot be read ({_said(error)})") from error


def _said(error: OSError) -> str:
    said = os.strerror(error.errno) if error.errno else " ".join(str(error).split())[:200]
    return said or type(error).__name__


def check_regular(path: Path) -> None:
    """Refuse what is missing, is not a regular file, is empty or is packed."""
    with reading(path):
        expect(path.exists(), path, "no such file")
        expect(path.is_file(), path, "expected a file, got a folder or a device")
        packed = path.suffix.lower() in PACKED
        expect(not packed, path, "is compressed or an archive: unpack it first")
        expect(path.stat().st_size > 0, path, "is empty (0 bytes)")


def plausible(path: Path, expanded: int, stored: int) -> None:
    """Refuse an announced size in bytes that no compression of real data explains."""
    expect(
        expanded <= max(SMALL, EXPANSION * stored),
        path,
        f"announces {expanded} bytes of data but stores {stored}: damaged or hostile",
    )


def natural(text: str) -> bool:
    """Return whether a header's word is a natural number of a length that a count can have."""
    return text.isdecimal() and text.isascii() and len(text) < 20
