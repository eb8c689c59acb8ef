"""What may be wrong with single shapes, and with shapes that are there twice."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from pointgen.datasets.findings import Finding, Severity
from pointgen.datasets.survey import Examined, Survey

__all__ = ["copy_findings", "shape_findings"]

REPEATED = 0.9  # of the points of a shape, at least so many should differ
FLAT_NAMES = {1: "a line", 2: "a plane"}
# shape_0012: in every split the numbers may begin anew, so that equal ones mean nothing.
RUNNING_NUMBER = re.compile(r"(.*[^0-9a-zA-Z])?[0-9]{1,6}")


def shape_findings(survey: Survey, needed: int) -> Iterator[Finding]:
    """Yield what is wrong with shapes, each taken by itself.

    Args:
        survey: the shapes.
        needed: how many points each has to have.
    """
    yield from _some(
        "absent",
        "error",
        "categories without a usable shape in a split",
        [f"{lack.category}/{lack.split}: {lack.reason}" for lack in survey.absences],
    )
    yield from _some(
        "unusable",
        "error",
        "shapes that cannot be read or hold no finite points",
        [f"{shape.name}: {shape.reason}" for shape in survey.refused],
    )
    for kind, severity, message, say in _judgements(needed):
        found = [(shape, say(shape)) for shape in survey.examined]
        yield from _some(
            kind, severity, message, [f"{s.name}: {text}" for s, text in found if text]
        )
    yield from _counts(survey, needed)


def _some(kind: str, severity: Severity, message: str, examples: list[str]) -> Iterator[Finding]:
    if examples:
        yield Finding(kind, severity, message, tuple(examples))


def _judgements(needed: int) -> list[tuple[str, Severity, str, Callable[[Examined], str]]]:
    """Return kind, severity, message, and what says of a shape in which way it is so, or ""."""
    return [
        (
            "too few points",
            "error",
            f"shapes with fewer than the {needed} points that the config's num_points takes",
            lambda shape: f"{shape.facts.count} points" if shape.facts.count < needed else "",
        ),
        (
            "no size",
            "error",
            "shapes whose points are all one",
            lambda shape: f"all at {_at(shape)}" if shape.facts.dimensions == 0 else "",
        ),
        (
            "flat",
            "warning",
            "shapes without volume",
            lambda shape: FLAT_NAMES.get(shape.facts.dimensions, ""),
        ),
        ("repeated points", "warning", "shapes that repeat their points", _repeated),
        (
            "stray points",
            "error",
            "points far outside of their shape, which spoil its scale",
            _stray,
        ),
    ]


def _at(shape: Examined) -> str:
    return ", ".join(f"{value:g}" for value in shape.facts.low)


def _repeated(shape: Examined) -> str:
    facts = shape.facts
    many = facts.dimensions > 0 and facts.distinct < REPEATED * facts.count
    return f"{facts.distinct} of {facts.count} points differ" if many else ""


def _stray(shape: Examined) -> str:
    facts = shape.facts
    return (
        f"{facts.strays}, {facts.farthest:.3g} times as far out as the rest" if facts.strays else ""
    )


def _counts(survey: Survey, needed: int) -> Iterator[Finding]:
    enough = (shape for shape in survey.examined if shape.facts.count >= needed)
    counts = Counter(shape.facts.count for shape in enough)
    if len(counts) > 1:
        examples = tuple(f"{n} points: {times} shapes" for n, times in counts.most_common())
        message = "shapes differ in their number of points"
        yield Finding("point counts", "warning", message, examples)


def copy_findings(survey: Survey) -> Iterator[Finding]:
    """Yield shapes that are there twice, in one split or, worse, in two of them."""
    by_content: dict[str, list[Examined]] = defaultdict(list)
    for shape in survey.examined:
        if shape.facts.dimensions > 0:
            by_content[shape.content].append(shape)
    groups = [sorted(group, key=lambda s: str(s.name)) for group in by_content.values()]
    groups = [group for group in groups if len(group) > 1]
    leaks = [group for group in groups if len({shape.name.split for shape in group}) > 1]
    doubles = [group for group in groups if len({shape.name.split for shape in group}) == 1]
    yield from _some(
        "leak", "error", "the same shape is in more than one split", list(map(_equal, leaks))
    )
    yield from _some(
        "copies", "warning", "the same shape is there twice", list(map(_equal, doubles))
    )
    told = {shape.name for group in leaks for shape in group}
    yield from _same_ids(survey, {(name.category, name.id) for name in told})


def _equal(group: list[Examined]) -> str:
    return " = ".join(str(shape.name) for shape in group)


def _same_ids(survey: Survey, told: set[tuple[str, str]]) -> Iterator[Finding]:
    """Find ids in more than one split; not those in `told`, whose shapes were found to be equal."""
    splits: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in survey.names:
        splits[name.category, name.id].append(name.split)
    shared = {key: its for key, its in splits.items() if len(its) > 1 and key not in told}
    yield from _some(
        "shared ids",
        "error",
        "ids in more than one split: the same objects, drawn anew",
        [
            f"{category}/{name}: {', '.join(dict.fromkeys(its))}"
            for (category, name), its in shared.items()
            if len(set(its)) > 1 and not RUNNING_NUMBER.fullmatch(name)
        ],
    )
    yield from _some(
        "repeated ids",
        "warning",
        "ids that more than one shape of a split has",
        [
            f"{category}/{name}: {its[0]} has it {times} times"
            for (category, name), its in shared.items()
            if (times := max(Counter(its).values())) > 1
        ],
    )
