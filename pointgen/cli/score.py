"""`pointgen score`: how probable clouds are under a run, and how unlike what it was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointgen.cli.console import check_free, print_json, progress, say
from pointgen.cli.encoding import read_inputs, seeing
from pointgen.cli.inputs import Shapes
from pointgen.cli.options import Device, Force, Json, Run, Seed, Weights
from pointgen.cli.pictured import CaptionedPng, write_png
from pointgen.cli.sampling import solver_with
from pointgen.devices import torch_device

if TYPE_CHECKING:
    import numpy as np

    from pointgen.models import PointCloudModel
    from pointgen.models.pointflow import PointFlow

__all__ = ["How", "Scorer", "score", "surprises", "with_densities"]

AT_ONCE = 16  # clouds, where scores are only compared with each other
REACH = 4.0  # standard deviations around the mean, of the box whose cells a compressor is given

SCORES = {
    "surprise": "-log p(X)",
    "typicality": "how far the surprise is from that of training shapes",
    "complexity": "surprise, less the length of the cloud in a general-purpose compressor",
    "ratio": "surprise, less that of the background run",
}


def score(
    run: Run,
    inputs: Annotated[list[Path], typer.Argument(help="Clouds or meshes: files or folders.")],
    known: Annotated[
        list[Path] | None,
        typer.Option(
            help="Clouds of the kind that the run knows: say how well each score tells INPUTs from "
            "these (AUROC). May be given several times."
        ),
    ] = None,
    background: Annotated[
        Path | None,
        typer.Option(help="A run of a more general kind, for the likelihood ratio."),
    ] = None,
    draws: Annotated[int, typer.Option(min=2, help="Codes that each cloud is weighed by.")] = 16,
    reference: Annotated[
        int,
        typer.Option(min=0, help="Training shapes that typicality is measured by; 0: none."),
    ] = 64,
    noise: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Blur all points by this standard deviation first, in units of the run's data: "
            "densities of perfectly flat shapes have no bound.",
        ),
    ] = 0.0,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Fixed solver steps for densities. Default: the run's own solver."
        ),
    ] = None,
    png: CaptionedPng = None,
    seed: Seed = 0,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Say how probable clouds are, in nats a point, and how unusual, by several scores.

    log p(X) is a bound weighed over codes of the posterior, in units of the run's data, with its
    standard error; of its parts, "points" is the mean of log p(X | z), "code" of
    log p(z) - log q(z | X). A high likelihood alone does not make a cloud one of the known kind:
    simple shapes get more than those of the training.
    """
    check_free(png, force=force, endings=(".png",))
    how = How(draws, noise, steps, seed, weights, torch_device(device))
    shapes = read_inputs(inputs, seed)  # quick to fail, so first
    others = read_inputs(known, seed) if known else None
    scorer = Scorer(run, how, reference, background)
    rows = scorer.rows(shapes, "scoring")
    found: dict[str, Any] = {"run": str(run), "unit": "nats a point", "clouds": rows}
    if others is not None:
        from pointgen.metrics.outliers import auroc

        theirs = scorer.rows(others, "scoring the known")
        found["known"] = theirs
        found["auroc"] = {
            name: auroc(_column(theirs, name), _column(rows, name)) for name in scorer.names
        }
    if png is not None:
        titles = [f"{rows[id]['log_prob']:.2f} nats a point" for id in shapes.ids]
        write_png(png, shapes.points, titles)
    if json:
        print_json(found)
        return
    typer.echo(_table(rows, scorer.names))
    for name in scorer.names:
        more = f"; AUROC {found['auroc'][name]:.3f}" if known else ""
        say(f"{name}: {SCORES[name]}{more}")


@dataclass(frozen=True)
class How:
    """How clouds are scored: the options of the verb."""

    draws: int
    noise: float
    steps: int | None
    seed: int
    weights: Any
    device: str


class Scorer:
    """A run, and what its scores are measured against."""

    def __init__(self, run: Path, how: How, reference: int, background: Path | None) -> None:
        """Load the models, and score some training shapes.

        Raises:
            ValueError: A model has no densities, or the training shapes are not there.
        """
        from pointgen.flows.continuous import cnfs

        self._how = how
        self._model = _loaded(run, how)
        self._background = None if background is None else _loaded(background, how)
        solves = cnfs(self._model) or (self._background is not None and cnfs(self._background))
        if how.steps and not solves:
            raise ValueError("--steps: no ODE is solved here, so there are none")
        self._seen = seeing(run, "cpu", how.seed)
        self._usual: float | None = None
        if reference:
            clouds = _blurred(_training_shapes(run, reference), how)
            found = _evidence(self._model, clouds, how, "scoring training shapes")
            self._usual = -sum(row["log_prob"] for row in found) / len(found)

    @property
    def names(self) -> list[str]:
        """The scores that there are."""
        there = {"typicality": self._usual is not None, "ratio": self._background is not None}
        return [name for name in SCORES if there.get(name, True)]

    def rows(self, shapes: Shapes, title: str) -> dict[str, dict[str, float]]:
        """Score clouds; return a row of numbers, nats a point, for each by its id."""
        from pointgen.metrics.outliers import code_length

        seen = [self._seen(cloud)[0][0].numpy() for cloud in shapes.points]
        clouds = _blurred(seen, self._how)
        rows = _evidence(self._model, clouds, self._how, title)
        others: list[dict[str, float]] = []
        if self._background is not None:
            others = _evidence(self._background, clouds, self._how, f"{title}: background")
        units = self._model.units
        size = 2 * REACH * float(units.std.max())
        low = (units.mean.cpu() - size / 2).numpy()
        for place, (row, cloud) in enumerate(zip(rows, clouds, strict=True)):
            if not all(map(math.isfinite, row.values())):
                raise ValueError(
                    f"{shapes.ids[place]}: log p(X) is not a finite number; points up to "
                    f"{abs(cloud).max():.3g} from the origin are in other units than the run's"
                )
            row["surprise"] = -row["log_prob"]
            if self._usual is not None:
                row["typicality"] = abs(row["surprise"] - self._usual)
            row["complexity"] = row["surprise"] - code_length(cloud, low, size)
            if others:
                row["ratio"] = row["surprise"] + others[place]["log_prob"]
        return dict(zip(shapes.ids, rows, strict=True))


def surprises(model: PointFlow, clouds: Sequence[np.ndarray], how: How, title: str) -> np.ndarray:
    """Return -log p(X) (S,), nats a point, of clouds (N_i, 3) as the model sees them.

    Several are done at once, so they are to be compared with each other only.
    """
    import numpy as np

    rows = _evidence(model, clouds, how, title, at_once=AT_ONCE)
    return np.array([-row["log_prob"] for row in rows])


def with_densities(run: Path, model: PointCloudModel) -> PointFlow:
    """Return what of the model of a run says how probable clouds are.

    Raises:
        ValueError: Nothing of it does.
    """
    from pointgen.models.around import pointflow_of

    flow = pointflow_of(model)
    if flow is None or flow.prior is None or flow.config.posterior != "gaussian":
        raise ValueError(
            f"{run}: its model has no densities of clouds; a pointflow with a Gaussian posterior "
            "and a prior has (configs/coupling_quickstart.toml)"
        )
    return flow


def _loaded(run: Path, how: How) -> PointFlow:
    from pointgen.training.checkpoint import load

    return with_densities(run, load(run, device=how.device, weights=how.weights))


def _blurred(clouds: Sequence[np.ndarray], how: How) -> list[np.ndarray]:
    import numpy as np

    rng = np.random.default_rng(how.seed)
    return [(c + how.noise * rng.standard_normal(c.shape)).astype(np.float32) for c in clouds]


def _evidence(
    model: PointFlow, clouds: Sequence[np.ndarray], how: How, title: str, *, at_once: int = 1
) -> list[dict[str, float]]:
    """Return log p(X), its error and its parts, nats a point, of each cloud (N, 3).

    Noise and, without fixed steps, the solver's depend on which clouds are done at once.
    """
    import numpy as np
    import torch

    from pointgen.flows.continuous import cnfs, solving_with

    solver = solver_with(how.steps) if cnfs(model) else None
    rows = []
    with progress(title) as advance, solving_with(model, densities=solver):
        for size, same in groupby(clouds, key=len):
            for part in torch.from_numpy(np.stack(list(same))).split(at_once):
                found = model.evidence(
                    part.to(how.device),
                    draws=how.draws,
                    generator=torch.Generator().manual_seed(how.seed),
                )
                parts = {name: (value / size).tolist() for name, value in asdict(found).items()}
                rows += [
                    {name: of[place] for name, of in parts.items()} for place in range(len(part))
                ]
                advance(len(rows), len(clouds))
    return rows


def _training_shapes(run: Path, count: int) -> list[np.ndarray]:
    """Draw points of some shapes that the run was trained on, evenly spread over them."""
    import numpy as np

    from pointgen.training.checkpoint import read_run

    try:
        with progress("preparing training shapes") as advance:
            train = read_run(run).data.build("train", progress=advance)
    except (ValueError, OSError) as error:
        raise ValueError(f"{error}; --reference 0 leaves typicality out") from error
    places = np.unique(np.linspace(0, len(train) - 1, count).astype(int))
    return [train[int(place)].points.numpy() for place in places]


def _column(rows: dict[str, dict[str, float]], name: str) -> np.ndarray:
    import numpy as np

    return np.array([row[name] for row in rows.values()])


def _table(rows: dict[str, dict[str, float]], names: Sequence[str]) -> str:
    """Return a line for each cloud."""
    heads = ["log_prob", "error", "points", "code", *names]
    width = max(map(len, rows))
    lines = [" " * width + "".join(f" {head:>12}" for head in heads)]
    lines += [
        f"{id:<{width}}" + "".join(f" {_number(row[head]):>12}" for head in heads)
        for id, row in rows.items()
    ]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1e6 else f"{value:.3e}"
