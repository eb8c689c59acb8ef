"""`pointgen evaluate RUN`: what a run makes of held-out shapes, against those shapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointgen.cli.console import progress
from pointgen.cli.rows import table

if TYPE_CHECKING:
    from pointgen.cli.from_images import Asked
    from pointgen.models import PointCloudModel

__all__ = ["from_shapes"]


def from_shapes(run: Path, model: PointCloudModel, asked: Asked) -> tuple[dict[str, Any], str]:
    """Score a run's reconstructions of held-out shapes, or what it restores, by category.

    Returns:
        The scores for programs, and the same as a table.

    Raises:
        ValueError: The run makes nothing that has a truth of its own.
    """
    from pointgen.metrics.pairs import Threshold
    from pointgen.training.checkpoint import read_run
    from pointgen.training.making import most_points
    from pointgen.training.scores import Measure, has_pairs, score_pairs

    if not has_pairs(model):
        raise ValueError(
            f"{run}: reconstructs nothing; what it makes is scored against a REFERENCE"
        )
    data = read_run(run).data
    points = most_points(model, asked.points or data.num_points)
    known = data.model_copy(update={"num_points": max(points, data.num_points)})
    held_out = known.build(asked.split)
    measure = Measure(
        points, data.num_points, Threshold.parse(asked.threshold), 0.0 if asked.exact else None
    )
    with progress("scoring") as advance:
        found = score_pairs(
            model, held_out, len(held_out), seed=asked.seed, measure=measure, advance=advance
        )
    result = {"run": str(run), "split": asked.split, "points": points, "seed": asked.seed}
    result |= found.to_json()
    lost = f" ({found.failed} more could not be solved)" if found.failed else ""
    heading = f"{run}: {found.shapes} shapes of the {asked.split} split{lost}, {points} points"
    return result, "\n".join(table(heading, result))
