"""The metric sheet: scores of a set of clouds, with all that one needs to compare them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointgen.metrics.neighbours import Neighbours
from pointgen.metrics.units import UNITS, Units

__all__ = ["LARGEST", "Row", "Sheet"]

# Beyond this a squared distance overflows single precision.
LARGEST = 1e18

DEFINITIONS = {
    "MMD": "mean over the references of the distance to the nearest sample; lower is better",
    "MMD-smp": "mean over the samples of the distance to the nearest reference; lower is better",
    "COV": "share of references that are the nearest of some sample; higher is better",
    "1-NNA": "share of clouds whose nearest other cloud is of their own set; 50 % is ideal",
    "JSD": "Jensen-Shannon divergence of the points of both sets over the cells of a grid of 28^3 "
    "in the sphere of radius 0.5, base 2; lower is better",
}


@dataclass(frozen=True)
class Row:
    """Scores of one set of clouds against the references.

    Attributes:
        shapes: how many clouds were compared with how many references.
        scores: value by name, as "1-NNA-CD". MMD is in the units of the distance, all others are
            from 0 to 1.
        intervals: lower and upper limit of some of them; see `metrics.bootstrap`.
        neighbours: who is nearest to whom, by distance.
    """

    shapes: tuple[int, int]
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    neighbours: Mapping[str, Neighbours]

    def to_json(self) -> dict[str, Any]:
        """Return numbers, texts, lists and dictionaries."""
        return {
            "shapes": self.shapes[0],
            "references": self.shapes[1],
            "scores": self.scores,
            "intervals": {name: list(limits) for name, limits in self.intervals.items()},
            "effort": {name: found.effort for name, found in self.neighbours.items()},
        }


@dataclass(frozen=True, repr=False)
class Sheet:
    """Scores of samples against a reference set; printing it shows a table.

    Attributes:
        samples: the scores.
        oracle: the same for real clouds in place of the samples: what a perfect model gets.
        oracle_from: where those come from.
        points: how many points the clouds of each set came with.
        failed: the places of samples that were left out, since they had values that are not
            finite, or above 1e18, or, in units of their own box, no size.
        compared_points: how many points of each cloud were compared.
        outside: share of the points of samples and references that the grid of JSD does not reach.
        units: what clouds were brought to before all distances.
        level: of the intervals.
        seed: of the thinning, the halves and the intervals.
        distances: name to definition.
        methods: distance to how it was found, and where the clouds were.
        software: name to version.
    """

    samples: Row
    oracle: Row | None
    oracle_from: str | None
    points: dict[str, int]
    failed: tuple[int, ...]
    compared_points: int
    outside: dict[str, float]
    units: Units
    level: float
    seed: int
    distances: dict[str, str]
    methods: dict[str, str]
    software: dict[str, str]

    @property
    def scores(self) -> dict[str, float]:
        """Value by name of the samples, as "1-NNA-CD"."""
        return self.samples.scores

    @property
    def definitions(self) -> dict[str, str]:
        """What the names in this sheet mean."""
        return DEFINITIONS | self.distances

    @property
    def notes(self) -> list[str]:
        """What a reader has to know beside the scores, one sentence each."""
        notes = [f"Units: {UNITS[self.units]}."]
        samples, references = self.samples.shapes
        if self.failed:
            total = len(self.failed) + samples
            notes.append(
                f"{len(self.failed)} of {total} samples failed (values not finite or above "
                f"{LARGEST:g}, or no size) and were left out."
            )
        if set(self.points.values()) == {self.compared_points}:
            notes.append(f"Points of each cloud: {self.compared_points}.")
        else:
            given = ", ".join(f"{count} ({name})" for name, count in self.points.items())
            notes.append(
                f"Clouds came with {given} points; each was thinned to {self.compared_points} "
                f"at random (seed {self.seed})."
            )
        if samples != references:
            notes.append(
                "The sets differ in size: 50 % is then not what a perfect model gets in 1-NNA, "
                "and COV cannot exceed samples / references."
            )
        if self.oracle is not None:
            first, second = self.oracle.shapes
            notes.append(f"Real data: {self.oracle_from}, {first} shapes against {second}.")
            if second != references or first != samples:
                notes.append(
                    "MMD and COV depend on the numbers of shapes, which differ: compare them with "
                    "the real data's only in kind."
                )
        if max(self.outside.values()) > 0.01:
            shares = ", ".join(f"{100 * s:.0f} % of {name}" for name, s in self.outside.items())
            notes.append(
                f"JSD says little here: {shares} points lie outside the sphere of radius 0.5."
            )
        if self.samples.intervals:
            notes.append(
                f"Brackets: {100 * self.level:g} % bootstrap intervals over shapes (seed "
                f"{self.seed})."
            )
        return notes

    def rows(self) -> dict[str, Row]:
        """Return the scored sets by title."""
        return {"samples": self.samples} | ({"real data": self.oracle} if self.oracle else {})

    def to_json(self) -> dict[str, Any]:
        """Return the sheet as numbers, texts, lists and dictionaries."""
        return {
            **self.samples.to_json(),
            "oracle": None if self.oracle is None else self.oracle.to_json(),
            "oracle_from": self.oracle_from,
            "points": self.points,
            "failed": len(self.failed),
            "failed_samples": list(self.failed),
            "compared_points": self.compared_points,
            "outside_grid": self.outside,
            "units": self.units,
            "interval_level": self.level,
            "seed": self.seed,
            "methods": self.methods,
            "software": self.software,
            "notes": self.notes,
            "definitions": self.definitions,
        }

    def table(self) -> list[list[str]]:
        """Return the cells of a table: a heading, then one line for each score."""
        rows = self.rows().values()
        lines = [["", *self.rows()]]
        for name in self.scores:
            lines.append([name, *(_cell(row, name) for row in rows)])
        lines.append(
            ["shapes / references", *(f"{row.shapes[0]} / {row.shapes[1]}" for row in rows)]
        )
        return lines

    def __str__(self) -> str:
        """Return the table, the notes and the definitions as plain text."""
        table = self.table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in table
        ]
        lines += self.notes
        lines += [f"{name}: {text}" for name, text in self.definitions.items()]
        for name, text in self.methods.items():
            effort = self.samples.neighbours[name].effort
            counts = ", ".join(f"{key} {count}" for key, count in effort.items())
            lines.append(f"{name} found by: {text} ({counts})")
        lines.append("Software: " + ", ".join(f"{n} {v}" for n, v in self.software.items()))
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__


def _cell(row: Row, name: str) -> str:
    value = _show(name, row.scores[name])
    if name not in row.intervals:
        return value
    low, high = row.intervals[name]
    return f"{value} [{_show(name, low)}, {_show(name, high)}]"


def _show(name: str, value: float) -> str:
    if name.startswith("MMD") or name == "JSD":
        return f"{value:.4g}"
    return f"{100 * value:.1f} %"
