"""PCD files (the Point Cloud Library's): ascii, binary and binary_compressed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pointgen.files.errors import FileError, expect, library, natural, plausible
from pointgen.files.text import table

__all__ = ["read_pcd"]

KINDS = {("I", n): f"<i{n}" for n in "1248"} | {("U", n): f"<u{n}" for n in "1248"}
KINDS |= {("F", n): f"<f{n}" for n in "248"}
LINES = 1000


@dataclass(frozen=True)
class Layout:
    """What the header says.

    Attributes:
        names: the fields' names in lower case.
        kinds: numpy's type of each field.
        counts: the numbers in each field.
        rows: how many points.
        encoding: ascii, binary or binary_compressed.
    """

    names: list[str]
    kinds: list[str]
    counts: list[int]
    rows: int
    encoding: str

    @property
    def row_type(self) -> np.dtype:
        """The type of a row; fields are numbered, for padding repeats the name `_`."""
        return np.dtype([(str(i), k, (n,)) for i, (k, n) in enumerate(self._parts())])

    def _parts(self) -> list[tuple[str, int]]:
        return list(zip(self.kinds, self.counts, strict=True))


def read_pcd(path: Path) -> np.ndarray:
    """Return the fields x, y, z of a PCD file as (N, 3), in the file's types."""
    with path.open("rb") as handle:
        layout = _layout(path, _header(path, handle))
        least = 2 * sum(layout.counts) if layout.encoding == "ascii" else layout.row_type.itemsize
        left = path.stat().st_size - handle.tell()
        if layout.encoding != "binary_compressed":
            expect(
                layout.rows * least <= left + 1,
                path,
                f"is truncated: announces {layout.rows} points, at least {layout.rows * least} "
                f"bytes, {left} are there",
            )
        body = handle.read()
    with library(path, "PCD"):
        return READERS[layout.encoding](path, body, layout)


def _header(path: Path, handle: IO[bytes]) -> dict[str, list[str]]:
    header: dict[str, list[str]] = {}
    for _ in range(LINES):
        words = handle.readline(2**16).decode("latin-1").split("#")[0].split()
        if words:
            header[words[0].upper()] = words[1:]
        if words and words[0].upper() == "DATA":
            return header
    raise FileError(path, "PCD header without a DATA line")


def _layout(path: Path, header: dict[str, list[str]]) -> Layout:
    names = [name.lower() for name in header.get("FIELDS", header.get("COLUMNS", []))]
    sizes, types = header.get("SIZE", []), [t.upper() for t in header.get("TYPE", [])]
    counts = header.get("COUNT", ["1"] * len(names))
    expect(
        len(names) == len(sizes) == len(types) == len(counts),
        path,
        "PCD header: expected FIELDS, SIZE, TYPE and COUNT of equal length",
    )
    expect(all(names.count(axis) == 1 for axis in "xyz"), path, f"expected x, y, z, got {names}")
    kinds = [KINDS.get(pair) for pair in zip(types, sizes, strict=True)]
    expect(all(kinds) and all(map(_small, counts)), path, "PCD header: unknown type or count")
    encoding = " ".join(header["DATA"]).lower()
    expect(encoding in READERS, path, f"PCD header: unknown encoding {encoding[:40]!r}")
    layout = Layout(
        names, [k for k in kinds if k], list(map(int, counts)), _rows(path, header), encoding
    )
    expect(
        all(layout.counts[names.index(axis)] == 1 for axis in "xyz"),
        path,
        "PCD header: expected one number in each of x, y, z",
    )
    return layout


def _small(count: str) -> bool:
    return natural(count) and 0 < int(count) < 2**16


def _rows(path: Path, header: dict[str, list[str]]) -> int:
    """Return the number of points, on which WIDTH x HEIGHT and POINTS must agree."""
    texts = [header.get("WIDTH", []), header.get("HEIGHT", ["1"])]
    texts = [header.get("POINTS", [])] if not texts[0] else texts
    expect(
        all(len(text) == 1 and natural(text[0]) for text in texts),
        path,
        "PCD header: expected WIDTH and HEIGHT or POINTS as one natural number each",
    )
    rows = int(np.prod([int(text[0]) for text in texts], dtype=object))
    points = header.get("POINTS", [str(rows)])
    expect(points == [str(rows)], path, f"PCD header: POINTS {points} but WIDTH x HEIGHT {rows}")
    return rows


def _ascii(path: Path, body: bytes, layout: Layout) -> np.ndarray:
    rows = [line for line in body.decode("ascii").split("\n") if line.strip()]
    width = sum(layout.counts)
    expect(len(rows) == layout.rows, path, f"announces {layout.rows} points, got {len(rows)} rows")
    if not rows:
        return np.zeros((0, 3))
    values = table(rows)
    expect(values.shape[1] == width, path, f"expected {width} columns, got {values.shape[1]}")
    starts = np.cumsum([0, *layout.counts])
    return values[:, [starts[layout.names.index(axis)] for axis in "xyz"]]


def _binary(path: Path, body: bytes, layout: Layout) -> np.ndarray:
    rows = np.frombuffer(body, layout.row_type, layout.rows)
    columns = [rows[str(layout.names.index(axis))][:, 0] for axis in "xyz"]
    return np.stack(columns, axis=-1)


def _compressed(path: Path, body: bytes, layout: Layout) -> np.ndarray:
    """Read the form that stores whole columns one after another, packed by LZF."""
    packed, size = struct.unpack_from("<II", body)
    expect(
        packed <= len(body) - 8, path, f"is truncated: announces {packed} bytes, {len(body) - 8}"
    )
    expect(
        size == layout.rows * layout.row_type.itemsize,
        path,
        f"announces {layout.rows} points but unpacks to {size} bytes",
    )
    plausible(path, size, packed)
    data = _lzf(path, memoryview(body)[8 : 8 + packed], size)
    columns, at = {}, 0
    for name, kind, count in zip(layout.names, layout.kinds, layout.counts, strict=True):
        columns[name] = np.frombuffer(data, kind, layout.rows * count, at)
        at += layout.rows * count * np.dtype(kind).itemsize
    return np.stack([columns[axis] for axis in "xyz"], axis=-1)


def _lzf(path: Path, packed: memoryview, size: int) -> bytes:
    """Unpack LibLZF's format: a control byte below 32 starts a literal, others a copy."""
    out, at = bytearray(), 0
    while at < len(packed) and len(out) <= size:
        control, at = packed[at], at + 1
        if control < 32:
            out += packed[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:  # three bits are full: the next byte adds
            length, at = length + packed[at], at + 1
        start = len(out) - ((control & 31) << 8) - packed[at] - 1
        at += 1
        expect(start >= 0, path, "damaged: a copy from before the first byte")
        length += 2
        piece = out[start : start + length]
        out += (piece * (length // len(piece) + 1))[:length]  # a copy may overlap its own output
    expect(len(out) == size, path, f"damaged: unpacked {len(out)} bytes, expected {size}")
    return bytes(out)


READERS = {"ascii": _ascii, "binary": _binary, "binary_compressed": _compressed}
