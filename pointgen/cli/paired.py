"""`pointgen evaluate --pairs`: reconstructions against their own references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointgen.cli.console import progress, say
from pointgen.cli.inputs import Shapes, is_run, read_shapes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["paired"]


def paired(
    first: Path, second: Path, points: int | None, seed: int, *, threshold: str, exact: bool
) -> tuple[dict[str, Any], str]:
    """Score each cloud of the first against that of the second with its name, or at its place.

    Args:
        first: file or folder of reconstructions.
        second: file or folder of references.
        points: draw this many of each cloud.
        seed: of the draws.
        threshold: of the F-score, as `Threshold.parse` reads it.
        exact: whether to match points one to one for EMD.

    Returns:
        The scores for programs, and the same as a table of their means.
    """
    import torch

    from pointgen.metrics.pairs import DEFINITIONS_OF_PAIRS, Threshold, reconstruction_scores

    near = Threshold.parse(threshold)
    for path in (first, second):
        if is_run(path):
            raise ValueError(
                f"{path}: is a run; --pairs takes clouds, as `reconstruct` writes them"
            )
    ours, theirs = (
        read_shapes(path, num_points=points, seed=(seed, side))
        for side, path in enumerate((first, second))
    )
    order, by = _partners(ours, theirs, first, second)
    theirs = _chosen(theirs, order)
    a, b = ours.stacked(str(first)), theirs.stacked(str(second))
    if exact and a.shape != b.shape:
        exact = False
        say(f"EMD is left out: {a.shape[1]} points against {b.shape[1]}; --points makes them equal")
    normals = (_tensor(ours.normals), _tensor(theirs.normals))
    with progress("scoring") as advance:
        done = 0

        def count(pairs: int) -> None:
            nonlocal done
            done += pairs
            advance(done, len(a))

        scores = reconstruction_scores(
            a, b,
            threshold=near,
            normals_a=normals[0] if None not in normals else None,
            normals_b=normals[1] if None not in normals else None,
            emd_error=0.0 if exact else None,
            progress=count,
        )  # fmt: skip
    means = {name: values.double().mean().item() for name, values in scores.items()}
    spreads = {name: values.double().std(correction=0).item() for name, values in scores.items()}
    definitions = {name: DEFINITIONS_OF_PAIRS[name] for name in scores}
    worst = torch.argsort(scores["CD"], descending=True)[:5].tolist()
    result = {
        "samples_from": str(first),
        "reference_from": str(second),
        "paired_by": by,
        "shapes": len(a),
        "points": [a.shape[1], b.shape[1]],
        "threshold": near.description,
        "seed": seed,
        "means": means,
        "standard_deviations": spreads,
        "each": [
            {"id": name} | {key: values[i].item() for key, values in scores.items()}
            for i, name in enumerate(ours.ids)
        ],
        "definitions": definitions,
    }
    width = max(map(len, means))
    lines = [f"{len(a)} pairs by {by}, {a.shape[1]} points against {b.shape[1]}"]
    lines += [f"{n.ljust(width)}  {means[n]:.5g} (± {spreads[n]:.2g} over shapes)" for n in means]
    lines += [f"Threshold: {near.description}."]
    lines += ["Worst by CD: " + ", ".join(f"{ours.ids[i]} {scores['CD'][i]:.3g}" for i in worst)]
    lines += [f"{name}: {text}" for name, text in definitions.items()]
    return result, "\n".join(lines)


def _partners(ours: Shapes, theirs: Shapes, first: Path, second: Path) -> tuple[list[int], str]:
    """Return the place of each cloud's reference, and whether they were found by name or place."""
    places = {name: place for place, name in enumerate(theirs.ids)}
    missing = [name for name in ours.ids if name not in places]
    if not missing and len(set(ours.ids)) == len(ours.ids) and len(places) == len(theirs.ids):
        return [places[name] for name in ours.ids], "name"
    strangers = len(missing) == len(ours.ids) or not missing
    if strangers and len(ours.ids) == len(theirs.ids):
        return list(range(len(ours.ids))), "place"
    raise ValueError(
        f"{second}: expected a reference for each of {len(ours.ids)} clouds of {first} by name, "
        f"or other names and as many in the same order; got {len(theirs.ids)}, none named "
        f"{(missing or ours.ids)[0]}"
    )


def _chosen(shapes: Shapes, order: list[int]) -> Shapes:
    return replace(
        shapes,
        ids=[shapes.ids[i] for i in order],
        points=[shapes.points[i] for i in order],
        normals=None if shapes.normals is None else [shapes.normals[i] for i in order],
    )


def _tensor(normals: list[np.ndarray] | None) -> Tensor | None:
    import numpy as np
    import torch

    return None if normals is None else torch.from_numpy(np.stack(normals))
