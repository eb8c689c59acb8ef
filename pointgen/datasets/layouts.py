"""Finding meshes on disk: ShapeNetCore, ModelNet, folders with splits, or any folder at all."""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pointgen.datasets.arrays import ShapeFile
from pointgen.datasets.folders import (
    choose,
    listing,
    split_folder,
    split_roots,
    subfolders,
    synset_folders,
)
from pointgen.datasets.settings import SPLITS, Split
from pointgen.datasets.synsets import category_name
from pointgen.files import MESH_SUFFIXES

__all__ = ["Division", "find_meshes", "hash_splits"]

SHAPENET_FILES = ("models/model_normalized.obj", "model.obj")  # version 2, version 1


@dataclass(frozen=True)
class Division:
    """How shapes are divided where the folders do not say it.

    Attributes:
        fractions: of train, val and test; they add up to 1.
        seed: other seeds divide otherwise.
        val_split: the folder that stands in for val where folders do say it but have no val.
    """

    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0
    val_split: str | None = None


def find_meshes(
    root: Path, split: Split, wanted: Sequence[str], division: Division
) -> tuple[list[ShapeFile], tuple[str, ...]]:
    """Return the meshes of a split and the names of their categories.

    The first of these that fits is the layout: folders with train, val or test in them (ModelNet);
    folders named by synsets, eight digits (ShapeNetCore), divided by `all.csv` if that is in
    `root`; and else every mesh below `root`, as one category.

    Raises:
        ValueError: No mesh is found, too few to divide, or a category or split is not there.
    """
    if folders := split_roots(root):
        chosen = choose(list(folders), wanted, root)
        found = [
            _in_folder(split_folder(folders[name], split, division.val_split), label)
            for label, name in enumerate(chosen)
        ]
    elif folders := synset_folders(root):
        chosen = choose(list(folders), wanted, root)
        table = _read_table(root / "all.csv")
        found = [
            _of_table(_in_synset(folders[name], label), split, table)
            if table is not None
            else _of_hash(_in_synset(folders[name], label), split, division, folders[name])
            for label, name in enumerate(chosen)
        ]
    else:
        chosen = choose([root.resolve().name], wanted, root)
        found = [_of_hash(_in_folder(root, 0), split, division, root)]
    for name, files in zip(chosen, found, strict=True):
        if not files:
            raise ValueError(f"{root}: expected meshes of {name} in split {split}, found none")
    return [file for files in found for file in files], tuple(map(category_name, chosen))


def _in_folder(folder: Path, label: int) -> list[ShapeFile]:
    """All meshes below a folder; a name is the path in it, with the ending only where needed."""
    inside = [path.relative_to(folder) for path in folder.rglob("*")]
    paths = sorted(
        path
        for path in inside
        if path.suffix.lower() in MESH_SUFFIXES
        and not any(part.startswith(".") for part in path.parts)
        and (folder / path).is_file()
    )
    if not paths:
        expected = ", ".join(MESH_SUFFIXES)
        raise ValueError(f"{folder}: expected meshes ({expected}), found {listing(folder)}")
    stems = [path.with_suffix("").as_posix() for path in paths]
    times = Counter(stems)
    return [
        ShapeFile(folder / path, path.as_posix() if times[stem] > 1 else stem, label)
        for path, stem in zip(paths, stems, strict=True)
    ]


def _in_synset(folder: Path, label: int) -> list[ShapeFile]:
    """The models of a synset; for one without a mesh, the folder itself, an error to be."""
    return [
        ShapeFile(
            next((p for p in map(model.joinpath, SHAPENET_FILES) if p.is_file()), model),
            model.name,
            label,
        )
        for model in subfolders(folder)
    ]


def _of_hash(
    files: list[ShapeFile], split: Split, division: Division, folder: Path
) -> list[ShapeFile]:
    splits = hash_splits([file.id for file in files], division.fractions, division.seed)
    chosen = [file for file, its in zip(files, splits, strict=True) if its == split]
    if not chosen and not division.fractions[SPLITS.index(split)]:
        raise ValueError(f"data.splits: expected a {split} split, got the fraction 0 for it")
    if not chosen:
        least = 1 if split == "train" else sum(fraction > 0 for fraction in division.fractions)
        found = f"{len(files)} found, at least {least} wanted"
        raise ValueError(f"{folder}: too few meshes for a {split} split ({found})")
    return chosen


def _of_table(files: list[ShapeFile], split: Split, table: dict[str, str]) -> list[ShapeFile]:
    unlisted = [file for file in files if file.id not in table]
    if unlisted:
        first = unlisted[0].path
        message = f"{len(unlisted)} shapes left out that all.csv does not list; first: {first}"
        warnings.warn(message, stacklevel=2)
    return [file for file in files if table.get(file.id) == split]


def _read_table(path: Path) -> dict[str, str] | None:
    """Read ShapeNet's own division, model id to split; None if there is no such file."""
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if not {"modelId", "split"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{path}: expected columns modelId and split, got {rows.fieldnames}")
        return {row["modelId"]: row["split"] for row in rows}


def hash_splits(ids: Sequence[str], fractions: tuple[float, float, float], seed: int) -> list[str]:
    """Divide shapes by a hash of their ids, so that most stay where they are when others come.

    Each split with a fraction above zero gets a shape as far as there are enough.
    """
    hashed = [int(sha256(f"{seed}:{name}".encode()).hexdigest()[:13], 16) / 16**13 for name in ids]
    order = sorted(range(len(ids)), key=lambda i: hashed[i])
    train = sum(value < fractions[0] for value in hashed)
    val = sum(value < fractions[0] + fractions[1] for value in hashed)
    needs = [int(fraction > 0) for fraction in fractions]
    if len(ids) < sum(needs):
        needs = [1, 0, 0]
    train = min(max(train, needs[0]), len(ids) - needs[1] - needs[2])
    val = min(max(val, train + needs[1]), len(ids) - needs[2])
    sizes = (train, val - train, len(ids) - val)
    ranked = [name for name, size in zip(SPLITS, sizes, strict=True) for _ in range(size)]
    return [name for _, name in sorted(zip(order, ranked, strict=True))]
