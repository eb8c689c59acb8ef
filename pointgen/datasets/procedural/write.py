"""Writing the built-in shapes to a folder, as meshes, points and a table of attributes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from pointgen.datasets.procedural.config import ProceduralConfig, sampled_shape, shape_id
from pointgen.datasets.procedural.shapes import Shape
from pointgen.datasets.settings import SPLITS, Progress
from pointgen.files import atomic
from pointgen.files.encode_ply import ply_bytes

__all__ = ["write_procedural"]

POINTS_PER_SHAPE = 15_000  # as in the PC15k data sets


def write_procedural(
    config: ProceduralConfig,
    out: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write all splits of a built-in dataset.

    `<out>/<category>/<split>/<id>.ply` are meshes (to be read by `meshes` from `out`),
    `<out>/points/<category>/<split>/<id>.npy` are (15000, 3) float32 points (by `pc15k` from
    `<out>/points`), and `<out>/attributes.csv` is written last. The same config writes the same
    files.

    Args:
        config: which shapes, and how many.
        out: the folder, made if needed.
        force: write into a folder that is not empty; shapes of the same categories in it go.
        progress: called with (done, total).

    Raises:
        ValueError: `out` is a file, or not empty and `force` is off.
    """
    _clear(config, out, force=force)
    keys = [
        (category, split, index)
        for category in config.categories
        for split in SPLITS
        for index in range(config.count(split))
    ]
    rows = []
    for done, (category, split, index) in enumerate(keys, start=1):
        shape, points = sampled_shape(
            category, index, split=split, seed=config.seed, count=POINTS_PER_SHAPE
        )
        name = shape_id(category, index, split)
        _write_mesh(shape, out / category / split / f"{name}.ply")
        _write_points(points, out / "points" / category / split / f"{name}.npy")
        rows.append({"id": name, "category": category, "split": split} | shape.attributes)
        if progress:
            progress(done, len(keys))
    _write_table(rows, out / "attributes.csv")


def _clear(config: ProceduralConfig, out: Path, *, force: bool) -> None:
    """Make sure that no shape of an earlier run stays among the new ones."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: expected a folder, found a file")
    if out.is_dir() and any(out.iterdir()) and not force:
        hint = "--force (in Python force=True) writes into it"
        raise ValueError(f"{out}: expected an empty folder, found files in it; {hint}")
    for category in config.categories:
        for split in SPLITS:
            old = [*(out / category / split).glob(f"{category}_*.ply")]
            old += (out / "points" / category / split).glob(f"{category}_*.npy")
            for path in old:
                path.unlink()


def _write_mesh(shape: Shape, path: Path) -> None:
    """Write a binary PLY file."""
    with atomic(path) as temporary:
        temporary.write_bytes(ply_bytes(shape.vertices, faces=shape.faces))


def _write_points(points: np.ndarray, path: Path) -> None:
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.save(file, points, allow_pickle=False)


def _write_table(rows: Sequence[dict[str, str | float]], path: Path) -> None:
    """Write one row a shape; the attributes of other categories stay empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        _write_rows(rows, names, file)


def _write_rows(rows: Sequence[dict[str, str | float]], names: list[str], file: IO[str]) -> None:
    writer = csv.DictWriter(file, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
