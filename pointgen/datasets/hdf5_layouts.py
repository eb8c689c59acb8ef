"""The layouts of HDF5 data sets: which shapes a file or a folder of files holds, and where."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointgen.datasets.folders import listing
from pointgen.datasets.hdf5_files import StoredShape, is_table, member, opened, table
from pointgen.datasets.packed import is_packed, packed_shapes
from pointgen.datasets.settings import SPLITS, Split
from pointgen.files import FileError
from pointgen.files.errors import check_regular, expect, library

__all__ = ["HDF5_SUFFIXES", "Contents", "read_contents"]

HDF5_SUFFIXES = (".h5", ".hdf5")
LARGEST_TEXT = 2**26  # bytes of a table of names beside the data
IN_NAME = re.compile(r"(?:^|[_-])(train|val|test)[_-]?\d*$")

Shapes = list[tuple[Split, StoredShape]]
Labels = dict[str, int]  # of categories, as a file numbers them


@dataclass(frozen=True)
class Contents:
    """All shapes of a data set.

    Attributes:
        categories: names or synset ids, in the order of their labels.
        shapes: those of each split that is there.
    """

    categories: tuple[str, ...]
    shapes: dict[Split, list[StoredShape]]


def read_contents(path: Path) -> Contents:
    """Find the shapes of an HDF5 file, or of all of those in a folder; no points are read.

    Each file is one of these:

    - our own, as `pointgen data pack` writes it;
    - `<synset>/{train,val,test}` (n, N, 3), as DPM's `shapenet.hdf5`;
    - `data` (n, N, 3) and perhaps `label` (n, 1) and `normal`, whose split is in the file's name
      (ply_data_train0.h5, val3.h5), or is train. Names of shapes and categories are in
      `*_id2file.json`, `*_id2name.json` and `shape_names.txt` beside it. Where there is
      `train_files.txt` or `test_files.txt`, other files of that split are left out.

    Raises:
        ValueError: There is no such file, or one that cannot be used.
    """
    shapes: Shapes = []
    labels: Labels = {}
    for file in _files(path):
        there, found = _of_file(file)
        shapes += found
        labels = there | labels
    splits = {split: [shape for its, shape in shapes if its == split] for split in SPLITS}
    categories = sorted(labels, key=lambda name: (labels[name], name))
    return Contents(tuple(categories), {split: its for split, its in splits.items() if its})


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    expected = f"an HDF5 file ({', '.join(HDF5_SUFFIXES)}) or a folder of them"
    if not path.is_dir():
        raise ValueError(f"data.path: expected {expected} at {path}, found nothing")
    files = [
        file
        for file in path.iterdir()
        if file.suffix.lower() in HDF5_SUFFIXES and not file.name.startswith(".")
    ]
    if not files:
        raise ValueError(f"data.path: expected {expected} at {path}, found {listing(path)}")
    listed = {split: _listed(path / f"{split}_files.txt") for split in SPLITS}
    there = {file.name for file in files}
    for split, wanted in listed.items():
        missing = [name for name in wanted or () if name not in there]
        expect(not missing, path / f"{split}_files.txt", f"lists {missing[:1]}, which is not there")
    kept = [f for f in files if (its := listed[_split_in_name(f)]) is None or f.name in its]
    return sorted(kept, key=_by_number)


def _listed(path: Path) -> list[str] | None:
    """The files that a list names; only their names count, as their folders are the author's."""
    return [Path(line).name for line in _lines(path)] if path.is_file() else None


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sort train2 before train10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _split_in_name(path: Path) -> Split:
    match = IN_NAME.search(path.stem.lower())
    return next((split for split in SPLITS if match and match[1] == split), "train")


def _of_file(path: Path) -> tuple[Labels, Shapes]:
    """Return the categories and shapes of one file."""
    with opened(path) as file:
        if is_packed(path, file):
            categories, shapes = packed_shapes(path, file)
            return _numbered(categories), shapes
        if member(path, file, "data") is not None:
            return _stack(path, file)
        if groups := _groups(path, file):
            return _numbered(groups), _of_groups(path, file, groups)
        raise FileError(
            path,
            "expected data (n, N, 3), groups <synset>/{train,val,test} or a file of `pointgen data "
            f"pack`, found {', '.join(list(file)[:8]) or 'nothing'}",
        )


def _numbered(categories: Sequence[str]) -> Labels:
    return {name: label for label, name in enumerate(categories)}


def _groups(path: Path, file: Any) -> list[str]:
    """The groups that have splits in them."""
    return [
        name
        for name in sorted(file)
        if (group := member(path, file, name)) is not None
        and not is_table(group)
        and any(is_table(member(path, group, split)) for split in SPLITS)
    ]


def _of_groups(path: Path, file: Any, groups: Sequence[str]) -> Shapes:
    found: Shapes = []
    for synset in groups:
        for split in SPLITS:
            if split in file[synset]:
                key = f"{synset}/{split}"
                data = table(path, file, key, kinds="fiu", shape="(n, N, 3)")
                ids = [f"{synset}_{split}_{row:05d}" for row in range(len(data))]
                found += _rows(path, key, data, split, ids, [synset] * len(data))
    return found


def _stack(path: Path, file: Any) -> tuple[Labels, Shapes]:
    data = table(path, file, "data", kinds="fiu", shape="(n, N, 3)")
    split = _split_in_name(path)
    ids = _column(path, "id2file", len(data))
    if ids is None:
        ids = [f"{path.stem}_{row:05d}" for row in range(len(data))]
    else:
        ids = [Path(name).with_suffix("").as_posix() for name in ids]
    labels, categories = _categories(path, file, len(data))
    normals = None
    if member(path, file, "normal") is not None:
        same = str(data.shape)
        normals = table(path, file, "normal", kinds="f", shape=same).name
    return labels, _rows(path, "data", data, split, ids, categories, normals)


def _rows(
    path: Path,
    key: str,
    data: Any,
    split: Split,
    ids: Sequence[str],
    categories: Sequence[str],
    normals: str | None = None,
) -> Shapes:
    """The shapes of a dataset (n, N, 3), a row each."""
    count = data.shape[1]
    first = 2 * count // 3  # as in every other source of ours
    return [
        (split, StoredShape(path, name, category, key, row, count, first, normals))
        for row, (name, category) in enumerate(zip(ids, categories, strict=True))
    ]


def _categories(path: Path, file: Any, count: int) -> tuple[Labels, list[str]]:
    """Return the known categories with their labels, and the category of each shape."""
    labels = _labels(path, file, count)
    named = _column(path, "id2name", count)
    beside = path.with_name("shape_names.txt")
    if labels is None:
        named = named or [path.absolute().parent.name] * count
        return _numbered(sorted(set(named))), named
    if named is not None:
        pairs = set(zip(named, labels, strict=True))
        alone = len(pairs) == len(dict(pairs)) == len({label for _, label in pairs})
        expect(alone, path, "label and the names in *_id2name.json contradict each other")
        return dict(pairs), named
    if not beside.is_file():
        return {str(label): label for label in labels}, [str(label) for label in labels]
    order = _lines(beside)
    wrong = [label for label in labels if not 0 <= label < len(order)]
    known = f"the {len(order)} names of {beside.name}"
    expect(not wrong, path, f"label {wrong[:1]} is outside {known}")
    return _numbered(order), [order[label] for label in labels]


def _labels(path: Path, file: Any, count: int) -> list[int] | None:
    """Return the label of each shape, stored as (n, 1) or (n,)."""
    if member(path, file, "label") is None:
        return None
    flat = len(file["label"].shape or ()) == 1
    label = table(path, file, "label", kinds="iu", shape=f"({count},)" if flat else f"({count}, 1)")
    return [int(number) for number in np.asarray(label[()]).reshape(-1)]


def _column(path: Path, kind: str, count: int) -> list[str] | None:
    """Read the names in train0_id2file.json or ply_data_train_0_id2file.json of a file, if any."""
    stems = (path.stem, re.sub(r"(\d+)$", r"_\1", path.stem))
    beside = (path.with_name(f"{stem}_{kind}.json") for stem in stems)
    found = next((file for file in beside if file.is_file()), None)
    if found is None:
        return None
    with library(found, "JSON"):
        column = json.loads(_text(found))
    expect(
        isinstance(column, list) and all(isinstance(name, str) and name for name in column),
        found,
        "expected a list of names",
    )
    same = len(column) == count
    expect(same, found, f"expected {count} names, as {path.name} has shapes, got {len(column)}")
    return column


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def _text(path: Path) -> str:
    check_regular(path)
    size = path.stat().st_size
    expect(size <= LARGEST_TEXT, path, f"expected a table of names, got {size} bytes")
    with library(path, "text"):
        return path.read_text(encoding="utf-8")
