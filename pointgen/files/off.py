"""OFF: what must hold before trimesh may read it, and the colours, which trimesh does not read."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from pointgen.files.errors import FileError, expect, library

__all__ = ["check_off", "off_colours", "off_faces"]


def check_off(path: Path) -> None:
    """Refuse an OFF file that ends before its vertices do.

    Raises:
        FileError: It does, or has no counts.
    """
    with library(path, "off"):
        vertices, faces, numbers = _counts(path)
    expect(
        numbers >= 3 * vertices,
        path,
        f"is truncated: announces {vertices} vertices and {faces} faces, then has {numbers} "
        "numbers",
    )


def off_faces(path: Path) -> int:
    """Return the announced number of faces."""
    return _counts(path)[1]


def off_colours(path: Path) -> np.ndarray | None:
    """Return the colours (V, 3) that follow every vertex of a COFF (or OFF) file, or None.

    They are whole numbers up to 255 or, written with a point, shares of one.
    """
    kind, (vertices, _), lines = _parts(path)
    rows = (line.split("#")[0].split()[3:6] for line in lines if line.split("#")[0].strip())
    first = next(rows, [])
    if kind not in ("OFF", "COFF") or len(first) < 3:
        return None
    colours = [first, *islice(rows, vertices - 1)]
    if any(len(row) < 3 for row in colours):
        return None
    with library(path, "off"):
        values = np.array(colours, np.float64)
    whole = "." not in "".join(first) and bool((values == np.floor(values)).all())
    return values.astype(np.int64) if whole else values


def _counts(path: Path) -> tuple[int, int, int]:
    """Return the announced vertices and faces, and the number of words after them."""
    _, (vertices, faces), lines = _parts(path)
    return vertices, faces, sum(len(line.split("#")[0].split()) for line in lines)


def _parts(path: Path) -> tuple[str, tuple[int, int], list[str]]:
    """Return the format's word, the counts (first line with two numbers), and the lines after."""
    lines = path.read_text(encoding="latin-1").splitlines()
    kind = ""
    for at, line in enumerate(lines):
        text = line.split("#")[0].strip().upper()
        word = next((word for word in ("OFF", "COFF") if text.startswith(word)), "")
        kind = kind or word
        words = text.removeprefix(word).split()
        if len(words) > 1:
            return kind, (int(words[0]), int(words[1])), lines[at + 1 :]
    raise FileError(path, "OFF file without its counts")
