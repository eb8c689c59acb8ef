"""Clouds in text files: xyz, txt and pts, whose first three columns are x, y, z."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np

from pointgen.files.errors import FileError, expect, library, natural
from pointgen.files.raw import Raw, by_name, by_number

__all__ = ["read_text", "table"]

COMMENT = ("#", "//", ";", "%")
HEADER_LINES = 100  # a file with more lines before its first row is something else


def read_text(path: Path) -> Raw:
    """Return the columns of a table that are known by their names or, without, by their number.

    Columns are separated by whitespace, commas or semicolons. Before the first row there may be
    comments, a line of column names and the number of rows (as in pts files), which must agree.
    """
    with path.open(encoding="utf-8-sig") as handle:
        with library(path, "text"):
            head = _head(handle)
        expect(bool(head) and _is_row(head[-1]), path, "holds no rows of numbers")
        *preface, first = head
        names, counts = _preface(path, preface)
        _check_names(path, names)
        with library(path, "a table of numbers"):
            rows = table(chain([first], handle), _delimiter(first))
    expect(rows.shape[1] >= 3, path, f"expected at least 3 columns, got {rows.shape[1]}")
    for count in counts:
        expect(count == len(rows), path, f"announces {count} points, got {len(rows)}: truncated?")
    if not names:
        return by_number(path, rows)
    columns = dict(zip("xyz", rows.T, strict=False))
    if len(names) == rows.shape[1]:
        columns |= {name: _typed(rows[:, 3 + at]) for at, name in enumerate(names[3:])}
    return by_name(path, columns)


def table(lines: Iterable[str], delimiter: str | None = None) -> np.ndarray:
    """Return lines of numbers as (rows, columns) float64; rows of unequal length are an error."""
    return np.loadtxt(lines, np.float64, comments="#", delimiter=delimiter, ndmin=2)


def _head(handle: Iterable[str]) -> list[str]:
    """Return the lines up to and with the first row of at least two numbers."""
    head: list[str] = []
    for line in handle:
        if line.strip():
            head.append(line)
        if len(head) > HEADER_LINES or (head and _is_row(head[-1])):
            break
    return head


def _is_row(line: str) -> bool:
    values = _fields(line)
    return len(values) > 1 and all(_is_number(value) for value in values)


def _fields(line: str) -> list[str]:
    return [field for field in re.split(r"[\s,;]+", line.split("#")[0]) if field]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _delimiter(row: str) -> str | None:
    """Choose by the first row; a decimal comma then fails as a number, and is not misread."""
    return next((mark for mark in ";," if mark in row), None)


def _preface(path: Path, lines: list[str]) -> tuple[list[str], list[int]]:
    """Return the column names and the announced numbers of rows that precede the table."""
    names: list[str] = []
    counts: list[int] = []
    for line in lines:
        text = line.strip()
        words = [word.lower() for word in _fields(text.lstrip("#/;% "))]
        if {"x", "y", "z"} <= set(words):
            names = words
        elif natural(text):
            counts.append(int(text))
        elif not text.startswith(COMMENT):
            raise FileError(path, f"expected rows of numbers, got the line {text[:60]!r}")
    return names, counts


def _typed(column: np.ndarray) -> np.ndarray:
    """Return whole numbers as integers, which a text does not tell from shares like 1.0."""
    whole = (np.floor(column) == column) & (np.abs(column) < 2**53)
    return column.astype(np.int64) if whole.all() else column


def _check_names(path: Path, names: list[str]) -> None:
    expect(
        not names or (names[:3] == ["x", "y", "z"] and not {"x", "y", "z"} & set(names[3:])),
        path,
        f"expected the columns x, y, z first, got {', '.join(names)}",
    )
