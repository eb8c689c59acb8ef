"""The doctor for data sets: what there is, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointgen.datasets.cloud_files import CloudFilesConfig
from pointgen.datasets.detect import splits_of
from pointgen.datasets.findings import Finding
from pointgen.datasets.folders import existing_folder
from pointgen.datasets.hdf5 import Hdf5Config
from pointgen.datasets.hdf5_layouts import HDF5_SUFFIXES, read_contents
from pointgen.datasets.meshes import MeshesConfig
from pointgen.datasets.normalizations import Measures, measures, normalization_findings
from pointgen.datasets.pooled import PooledConfig
from pointgen.datasets.procedural import ProceduralConfig
from pointgen.datasets.rules import copy_findings, shape_findings
from pointgen.datasets.settings import SPLITS, Progress, Split
from pointgen.datasets.shapenet import tree_findings
from pointgen.datasets.shelves import AnyConfig
from pointgen.datasets.sizes import size_findings
from pointgen.datasets.stance import Stance, stance_findings, stances
from pointgen.datasets.survey import Group, Survey, by_group, make_survey
from pointgen.files import FileError

__all__ = ["Report", "check"]


@dataclass(frozen=True)
class Report:
    """What a data set holds.

    Attributes:
        shapes: how many each category has in each split.
        examined: how many of them were read.
        points: how many of those have each number of points.
        measures: sizes and normalisation of the shapes of each category and split.
        stances: which axis is up, for each category.
        findings: what is wrong, errors first.
    """

    shapes: dict[Group, int]
    examined: int
    points: dict[int, int]
    measures: dict[Group, Measures]
    stances: tuple[Stance, ...]
    findings: tuple[Finding, ...]


def check(
    config: AnyConfig,
    *,
    num_points: int | None = None,
    most: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Examine a data set, past shapes that cannot be used; nothing is written into it.

    Meshes are sampled into the cache folder, as for training. Memory is bounded by the largest
    shape and some hundred numbers for each.

    Args:
        config: the data.
        num_points: report the shapes with too few points for it; None: any number will do.
        most: read so many of the shapes only, chosen at random; None reads all.
        seed: of the choice.
        progress: called with (done, total).

    Raises:
        ValueError: There are no such data at all.
    """
    try:
        splits = _splits(config)
    except FileError as error:
        return Report({}, 0, {}, {}, (), (_unopened(config, error),))
    survey = make_survey(config, splits, most=most, seed=seed, progress=progress)
    groups = by_group(survey)
    measured = {group: measures(shapes) for group, shapes in groups.items()}
    standing = stances(groups)
    findings = [
        *_missing_splits(config, splits),
        *_of_tree(config),
        *shape_findings(survey, _needed(config, num_points)),
        *copy_findings(survey),
        *size_findings(groups),
        *normalization_findings(measured),
        *stance_findings(groups, standing),
    ]
    findings.sort(key=lambda finding: finding.severity)  # stable; "error" is before "warning"
    return Report(
        shapes=_counts(survey),
        examined=len(survey.examined) + len(survey.refused),
        points=dict(Counter(shape.facts.count for shape in survey.examined).most_common()),
        measures=measured,
        stances=tuple(standing),
        findings=tuple(findings),
    )


def _splits(config: AnyConfig) -> list[Split]:
    if isinstance(config, Hdf5Config | ProceduralConfig | CloudFilesConfig):
        return splits_of(config)
    root = existing_folder(config.root, "shapes")
    splits = splits_of(config)
    if not splits:
        raise ValueError(f"{root}: expected folders train, val or test in it, or one level down")
    return splits


def _unopened(config: AnyConfig, error: FileError) -> Finding:
    """Say which of the files keep the data set from being opened: all of them, not the first."""
    problems: list[str] = []
    if isinstance(config, Hdf5Config):
        problems = [
            text for file in _hdf5_files(config.path.expanduser()) if (text := _problem(file))
        ]
    message = "files that keep the data set from being opened; nothing else was examined"
    return Finding("unopened", "error", message, tuple(problems or [str(error)]))


def _hdf5_files(path: Path) -> list[Path]:
    inside = path.iterdir() if path.is_dir() else [path]
    return sorted(file for file in inside if file.suffix.lower() in HDF5_SUFFIXES)


def _problem(file: Path) -> str | None:
    try:
        read_contents(file)
    except ValueError as error:
        return str(error)
    return None


def _needed(config: AnyConfig, num_points: int | None) -> int:
    """The number of points that a shape has to have."""
    if num_points is None:
        return 1
    shared = isinstance(config, PooledConfig) and config.pools != "disjoint"
    return num_points if shared else 3 * num_points  # its second pool is a third


def _missing_splits(config: AnyConfig, splits: Sequence[Split]) -> Iterator[Finding]:
    if "train" not in splits:
        yield Finding("no train split", "error", "there is nothing to train on", ("train",))
    stand_in = None
    if not isinstance(config, ProceduralConfig | CloudFilesConfig):
        stand_in = config.val_split
    lacking = [split for split in SPLITS[1:] if split not in splits]
    if stand_in and "val" in lacking:
        lacking.remove("val")
    if lacking:
        message = "splits that the data do not have (the config's val_split can stand in for val)"
        yield Finding("missing splits", "warning", message, tuple(lacking))


def _of_tree(config: AnyConfig) -> list[Finding]:
    if not isinstance(config, MeshesConfig):
        return []
    try:
        return list(tree_findings(config.root.expanduser()))
    except FileError as error:
        return [Finding("unreadable table", "error", "a table that cannot be read", (str(error),))]


def _counts(survey: Survey) -> dict[Group, int]:
    counts = Counter(Group(name.category, name.split) for name in survey.names)
    for absence in survey.absences:
        counts[Group(absence.category, absence.split)] += 0
    return dict(counts)
