"""PCD files (the Point Cloud Library's): ascii, binary and binary_compressed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pointgen.files.errors import FileError, expect, library, natural, plausible
from pointgen.files.raw import Raw, by_name
from pointgen.files.text import table

__all__ = ["read_pcd"]

Columns = dict[str, np.ndarray]

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

    @property
    def numbers(self) -> dict[str, int]:
        """The places of the fields that have one number and a name of their own."""
        places = {name: place for place, name in enumerate(self.names)}
        return {
            name: place
            for name, place in places.items()
            if self.counts[place] == 1 and self.names.count(name) == 1
        }

    def _parts(self) -> list[tuple[str, int]]:
        return list(zip(self.kinds, self.counts, strict=True))


def read_pcd(path: Path) -> Raw:
    """Return what the fields of a PCD file say, in the file's types."""
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
        columns = READERS[layout.encoding](path, body, layout)
    return by_name(path, columns | _unpacked(columns))


def _unpacked(columns: Columns) -> Columns:
    """Return red, green and blue of a field that has them in the bits of one number."""
    packed = next((columns[name] for name in ("rgb", "rgba") if name in columns), None)
    if packed is None:
        return {}
    if packed.dtype.itemsize != 4:  # something else, or not numbers all
        return dict.fromkeys(("red", "green", "blue"), np.full(len(packed), np.nan))
    bits = np.ascontiguousarray(packed).view("<u4")
    shifts = {"red": 16, "green": 8, "blue": 0}
    return {name: (bits >> shift).astype(np.uint8) for name, shift in shifts.items()}


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


def _ascii(path: Path, body: bytes, layout: Layout) -> Columns:
    rows = [line for line in body.decode("ascii").split("\n") if line.strip()]
    width = sum(layout.counts)
    expect(len(rows) == layout.rows, path, f"announces {layout.rows} points, got {len(rows)} rows")
    if not rows:
        return dict.fromkeys("xyz", np.zeros(0))
    values = table(rows)
    expect(values.shape[1] == width, path, f"expected {width} columns, got {values.shape[1]}")
    starts = np.cumsum([0, *layout.counts])
    columns = {name: values[:, starts[place]] for name, place in layout.numbers.items()}
    return columns | {
        name: _typed(columns[name], layout.kinds[place])
        for name, place in layout.numbers.items()
        if name not in "xyz"
    }


def _typed(column: np.ndarray, kind: str) -> np.ndarray:
    """Return a column in its type; in float64 where it does not fit, as NaN in the packed colours.

    The packed bits of an opaque colour are a NaN, whose own bits no text tells.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        typed = column.astype(kind)
    fits = np.isfinite(column) if typed.dtype.kind == "f" else typed == column
    return typed if fits.all() else column


def _binary(path: Path, body: bytes, layout: Layout) -> Columns:
    rows = np.frombuffer(body, layout.row_type, layout.rows)
    return {name: rows[str(place)][:, 0] for name, place in layout.numbers.items()}


def _compressed(path: Path, body: bytes, layout: Layout) -> Columns:
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
    sizes = [np.dtype(kind).itemsize for kind in layout.kinds]
    starts = np.cumsum([0, *(s * n for s, n in zip(sizes, layout.counts, strict=True))])
    return {
        name: np.frombuffer(data, layout.kinds[place], layout.rows, layout.rows * starts[place])
        for name, place in layout.numbers.items()
    }


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
