"""STL: the bytes that trimesh may read, which takes a binary file for text if its length is odd."""

from __future__ import annotations

from pathlib import Path

from pointgen.files.errors import expect

__all__ = ["stl_bytes", "stl_facets"]

HEADER, FACET = 84, 50  # bytes; the last four of the header are the number of facets


def stl_bytes(path: Path) -> bytes:
    """Return a text as it is, and of a binary file no more than the facets that it announces.

    Raises:
        FileError: A binary file has fewer of them.
    """
    data = path.read_bytes()
    size = _size(data)
    if not size:
        return data
    expect(
        size <= len(data),
        path,
        f"is truncated: announces {(size - HEADER) // FACET} facets, holds "
        f"{(len(data) - HEADER) // FACET}",
    )
    return data[:size]


def stl_facets(data: bytes) -> int:
    """Return the number of facets opened in a text; trimesh drops an unfinished solid."""
    return 0 if _size(data) == len(data) else data.lower().count(b"outer loop")


def _size(data: bytes) -> int:
    """Return the bytes that a binary file should have, 0 for a text.

    Either may begin with `solid`; but no text has a byte 0, and a number of facets below 2**24
    has one.
    """
    if len(data) < HEADER or b"\0" not in data[:HEADER]:
        return 0
    return HEADER + FACET * int.from_bytes(data[HEADER - 4 : HEADER], "little")
