"""The report of a run: what was trained, how it went, what it makes, and how good that is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from PIL import Image

from pointgen.config import Experiment, TrainConfig
from pointgen.datasets import CloudDataset
from pointgen.files import atomic
from pointgen.files.json_text import json_text
from pointgen.metrics.by_category import SHOWN
from pointgen.metrics.sheet import Sheet
from pointgen.models import Classifier, PointCloudModel
from pointgen.training.checkpoint import load, parameters_of, read_run, step_of
from pointgen.training.log import history, last_row
from pointgen.training.look import Look, look, one_line
from pointgen.training.making import Advance, generates
from pointgen.training.scores import Pairs, accuracy, has_pairs, score_pairs, score_set

__all__ = ["Findings", "is_written", "write_report"]

SPLIT: Literal["val"] = "val"  # the test split stays unseen while people choose between runs
PREVIEWS, PREVIEW_WIDTH = 5, 440  # shown of a run, and how wide, pixels
SOFTWARE = ("pointgen", "torch")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Made:
    """What the model of a run makes; what it cannot, or could not be found, is None.

    Attributes:
        look: pictures.
        sheet: scores of new shapes.
        pairs: scores of clouds with a truth of their own.
        accuracy: share of shapes that are of the likeliest category, by category and their mean.
    """

    look: Look | None = None
    sheet: Sheet | None = None
    pairs: Pairs | None = None
    accuracy: dict[str, float] | None = None

    @property
    def scores(self) -> dict[str, float]:
        """The scores of the model itself by name."""
        found = dict(self.sheet.scores) if self.sheet else {}
        found |= {"accuracy": self.accuracy["mean"]} if self.accuracy else {}
        for row in ("reconstruction", "from the picture", "complete", "denoise", "upsample"):
            means = self.pairs.scores.get(row, {}).get("mean", {}) if self.pairs else {}
            found |= {f"{name} ({row})": means[name] for name in SHOWN if name in means}
        return found


@dataclass(frozen=True)
class Findings:
    """What there is to tell of a run; what could not be found is None.

    Attributes:
        run: its folder.
        experiment: its config.
        log: columns of log.csv.
        step: of the weights.
        total: length of the training, steps.
        trained_on: device and processes.
        parameters: numbers of them by part of the model.
        shapes: how many there are by split.
        previews: while it was trained, by step.
        made: what the model makes, and how good it is.
        problems: why something is missing, one sentence each.
        split: where the held-out shapes are from.
    """

    run: Path
    experiment: Experiment
    log: dict[str, np.ndarray]
    step: int | None
    total: int | None
    trained_on: str | None
    parameters: dict[str, int]
    shapes: dict[str, int]
    previews: dict[int, Image.Image]
    made: Made
    problems: list[str]
    split: str = SPLIT

    @property
    def finished(self) -> bool:
        """Whether the training reached its end."""
        return self.step is not None and self.total is not None and self.step >= self.total

    @property
    def last(self) -> dict[str, float]:
        """The last row of the log."""
        return last_row(self.log)

    def to_json(self) -> dict[str, Any]:
        """Return numbers, texts, lists and dictionaries."""
        return {
            "run": str(self.run),
            "step": self.step,
            "total": self.total,
            "finished": self.finished,
            "trained_on": self.trained_on,
            "parameters": self.parameters,
            "shapes": self.shapes,
            "last_log": self.last,
            "scores": self.made.scores,
            "scored_split": self.split,
            "sheet": self.made.sheet and self.made.sheet.to_json(),
            "pairs": self.made.pairs and self.made.pairs.to_json(),
            "accuracy": self.made.accuracy,
            "problems": self.problems,
            "software": {name: version(name) for name in SOFTWARE},
        }


def write_report(
    run: Path,
    html: Path,
    *,
    json_too: Path | None = None,
    device: torch.device | str = "cpu",
    known: tuple[CloudDataset, CloudDataset | None] | None = None,
    thorough: bool = True,
    trained_on: str | None = None,
    advance: Advance | None = None,
) -> list[str]:
    """Write the report of a run's folder as one HTML page, finished or not.

    Args:
        run: the folder; nothing else in it is changed.
        html: the page, written complete or not at all.
        json_too: where the same goes for programs, after the page.
        device: where the model computes.
        known: the training set and the val split, if they are there already.
        thorough: whether to load the data, draw and score, which takes a minute or so.
        trained_on: device and processes; None is what an earlier report said.
        advance: told how the drawing and scoring goes.

    Returns:
        What is missing in the report and why, one sentence each.

    Raises:
        RunError: It is not a run.
        FileError: The page cannot be written.
    """
    from pointgen.training.report_page import sections
    from pointgen.view.report import save_report

    findings = _find(run, device, known or (None, None), thorough, advance)
    if trained_on is not None:
        findings = replace(findings, trained_on=trained_on)
    save_report(html, f"Training of {run.resolve().name}", sections(findings))
    if json_too is not None:
        with atomic(json_too) as temporary:
            temporary.write_text(json_text(findings.to_json()), encoding="utf-8")
    return findings.problems


def is_written(run: Path, step: int) -> bool:
    """Whether the folder of a run holds the whole report of its end at a step."""
    noted = _noted(run)  # written after the page
    done = noted.get("step") == step and noted.get("finished") is True
    return done and (run / "report.html").is_file()


class _Problems(list[str]):
    """Why parts are missing: a report tells what there is."""

    def attempt(self, what: str, make: Callable[[], _T]) -> _T | None:
        """Return what is made, or None and note the error."""
        try:
            return make()
        except Exception as error:  # whatever data, a model or a metric may raise
            self.append(f"{what}: {one_line(error)}")
            return None


def _find(
    run: Path,
    device: torch.device | str,
    known: tuple[CloudDataset | None, CloudDataset | None],
    thorough: bool,
    advance: Advance | None,
) -> Findings:
    experiment, problems = read_run(run), _Problems()
    config, build = experiment.train, experiment.data.build
    log = problems.attempt("The curves", partial(history, run / "log.csv"))
    model = problems.attempt("The weights", partial(load, run, device=device))
    training, held_out = known
    made = Made()
    if thorough and model is not None:
        if training is None:
            training = problems.attempt(
                "The training set", partial(build, "train", progress=advance)
            )
        if held_out is None:
            held_out = problems.attempt("Held-out shapes", partial(build, SPLIT, progress=advance))
        made = _made(model, training, held_out, config, problems, advance)
    return Findings(
        run=run,
        experiment=experiment,
        log=log or {},
        step=None if model is None else step_of(run / "model.safetensors"),
        total=config.steps or (None if training is None else config.total_steps(len(training))),
        trained_on=str(before) if (before := _noted(run).get("trained_on")) else None,
        parameters={} if model is None else parameters_of(model),
        shapes={name: len(of) for name, of in {"train": training, SPLIT: held_out}.items() if of},
        previews=problems.attempt("Previews", partial(_previews, run / "samples")) or {},
        made=made,
        problems=problems,
    )


def _made(
    model: PointCloudModel,
    training: CloudDataset | None,
    held_out: CloudDataset | None,
    config: TrainConfig,
    problems: _Problems,
    advance: Advance | None,
) -> Made:
    seen = look(model, held_out, config)
    problems += [f"{title.capitalize()}: {said}" for title, said in seen.problems.items()]
    count, seed = config.report_shapes, config.seed
    if not count or held_out is None:
        return Made(seen)
    sheet = pairs = right = None
    if generates(model) and training is not None:
        score = partial(score_set, model, held_out, training, count, seed=seed, advance=advance)
        sheet = problems.attempt("The scores", score)
    if has_pairs(model):
        score_each = partial(score_pairs, model, held_out, count, seed=seed, advance=advance)
        pairs = problems.attempt("The scores of pairs", score_each)
    if isinstance(model, Classifier):
        score_right = partial(accuracy, model, held_out, count)
        right = problems.attempt("The accuracy", score_right)
    return Made(seen, sheet, pairs, right)


def _previews(folder: Path) -> dict[int, Image.Image]:
    """Return the first and the last preview and a few between, small, by their steps.

    Raises:
        OSError: One is no picture.
    """
    found = {
        int(match[1]): path
        for path in folder.glob("step-*.png")
        if (match := re.fullmatch(r"step-(\d+)\.png", path.name))
    }
    steps = sorted(found)
    places = np.linspace(0, len(steps) - 1, min(PREVIEWS, len(steps))).round().astype(int)
    return {steps[place]: _small(found[steps[place]]) for place in places}


def _small(path: Path) -> Image.Image:
    with Image.open(path) as image:
        share = min(1.0, PREVIEW_WIDTH / image.width)
        size = (round(share * image.width), round(share * image.height))
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _noted(run: Path) -> dict[str, Any]:
    """Return an earlier report; nothing if there is none that can be read."""
    try:
        noted = json.loads((run / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
