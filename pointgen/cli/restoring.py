"""Restoring damaged clouds: by the steps of an i-RIM, or by the likeliest codes of a PointFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointgen.cli.console import check_free, progress, say
from pointgen.cli.encoding import (
    COMPARED,
    distance,
    framer,
    own_frame,
    placed,
    read_inputs,
    thinned,
)
from pointgen.cli.options import Device, Weights
from pointgen.cli.sampling import solver_with
from pointgen.cli.writing import numbered, write_results
from pointgen.devices import torch_device

if TYPE_CHECKING:
    import numpy as np
    from torch import Generator, Tensor

    from pointgen.models import Restorer, Task
    from pointgen.models.pointflow import PointFlow

__all__ = ["Request", "restored"]

LEAST = 8  # points of an input: fewer show no surface
SEARCH = 200  # steps of Adam
STARTS = 8  # of that search


@dataclass(frozen=True)
class Request:
    """The options of the verbs."""

    task: Task
    points: int | None
    count: int
    iterations: int | None
    starts: int | None
    truth: Path | None
    png: Path | None
    seed: int
    steps: int | None
    weights: Weights
    device: Device
    force: bool
    json: bool
    factor: int = 1


@dataclass(frozen=True)
class Restored:
    """What was made of one cloud.

    Attributes:
        ways: (K, T, N, 3), data units: results, each with its way where it has one.
        facts: of each result.
    """

    ways: Tensor
    facts: list[dict[str, float]] = field(default_factory=list)


Restore = Callable[["Tensor", int, "Generator"], Restored]
"""From a cloud (1, M, 3), data units, and how many points are wanted."""


def restored(run: Path, inputs: Sequence[Path], out: Path, request: Request) -> None:
    """Restore clouds, and write and say what came of it."""
    import torch

    from pointgen.files import check_target
    from pointgen.training.checkpoint import read_run

    check_target(out, force=request.force)
    check_free(request.png, force=request.force, endings=(".png",))
    restore = _way(run, request)
    shapes = read_inputs(inputs, request.seed)
    truth = _truth(request.truth, len(shapes.points), request.seed)
    for name, cloud in zip(shapes.ids, shapes.points, strict=True):
        if len(cloud) < LEAST:
            raise ValueError(f"{name}: expected at least {LEAST} points, got {len(cloud)}")
    ids = [name for id in shapes.ids for name in numbered(id, request.count)]
    check_target(out, force=request.force, ids=ids)
    data = read_run(run).data
    if request.task == "complete" and own_frame(data.normalize):
        say(
            f"warning: {run} frames each shape by itself ({data.normalize}), in training before it "
            "is damaged: the frame of what is left of one is another"
        )
    framed, usual = framer(data.normalize), data.num_points
    generator = torch.Generator().manual_seed(request.seed)
    device = torch_device(request.device)
    ways: list[Tensor] = []
    facts: dict[str, Any] = {}
    with progress("restoring") as advance:
        for place, (id, cloud) in enumerate(zip(shapes.ids, shapes.points, strict=True)):
            frame = framed(cloud)
            points = placed(cloud, frame, device)
            wanted = request.points or _points(request, len(cloud), usual)
            found = restore(points, wanted, generator)
            ways += [frame.undo(way.cpu()) for way in found.ways]
            facts |= dict(zip(numbered(id, request.count), found.facts, strict=False))
            advance(place + 1, len(shapes.points))
    clouds = [way[-1] for way in ways]
    more: dict[str, Any] = {"run": str(run), "task": request.task}
    more |= {"results": facts} if facts else {}
    if truth is not None:
        more["chamfer"] = _distances(ids, ways, truth, shapes.points, request)
    write_results(out, clouds, ids, force=request.force, json=request.json, more=more)
    if request.png is not None:
        scored = [f"log p {row['log_prob']:.0f}" for row in facts.values()]
        named = list(zip(clouds, scored or ["restored"] * len(clouds), strict=True))
        rows = [named[i : i + request.count] for i in range(0, len(named), request.count)]
        _draw(request.png, shapes.ids, shapes.points, rows, truth)
        say(f"wrote {request.png}")
    if not request.json:
        _say(more)


def _way(run: Path, request: Request) -> Restore:
    """Load a run, and return how it restores.

    Raises:
        ValueError: It cannot.
    """
    from pointgen.models import Restorer
    from pointgen.models.around import pointflow_of
    from pointgen.training.checkpoint import load, read_run

    model = load(run, device=torch_device(request.device), weights=request.weights)
    if isinstance(model, Restorer):
        return _by_steps(run, model, request)
    flow = pointflow_of(model)
    if flow is not None and flow.prior is not None:
        return _by_codes(flow, read_run(run).data.num_points, request)
    raise ValueError(
        f"{run}: its model does not restore clouds; an i-RIM does (configs/irim_quickstart.toml), "
        "and a pointflow with a prior (configs/coupling_quickstart.toml)"
    )


def _by_steps(run: Path, model: Restorer, request: Request) -> Restore:
    import torch

    if request.task not in model.tasks:
        raise ValueError(
            f"{run}: learnt to {', '.join(model.tasks)}, not to {request.task} (model.tasks)"
        )
    if request.steps is not None:
        raise ValueError("--steps: this model solves no ODE; --iterations sets its steps")
    if request.starts is not None:
        raise ValueError("--starts: this model searches for no codes")

    def restore(points: Tensor, num_points: int, generator: Generator) -> Restored:
        ways = [
            model.restore(
                points, request.task, num_points, steps=request.iterations, generator=generator
            )
            for _ in range(request.count)
        ]
        return Restored(torch.cat(ways))

    return restore


def _by_codes(model: PointFlow, most: int, request: Request) -> Restore:
    import torch

    from pointgen.flows.continuous import solving_with
    from pointgen.models.inference import likely_codes

    solver = solver_with(request.steps)

    def restore(points: Tensor, num_points: int, generator: Generator) -> Restored:
        seen = torch.from_numpy(thinned(points[0].cpu().numpy(), most, request.seed))
        with solving_with(model, samples=solver, densities=solver):
            found = likely_codes(
                model,
                seen.to(points).unsqueeze(0),
                starts=max(request.starts or STARTS, request.count),
                steps=request.iterations or SEARCH,
                generator=generator,
            )
        with torch.no_grad():
            codes = found.codes[: request.count]
            clouds = model.decode(codes, num_points, generator=generator, solver=solver)
        parts = {
            "log_prob": found.log_prob,
            "log_points": found.log_points,
            "log_noise": found.log_noise,
        }
        rows = [
            {name: part[place].item() for name, part in parts.items()}
            for place in range(request.count)
        ]
        return Restored(clouds.unsqueeze(1), rows)

    return restore


def _points(request: Request, given: int, usual: int) -> int:
    """Return how many points a result has where nobody says."""
    whole = max(usual, given)
    return {"complete": whole, "denoise": given, "upsample": request.factor * given}[request.task]


def _truth(path: Path | None, count: int, seed: int) -> list[np.ndarray] | None:
    if path is None:
        return None
    clouds = read_inputs([path], seed).points
    if len(clouds) != count:
        raise ValueError(f"{path}: expected {count} clouds, as many as inputs, got {len(clouds)}")
    return clouds


def _distances(
    ids: Sequence[str],
    ways: Sequence[Tensor],
    truth: Sequence[np.ndarray],
    inputs: Sequence[np.ndarray],
    request: Request,
) -> dict[str, dict[str, Any]]:
    """Return the Chamfer distance to the truth of each input, and of its results at each step."""
    found = {}
    for number, (id, way) in enumerate(zip(ids, ways, strict=True)):
        place = number // request.count
        given, true = inputs[place], truth[place]
        steps = [distance(cloud.numpy(), true, request.seed) for cloud in way]
        found[id] = {"input": distance(given, true, request.seed), "steps": steps}
    return found


def _say(more: dict[str, Any]) -> None:
    for id, row in more.get("results", {}).items():
        say(f"{id}: log p {row['log_prob']:.1f} nats, of which points {row['log_points']:.1f}")
    if rows := list(more.get("chamfer", {}).values()):
        given = sum(row["input"] for row in rows) / len(rows)
        start, *steps = (
            sum(at) / len(rows) for at in zip(*(r["steps"] for r in rows), strict=True)
        )
        after = ", ".join(f"{step:.3g}" for step in steps)
        way = f"start {start:.3g}, after each step {after}" if steps else f"result {start:.3g}"
        say(
            f"mean Chamfer to the truth (squared units, both ways added, at most {COMPARED} "
            f"points): input {given:.3g}, {way}"
        )


def _draw(
    path: Path,
    ids: Sequence[str],
    inputs: Sequence[np.ndarray],
    rows: Sequence[Sequence[tuple[Tensor, str]]],
    truth: Sequence[np.ndarray] | None,
) -> None:
    """Draw a row for each input: it, its results under their titles, and the truth."""
    from pointgen.files import atomic
    from pointgen.view.stack import stack
    from pointgen.view.still import draw

    pictures = {}
    for place, (id, cloud, results) in enumerate(zip(ids, inputs, rows, strict=True)):
        sound = [(made.numpy(), title) for made, title in results if bool(made.isfinite().all())]
        shown, names = map(list, zip((cloud, "input"), *sound, strict=True))
        if truth is not None:
            shown, names = [*shown, truth[place]], [*names, "truth"]
        pictures[id] = draw(shown, captions=names, columns=len(shown), size=240)
    with atomic(path) as temporary:
        stack(pictures).save(temporary, format="PNG")
