"""PLY files: every element by the names in the header, in all three encodings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from pointgen.files.errors import FileError, expect, library, natural
from pointgen.files.text import table

__all__ = ["Columns", "has_faces", "read_ply", "scalars"]

KINDS = {
    "char": "i1", "uchar": "u1", "bool": "u1", "short": "i2", "ushort": "u2", "int": "i4",
    "uint": "u4", "long": "i8", "ulong": "u8", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "int64": "i8", "uint64": "u8", "float16": "f2", "float32": "f4", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
HEADER_BYTES = 2**20

# A scalar property is an array (rows,), a list property an array (rows, length) or, where the
# lengths differ, a list of `rows` arrays.
Columns = dict[str, np.ndarray | list[np.ndarray]]


@dataclass(frozen=True)
class Property:
    """One property of an element; `length` is the type of the list's length, "" for a scalar."""

    name: str
    kind: str
    length: str = ""


@dataclass
class Element:
    """One element of the header: `count` rows of the properties."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    @property
    def has_lists(self) -> bool:
        """Whether a row has no fixed length."""
        return any(p.length for p in self.properties)

    @property
    def row_bytes(self) -> int:
        """The least number of bytes of a binary row."""
        return sum(np.dtype(p.length or p.kind).itemsize for p in self.properties)


def read_ply(path: Path) -> dict[str, Columns]:
    """Return the columns of every element of a PLY file by element and property name."""
    with path.open("rb") as handle:
        order, elements = _header(path, handle)
        left = path.stat().st_size - handle.tell()
        for element in elements:
            least = element.row_bytes if order else 2 * len(element.properties)
            _check_room(path, element, least, left)
        body = handle.read()
    with library(path, "PLY"):
        return _ascii(path, body, elements) if not order else _binary(path, body, order, elements)


def scalars(columns: Columns) -> dict[str, np.ndarray]:
    """Return the columns (rows,) that are no lists."""
    return {
        name: values
        for name, values in columns.items()
        if isinstance(values, np.ndarray) and values.ndim == 1
    }


def has_faces(path: Path) -> bool:
    """Return whether the header announces faces."""
    with path.open("rb") as handle:
        _, elements = _header(path, handle)
    return any(e.name in ("face", "tristrips") and e.count > 0 for e in elements)


def _check_room(path: Path, element: Element, least: int, left: int) -> None:
    expect(
        element.count * least <= left + 1,  # the last line may lack its end
        path,
        f"is truncated: announces {element.count} rows of {element.name}, at least "
        f"{element.count * least} bytes, {left} are there",
    )


def _header(path: Path, handle: IO[bytes]) -> tuple[str, list[Element]]:
    """Return the byte order ("" for ascii) and the elements; the handle stands at the body."""
    order: str | None = None
    elements: list[Element] = []
    for words in _header_lines(path, handle):
        match words:
            case ["format", name, _] if name in ORDERS:
                order = ORDERS[name]
            case ["element", name, count] if natural(count):
                elements.append(Element(name, int(count)))
            case ["property", *types, name] if elements and _known(types):
                elements[-1].properties.append(Property(name.lower(), *_kinds(types)))
            case _:
                raise FileError(path, f"PLY header line not understood: {' '.join(words)[:60]!a}")
    if order is None:
        raise FileError(path, "PLY header without a format line")
    for element in elements:
        _check_names(path, [p.name for p in element.properties])
    _check_names(path, [e.name for e in elements])
    return order, elements


def _known(types: list[str]) -> bool:
    """Return whether these words are a type, or `list` and the types of its length and values."""
    if types[:1] == ["list"]:
        types = types[1:]
        return len(types) == 2 and KINDS.keys() >= set(types) and KINDS[types[0]][0] in "iu"
    return len(types) == 1 and types[0] in KINDS


def _kinds(types: list[str]) -> list[str]:
    """Return the kind of the values and, of a list, then that of its length."""
    return [KINDS[name] for name in reversed(types) if name != "list"]


def _header_lines(path: Path, handle: IO[bytes]) -> Iterator[list[str]]:
    """Yield the words of each line between `ply` and `end_header` that is no comment."""
    expect(handle.readline(16).strip() == b"ply", path, "expected a PLY file (first line `ply`)")
    while handle.tell() < HEADER_BYTES:
        line = handle.readline(HEADER_BYTES)
        words = line.decode("latin-1").split()
        if words == ["end_header"]:
            return
        expect(bool(line), path, "PLY header without end_header")
        if words and words[0] not in ("comment", "obj_info"):
            yield words
    raise FileError(path, f"PLY header without end_header in its first {HEADER_BYTES} bytes")


def _check_names(path: Path, names: list[str]) -> None:
    expect(len(set(names)) == len(names), path, f"a name is there twice: {', '.join(names)}")


def _ascii(path: Path, body: bytes, elements: list[Element]) -> dict[str, Columns]:
    rows = [line for line in body.decode("ascii").split("\n") if line.strip()]
    result, at = {}, 0
    for element in (e for e in elements if e.properties):
        mine = rows[at : at + element.count]
        at += element.count
        expect(
            len(mine) == element.count,
            path,
            f"is truncated: expected {element.count} rows of {element.name}, got {len(mine)}",
        )
        result[element.name] = _ascii_element(path, mine, element)
    expect(at == len(rows), path, f"{len(rows) - at} lines more than the header announces")
    return result


def _ascii_element(path: Path, rows: list[str], element: Element) -> Columns:
    names = [p.name for p in element.properties]
    columns: Columns
    if not rows:
        return {name: np.zeros(0) for name in names}
    if element.has_lists:
        columns = _transposed(element, [_ascii_row(path, row.split(), element) for row in rows])
        return columns | _typed(element, columns)
    values = table(rows)
    expect(
        values.shape == (len(rows), len(names)),
        path,
        f"expected {len(names)} numbers in a row of {element.name}, got {values.shape[1]}",
    )
    columns = dict(zip(names, values.T, strict=True))
    return columns | _typed(element, columns)


def _typed(element: Element, columns: Columns) -> Columns:
    """Return the columns of whole numbers in their type, unless there are others in them."""
    typed: Columns = {}
    for p in element.properties:
        values = columns[p.name]
        if not p.length and p.kind[0] in "iu" and isinstance(values, np.ndarray):
            with np.errstate(invalid="ignore"):
                whole = values.astype(p.kind)
            if np.array_equal(whole, values):
                typed[p.name] = whole
    return typed


def _ascii_row(path: Path, words: list[str], element: Element) -> list[np.ndarray]:
    values, at = [], 0
    for p in element.properties:
        count = int(words[at]) if p.length else 1
        at += bool(p.length)
        expect(0 <= count <= len(words) - at, path, f"a list of {count} in {len(words)} numbers")
        values.append(np.array(words[at : at + count], dtype=np.float64))
        at += count
    expect(at == len(words), path, f"a row of {element.name} with {len(words) - at} numbers more")
    return values


def _binary(path: Path, data: bytes, order: str, elements: list[Element]) -> dict[str, Columns]:
    result, at, body = {}, 0, memoryview(data)
    for element in (e for e in elements if e.properties):
        _check_room(path, element, element.row_bytes, len(body) - at - 1)
        columns, used = _binary_element(path, body[at:], order, element)
        result[element.name] = columns
        at += used
    rest = data[at:].strip()
    expect(not rest, path, f"{len(rest)} bytes more than the header announces")
    return result


def _binary_element(
    path: Path, body: memoryview, order: str, element: Element
) -> tuple[Columns, int]:
    """Return the columns of an element that starts the body, and the bytes it takes."""
    lengths = _first_lengths(path, body, order, element) if element.count else {}
    dtype = _row_type(order, element, lengths)
    used = element.count * dtype.itemsize
    if used <= len(body):
        rows = np.frombuffer(body, dtype, element.count)
        if all((rows[f"{name} length"] == n).all() for name, n in lengths.items()):
            return {p.name: rows[p.name] for p in element.properties}, used
    return _binary_ragged(path, body, order, element)


def _row_type(order: str, element: Element, lengths: dict[str, int]) -> np.dtype:
    """Return the structured type of a row whose lists have the given lengths."""
    fields: list[tuple] = []
    for p in element.properties:
        if p.length:
            fields.append((f"{p.name} length", order + p.length))
            fields.append((p.name, order + p.kind, (lengths.get(p.name, 0),)))
        else:
            fields.append((p.name, order + p.kind))
    return np.dtype(fields)


def _first_lengths(path: Path, body: memoryview, order: str, element: Element) -> dict[str, int]:
    row, _ = _binary_row(path, body, 0, order, element)
    return {p.name: len(v) for p, v in zip(element.properties, row, strict=True) if p.length}


def _binary_row(
    path: Path, body: memoryview, at: int, order: str, element: Element
) -> tuple[list[np.ndarray], int]:
    values = []
    for p in element.properties:
        count = 1
        if p.length:
            count = int(np.frombuffer(body, order + p.length, 1, at)[0])
            at += np.dtype(p.length).itemsize
        used = count * np.dtype(p.kind).itemsize
        expect(0 <= used <= len(body) - at, path, f"a list of {count} in a row of {element.name}")
        values.append(np.frombuffer(body[at : at + used], order + p.kind))
        at += used
    return values, at


def _binary_ragged(
    path: Path, body: memoryview, order: str, element: Element
) -> tuple[Columns, int]:
    rows, at = [], 0
    for _ in range(element.count):
        row, at = _binary_row(path, body, at, order, element)
        rows.append(row)
    return _transposed(element, rows), at


def _transposed(element: Element, rows: list[list[np.ndarray]]) -> Columns:
    columns = list(zip(*rows, strict=True))
    return {
        p.name: list(column) if p.length else np.concatenate(column)
        for p, column in zip(element.properties, columns, strict=True)
    }
