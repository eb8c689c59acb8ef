"""`pointgen demo`: the five-minute tour, from nothing to shapes that one can turn."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from pointgen.cli.console import progress, say, write_json
from pointgen.cli.options import Device, Seed
from pointgen.cli.sampling import sample, solved
from pointgen.devices import torch_device

if TYPE_CHECKING:
    from pointgen.config import Experiment
    from pointgen.metrics.sheet import Sheet
    from pointgen.models import PointCloudModel

__all__ = ["demo"]

SHOWN, SHOWN_POINTS = 16, 2048
SCORED, SCORED_POINTS = 100, 1024


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")] = Path(
        "runs/demo"
    ),
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key, as in train: --set train.steps=500."),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train on built-in chairs, generate, score, and draw: some minutes on any CPU.

    A demo that was interrupted goes on where it was when it is called again.
    """
    from pointgen.config import read_config
    from pointgen.training.checkpoint import load
    from pointgen.training.progress import reporter
    from pointgen.training.start import train

    begun = perf_counter()
    # Scored below, beside more shapes than a report takes.
    experiment = read_config(quickstart(), ["train.report_shapes=0", *(overrides or ())])
    say("1/3  training a two-level flow on built-in chairs")
    result = train(experiment, out, resume=True, device=device, reporter=reporter(sys.stderr))
    if result.main and not result.finished:
        say("go on: the same command")
    if not (result.main and result.finished):
        return
    on = torch_device(device)
    model = load(out, device=on)
    say(f"2/3  generating {SHOWN} shapes to look at")
    _draw(model, out, seed)
    say(f"3/3  scoring {SCORED} generated shapes against {SCORED} held-out ones")
    sheet = _score(model, experiment, out, seed)
    typer.echo(f"\n{sheet}\n")
    say(_next(out, perf_counter() - begun))


def quickstart() -> Path:
    """Return the config of the demo: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "configs" / "quickstart.toml"
    return installed if installed.is_file() else package.parent / "configs" / "quickstart.toml"


def _draw(model: PointCloudModel, out: Path, seed: int) -> None:
    from pointgen.files import write_clouds
    from pointgen.view.page import save_page
    from pointgen.view.still import save_png

    with progress("generating") as advance:
        clouds = sample(model, SHOWN, SHOWN_POINTS, seed=seed, advance=advance)
    clouds = clouds[solved(clouds)]
    write_clouds(out / "samples" / "generated.npy", clouds.numpy(), force=True)
    save_png(out / "gallery.png", clouds)
    save_page(out / "gallery.html", clouds, title="Chairs by pointgen")


def _score(model: PointCloudModel, experiment: Experiment, out: Path, seed: int) -> Sheet:
    from pointgen.metrics.evaluate import Scoring, evaluate

    data = experiment.data.model_copy(update={"num_points": SCORED_POINTS})
    held_out = data.build("test").points(SCORED)
    # Real against real: what a perfect generator would score.
    others = data.build("train").points(len(held_out))
    with progress("generating") as advance:
        made = sample(model, len(held_out), SCORED_POINTS, seed=seed + 1, advance=advance)
    with progress("scoring") as advance:
        sheet = evaluate(
            made, held_out, oracle=others, scoring=Scoring(seed=seed), progress=advance
        )
    write_json(out / "scores.json", sheet.to_json())
    return sheet


def _next(out: Path, seconds: float) -> str:
    return f"""\
Done in {seconds / 60:.1f} minutes. In {out}:
  gallery.png, gallery.html    {SHOWN} chairs the model made; open the page to turn them
  samples/generated.npy        the same as an array ({SHOWN}, {SHOWN_POINTS}, 3)
  scores.json                  the scores above
  report.html                  the training: its curves, and how the shapes took form
Next:
  pointgen view {out} --html more.html --seed 7
  pointgen generate {out} -o chairs -n 8 --points 10000
  pointgen train configs/matching_meshes.toml --set data.root=FOLDER_OF_MESHES
"""
