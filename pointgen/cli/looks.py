"""What `pointgen view` shows: shapes from files or out of runs, and the colours of their points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pointgen.cli.console import say
from pointgen.cli.encoding import placed, seeing
from pointgen.cli.inputs import is_run, read_shapes
from pointgen.cli.sampling import sample, solved
from pointgen.devices import torch_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from pointgen.view.clouds import Shape

__all__ = ["Colours", "Look", "coloured", "looked_up"]

Colours = Literal["position", "height", "depth", "plain", "own", "label", "distance", "density"]

FRESH = 16  # clouds that a run is asked for


@dataclass(frozen=True)
class Look:
    """Shapes to look at, and what is known of them.

    Attributes:
        captions: of each shape.
        shapes: the shapes, without colours of their own choice.
        labels: (N_i,) of the points of each shape, None where there are none.
    """

    captions: list[str]
    shapes: list[Shape]
    labels: list[np.ndarray | None]


def looked_up(
    path: Path, *, points: int | None, seed: int, device: str, frames: int | None
) -> Look:
    """Read shapes from a file or folder, or draw new ones from a run.

    Args:
        path: what the person named.
        points: of each cloud.
        seed: of draws.
        device: for runs.
        frames: of the way from noise, which a run is asked for; None asks for none.

    Raises:
        ValueError: Nothing can be shown.
    """
    from pointgen.view.clouds import Shape

    if is_run(path):
        return _from_run(path, points, seed, device, frames)
    found = read_shapes(path, num_points=points, seed=seed, surfaces=True)
    count = len(found.points)
    colours = found.colours or [None] * count
    surfaces = [None] * count if found.surfaces is None else found.surfaces
    ways = _ways(path, found.points)
    shapes = [
        Shape(cloud, None if own is None else own / 255.0, way, surface)
        for cloud, own, way, surface in zip(found.points, colours, ways, surfaces, strict=True)
    ]
    return Look(found.ids, shapes, found.labels or [None] * count)


def coloured(
    looks: Sequence[Look], colours: Colours, *, to: Path | None, model: Path | None, device: str
) -> list[list[Shape]]:
    """Return the shapes in the colours of a choice that has to be computed or looked up.

    Args:
        looks: groups of shapes; one scale of colours serves all of them.
        colours: "own" and the palettes of viewers need nothing here.
        to: the shape, or shapes, that "distance" is measured to.
        model: the run whose log-density "density" is.
        device: for that run.

    Raises:
        ValueError: Something that is needed is missing.
    """
    from dataclasses import replace

    import numpy as np

    from pointgen.view.palette import by_label, by_value

    groups = [[np.asarray(shape.points) for shape in look.shapes] for look in looks]
    clouds = [cloud for group in groups for cloud in group]
    found: Sequence[np.ndarray | None]
    match colours:
        case "label":
            labels = [each for look in looks for each in look.labels if each is not None]
            if len(labels) < len(clouds):
                raise ValueError("--color label: expected labels of the points in every file")
            found = by_label(labels)
        case "distance":
            if to is None:
                raise ValueError("--color distance: expected --to, the shape to measure to")
            values = [each for group in groups for each in _distances(group, to)]
            found = by_value(values)
            least, most = min(v.min() for v in values), max(v.max() for v in values)
            say(f"colours: distance to {to.name}, {least:.3g} (dark) to {most:.3g}")
        case "density":
            if model is None:
                raise ValueError("--color density: expected --model, the run that gives densities")
            values, limits = _densities(clouds, model, device)
            found = by_value(values, limits)
            say(f"colours: log p(x | z), {limits[0]:.3g} (dark) to {limits[1]:.3g} nats")
        case "own":
            return [look.shapes for look in looks]
        case _:
            found = [None] * len(clouds)
    each = iter(found)
    return [[replace(shape, colours=next(each)) for shape in look.shapes] for look in looks]


def _from_run(run: Path, points: int | None, seed: int, device: str, frames: int | None) -> Look:
    from pointgen.training.checkpoint import load
    from pointgen.view.clouds import Shape

    model = load(run, device=torch_device(device))
    drawn = sample(model, FRESH, points, seed=seed, frames=frames)
    clouds = drawn if frames is None else drawn[:, -1]
    places = solved(clouds)
    shapes = [Shape(clouds[i], frames=None if frames is None else drawn[i]) for i in places]
    return Look([f"{run.name} {place}" for place in places], shapes, [None] * len(places))


def _ways(path: Path, clouds: list[np.ndarray]) -> Sequence[np.ndarray | None]:
    """Return the frames (T, N, 3) of each cloud of a file that `generate --frames` wrote."""
    from pointgen.files import read_frames

    frames = read_frames(path)
    fit = frames is not None and frames.shape[0] == len(clouds)
    if frames is None or not fit or frames.shape[2] != len(clouds[0]):
        return [None] * len(clouds)
    return list(frames)


def _distances(clouds: list[np.ndarray], to: Path) -> list[np.ndarray]:
    """Return how far (N_i,) each point is from the other shape: the one of its place, or the one.

    Raises:
        ValueError: There are several others, but not one for each.
    """
    from scipy.spatial import cKDTree

    others = read_shapes(to).points
    if len(others) not in (1, len(clouds)):
        raise ValueError(
            f"--to {to}: expected 1 shape or {len(clouds)}, as there are, got {len(others)}"
        )
    trees = [cKDTree(other) for other in others]
    return [trees[place % len(trees)].query(cloud)[0] for place, cloud in enumerate(clouds)]


def _densities(
    clouds: list[np.ndarray], run: Path, device: str
) -> tuple[list[np.ndarray], tuple[float, float]]:
    """Return log p(x | z) (N_i,), nats, at the code of each cloud, and limits for its colours.

    The limits leave out two per cent at either end: a few stray points would take all the colours.
    """
    import numpy as np
    import torch

    from pointgen.models.around import pointflow_of
    from pointgen.training.checkpoint import load

    on = torch_device(device)
    model = pointflow_of(load(run, device=on))
    if model is None:
        raise ValueError(f"--model {run}: expected a PointFlow, whose points have densities")
    as_seen = seeing(run, on, seed=0)
    values = []
    for cloud in clouds:
        with torch.no_grad():
            seen, frame = as_seen(cloud)
            code = model.encode(seen)
            points = placed(cloud, frame, on)
            values.append(model.points.log_prob(points, code.unsqueeze(1))[0].cpu().numpy())
    low, high = np.quantile(np.concatenate(values), [0.02, 0.98])
    return values, (float(low), float(high))
