"""Going through a data set shape by shape, past those where training would stop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from pointgen.datasets.facts import ShapeFacts, facts_of
from pointgen.datasets.settings import Progress, Split
from pointgen.datasets.shelves import Absence, AnyConfig, Name, Shelf, find_shelves
from pointgen.datasets.surfaces import sample_meshes

__all__ = ["Examined", "Group", "Refused", "Survey", "by_group", "make_survey"]

Place = tuple[Shelf, int]

MOST_POINTS = 10**7  # of a shape; to examine one takes about a hundred bytes for each


@dataclass(frozen=True)
class Examined:
    """A shape that was read.

    Attributes:
        name: its names.
        facts: what its points are like.
        content: equal for copies: of a mesh file, or of the same points in any order.
    """

    name: Name
    facts: ShapeFacts
    content: str


@dataclass(frozen=True)
class Refused:
    """A shape that cannot be used, and why."""

    name: Name
    reason: str


@dataclass(frozen=True)
class Group:
    """The shapes of a category in a split."""

    category: str
    split: Split

    def __str__(self) -> str:
        """Return both names."""
        return f"{self.category}/{self.split}"


@dataclass(frozen=True)
class Survey:
    """What a data set holds.

    Attributes:
        splits: those that the data have.
        names: all shapes.
        absences: categories that lack in one of the splits.
        examined: the shapes that were chosen and could be read.
        refused: the shapes that were chosen and could not.
    """

    splits: tuple[Split, ...]
    names: tuple[Name, ...]
    absences: tuple[Absence, ...]
    examined: tuple[Examined, ...]
    refused: tuple[Refused, ...]


def by_group(survey: Survey) -> dict[Group, list[Examined]]:
    """Return the shapes that have a size, by category and split."""
    found: dict[Group, list[Examined]] = defaultdict(list)
    for shape in survey.examined:
        if shape.facts.dimensions > 0:
            found[Group(shape.name.category, shape.name.split)].append(shape)
    return found


def make_survey(
    config: AnyConfig,
    splits: Sequence[Split],
    *,
    most: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Survey:
    """Find the shapes of all splits and read them, one at a time.

    Args:
        config: the data.
        splits: those that the data have.
        most: read so many of the shapes only, chosen at random; None reads all.
        seed: of the choice.
        progress: called with (done, total), first while meshes are sampled.
    """
    found = [find_shelves(config, split) for split in splits]
    places = [
        (shelf, index)
        for shelves, _ in found
        for shelf in shelves
        for index in range(len(shelf.source.ids))
    ]
    results: list[Examined | Refused] = []
    chosen = _chosen(places, most, np.random.default_rng(seed))
    for result in _results(chosen, progress):
        results.append(result)
        if progress:
            progress(len(results), len(chosen))
    return Survey(
        splits=tuple(splits),
        names=tuple(shelf.name(index) for shelf, index in places),
        absences=tuple(absence for _, absences in found for absence in absences),
        examined=tuple(result for result in results if isinstance(result, Examined)),
        refused=tuple(result for result in results if isinstance(result, Refused)),
    )


def _chosen(places: list[Place], most: int | None, rng: np.random.Generator) -> list[Place]:
    if most is None or most >= len(places):
        return places
    return [places[i] for i in np.sort(rng.choice(len(places), most, replace=False))]


def _results(places: Sequence[Place], progress: Progress | None) -> Iterator[Examined | Refused]:
    by_shelf: dict[int, list[Place]] = defaultdict(list)
    for shelf, index in places:
        by_shelf[id(shelf)].append((shelf, index))
    for group in by_shelf.values():
        jobs = [shelf.jobs[index] for shelf, index in group if shelf.jobs]
        problems = sample_meshes(jobs, stop_at_problem=False, progress=progress)
        for (shelf, index), problem in zip(group, problems or [None] * len(group), strict=True):
            name = shelf.name(index)
            yield Refused(name, problem) if problem else _examined(shelf, index, name)


def _examined(shelf: Shelf, index: int, name: Name) -> Examined | Refused:
    try:
        first, second = shelf.source.pools(index)
        content = _digest(shelf.jobs[index].mesh) if shelf.jobs else None
    except (ValueError, OSError) as error:  # a file may also go, or be closed to us
        return Refused(name, str(error))
    count = len(first) + len(second) * (first is not second)
    if not 0 < count <= MOST_POINTS:
        return Refused(name, f"expected 1 to {MOST_POINTS} points, got {count}")
    facts = facts_of(first if first is second else np.concatenate([first, second]))
    return Examined(name, facts, content or facts.digest)


def _digest(path: Path) -> str:
    """Copies of a mesh are sampled otherwise, as their names differ: the file has to tell."""
    with path.open("rb") as file:
        digest = blake2b(digest_size=16)
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
