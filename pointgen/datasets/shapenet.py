"""ShapeNet's trees of meshes: two versions side by side, folders and table that disagree."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from pointgen.datasets.findings import Finding
from pointgen.datasets.folders import subfolders, synset_folders
from pointgen.datasets.layouts import SHAPENET_FILES
from pointgen.datasets.synsets import SYNSETS
from pointgen.files.errors import expect, library

__all__ = ["tree_findings"]

VERSION_2, VERSION_1 = SHAPENET_FILES


def tree_findings(root: Path) -> Iterator[Finding]:
    """Yield what is wrong with the folders of a ShapeNet tree; the meshes are not read.

    Raises:
        FileError: all.csv is no such table.
    """
    synsets = synset_folders(root)
    unknown = [str(folder) for name, folder in synsets.items() if name not in SYNSETS]
    if unknown:
        message = "folders named like synsets that are not among ShapeNetCore's 55"
        yield Finding("unknown synset", "warning", message, tuple(unknown))
    models = {name: subfolders(folder) for name, folder in synsets.items()}
    yield from _versions([model for found in models.values() for model in found])
    if (root / "all.csv").is_file():
        there = {name: {model.name for model in found} for name, found in models.items()}
        yield from _table(root / "all.csv", there)


def _versions(models: list[Path]) -> Iterator[Finding]:
    old = [model for model in models if (model / VERSION_1).is_file()]
    new = [model for model in models if (model / VERSION_2).is_file()]
    if old and new:
        few = min(old, new, key=len)
        message = (
            f"{len(old)} meshes of version 1 ({VERSION_1}) and {len(new)} of version 2 "
            f"({VERSION_2}): they differ in scale and in where the front is"
        )
        yield Finding("mixed versions", "error", message, tuple(map(str, few)))


def _table(path: Path, there: dict[str, set[str]]) -> Iterator[Finding]:
    """Compare the rows of all.csv with the folders of those synsets that are there."""
    rows = _rows(path)
    listed = {model for _, model in rows}  # training asks for the model alone, too
    missing = [
        f"{synset}/{model}"
        for synset, model in rows
        if synset in there and model not in there[synset]
    ]
    unlisted = [f"{s}/{m}" for s, models in there.items() for m in sorted(models - listed)]
    if missing:
        message = f"{path.name} lists models that have no folder"
        yield Finding("missing ids", "warning", message, tuple(missing))
    if unlisted:
        message = f"models that {path.name} does not list: training leaves them out"
        yield Finding("unlisted ids", "warning", message, tuple(unlisted))


def _rows(path: Path) -> list[tuple[str, str]]:
    """Return synset, or "" where the table has none, and model of every row."""
    with library(path, "a table"), path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        columns = rows.fieldnames
        expect("modelId" in (columns or ()), path, f"expected a column modelId, got {columns}")
        return [((row.get("synsetId") or "").zfill(8), row["modelId"]) for row in rows]
