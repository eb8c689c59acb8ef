"""A table of rows that are scored by category, as `pointgen evaluate RUN` prints it."""

from __future__ import annotations

from typing import Any

__all__ = ["table"]


def table(heading: str, result: dict[str, Any]) -> list[str]:
    """Return the lines of a table: for each category a block with a line for each row.

    Args:
        heading: the first line.
        result: `scores` by row, category and name, the `threshold`, and `definitions`.
    """
    from pointgen.metrics.by_category import SHOWN
    from pointgen.metrics.by_category import heading as head

    scores = result["scores"]
    first = next(iter(scores.values()))
    shown = [name for name in SHOWN if name in first["mean"]]
    lines = [heading]
    for category in first:
        lines += ["", f"{category:<22}" + "".join(f"{head(name):>12}" for name in shown)]
        for row, of in scores.items():
            values = (SHOWN[key] * of[category][key] for key in shown)
            lines.append(f"  {row:<20}" + "".join(f"{value:>12.4g}" for value in values))
    lines += ["", f"Threshold of the F-score: {result['threshold']}."]
    return lines + [f"{name}: {result['definitions'][name]}" for name in (*shown, *scores)]
