"""`pointgen data check`: a doctor for data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointgen.cli.console import print_json, progress
from pointgen.cli.options import Json, Seed

if TYPE_CHECKING:
    from pointgen.datasets.check import Report
    from pointgen.datasets.findings import Finding
    from pointgen.datasets.shelves import AnyConfig

__all__ = ["check"]

MOST_EXAMPLES = 12  # lines of a finding; --json has all
MOST_CATEGORIES = 12  # rows of the table, likewise


def check(
    source: Annotated[
        Path, typer.Argument(help="A config (its data section), or a data set's folder or file.")
    ],
    most: Annotated[
        int | None, typer.Option(min=1, help="Read so many of the shapes only, chosen at random.")
    ] = None,
    seed: Seed = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    json: Json = False,
) -> None:
    """Examine a data set: what it holds, and what is wrong. Exit status 1 if something is."""
    from pointgen.datasets.check import check as examine

    config, num_points = _data(source)
    with progress("examining") as advance:
        report = examine(config, num_points=num_points, most=most, seed=seed, progress=advance)
    if json:
        print_json({"source": str(source), "kind": config.kind} | _as_json(report))
    else:
        typer.echo("\n".join([f"{source} ({config.kind})", *_lines(report)]))
    if any(strict or finding.severity == "error" for finding in report.findings):
        raise typer.Exit(1)


def _data(source: Path) -> tuple[AnyConfig, int | None]:
    """Return the config of the data, and the number of points that it asks for itself."""
    from pointgen.datasets import clouds_of
    from pointgen.datasets.detect import detect

    if source.suffix.lower() == ".toml":
        from pointgen.config import read_config

        data = clouds_of(read_config(source).data)
        return data, data.num_points
    return detect(source), None


def _as_json(report: Report) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "shapes": {str(group): count for group, count in report.shapes.items()},
        "examined": report.examined,
        "points": report.points,
        "measures": {str(group): asdict(its) for group, its in report.measures.items()},
        "stances": [asdict(its) for its in report.stances],
        "findings": [asdict(finding) for finding in report.findings],
    }


def _lines(report: Report) -> Iterator[str]:
    yield from _table(report)
    total = sum(report.shapes.values())
    yield f"examined    {report.examined} of {total} shapes"
    yield f"points      {_points(report.points)}"
    yield f"sizes       {_sizes(report)}"
    yield f"up axis     {_up(report)}"
    for finding in report.findings:
        yield from _finding(finding)
    severities = [finding.severity for finding in report.findings]
    kinds = [
        f"{severities.count(severity)} kind{'s' * (severities.count(severity) != 1)} of {severity}"
        for severity in ("error", "warning")
        if severity in severities
    ]
    yield " and ".join(kinds) or "nothing wrong"


def _table(report: Report) -> Iterator[str]:
    categories = list(dict.fromkeys(group.category for group in report.shapes))
    rows = {
        name: [_count(report, name, s) for s in ("train", "val", "test")] for name in categories
    }
    width = max((len(name) for name in [*categories, "category"]), default=0)
    yield f"{'category':<{width}} {'train':>8} {'val':>8} {'test':>8}"
    for name in categories[:MOST_CATEGORIES]:
        yield f"{name:<{width}} " + " ".join(f"{count:>8}" for count in rows[name])
    if len(categories) > MOST_CATEGORIES:
        yield f"... and {len(categories) - MOST_CATEGORIES} more categories"
    if len(categories) > 1:
        sums = [sum(column) for column in zip(*rows.values(), strict=True)]
        yield f"{'all':<{width}} " + " ".join(f"{count:>8}" for count in sums)


def _count(report: Report, category: str, split: str) -> int:
    return sum(n for g, n in report.shapes.items() if (g.category, g.split) == (category, split))


def _points(points: dict[int, int]) -> str:
    if len(points) > 1:
        return f"{min(points)} to {max(points)} a shape"
    return f"{next(iter(points))} a shape" if points else "none"


def _sizes(report: Report) -> str:
    said = list(dict.fromkeys(str(its) for its in report.measures.values()))
    return "; ".join(said[:3]) + ("; ..." if len(said) > 3 else "") if said else "none"


def _up(report: Report) -> str:
    told = [f"{s.category} {s.up} ({s.agreeing} of {s.count})" for s in report.stances if s.up]
    silent = len(report.stances) - len(told)
    if not told:
        return "cannot tell"
    rest = f"; cannot tell for {silent} more" if silent else ""
    return ", ".join(told[:6]) + (", ..." if len(told) > 6 else "") + rest


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.severity}: {finding.kind}: {finding.message} ({len(finding.examples)})"
    for example in finding.examples[:MOST_EXAMPLES]:
        yield f"    {example}"
    if len(finding.examples) > MOST_EXAMPLES:
        yield f"    ... and {len(finding.examples) - MOST_EXAMPLES} more (--json lists all)"
