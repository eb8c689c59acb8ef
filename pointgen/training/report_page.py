"""What the report of a run says, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from pointgen.metrics.by_category import SHOWN, heading
from pointgen.training.scores import Pairs
from pointgen.view.curves import Chart, Line, brief
from pointgen.view.report import Details, Grid, Part, Picture, Section, Table

if TYPE_CHECKING:
    from pointgen.training.report import Findings

__all__ = ["sections"]

# Columns of the log: title and axis of their charts, and whether the axis may be logarithmic.
# Those that are neither here nor in `PLAIN` are terms of the loss.
CHARTS = {
    "grad_norm": ("Norm of the gradient, before clipping", "norm", None),
    "lr": ("Learning rate", "rate", False),
    "points_per_second": ("Throughput", "points / s", False),
    "wait": ("Waiting for data", "share of the time", False),
}
PLAIN = frozenset({"step", "epoch", "loss", "validation", "seconds"})
MOST_CATEGORIES = 8  # in a table; of more only the mean


def sections(findings: Findings) -> list[Section]:
    """Return the parts of the page in order."""
    return [
        Section("What was trained", list(_facts(findings))),
        Section("How it went", list(_curves(findings.log))),
        Section("What it makes", list(_pictures(findings))),
        Section("How good that is", list(_scores(findings))),
    ]


def _facts(findings: Findings) -> Iterator[Part]:
    experiment = findings.experiment
    rows = {"state": _state(findings)}
    if "seconds" in findings.last:
        rows["time"] = _duration(findings.last["seconds"])
    if findings.trained_on:
        rows["trained on"] = findings.trained_on
    rows["model"] = _settings(experiment.model)
    if findings.parameters:
        parts = ", ".join(f"{name} {brief(n)}" for name, n in findings.parameters.items() if n)
        rows["parameters"] = f"{brief(sum(findings.parameters.values()))}: {parts}"
    rows["data"] = _settings(experiment.data)
    if findings.shapes:
        rows["shapes"] = ", ".join(f"{n} in {split}" for split, n in findings.shapes.items())
    rows["training"] = _settings(experiment.train)
    if best := _best(findings.log):
        rows["lowest validation loss"] = best
    rows["software"] = ", ".join(f"{name} {version(name)}" for name in ("pointgen", "torch"))
    yield Table(["what", "value"], list(rows.items()))
    if findings.problems:
        yield "Missing in this report: " + "; ".join(findings.problems) + "."
    yield Details("The whole config", _config(findings.run / "config.toml"))


def _state(findings: Findings) -> str:
    step, total = findings.step, findings.total
    if step is None:
        return "no weights were saved yet"
    if total is None:
        return f"step {step}"
    return f"finished at step {step}" if step >= total else f"stopped at step {step} of {total}"


def _settings(config: BaseModel) -> str:
    """Return what a person chose, in one line; parts with settings of their own are left out."""
    chosen = config.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
    kind = [str(config.kind)] if "kind" in type(config).model_fields else []  # type: ignore[attr-defined]
    return ", ".join(kind + [f"{name} {_value(v)}" for name, v in chosen.items() if _short(v)])


def _short(value: Any) -> bool:
    return not isinstance(value, dict) and value is not None


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _best(log: Mapping[str, np.ndarray]) -> str:
    losses = log.get("validation", np.empty(0))
    if not np.isfinite(losses).any():
        return ""
    place = int(np.nanargmin(losses))
    return f"{brief(losses[place])} at step {log['step'][place]:.0f}"


def _config(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _curves(log: Mapping[str, np.ndarray]) -> Iterator[Part]:
    if not len(log.get("step", ())):
        yield "Nothing was logged yet."
        return
    steps = log["step"]
    losses = {"training": log.get("loss"), "validation": log.get("validation")}
    lines = [
        Line(name, steps, values)
        for name, values in losses.items()
        if values is not None and np.isfinite(values).any()
    ]
    charts = [Chart("Loss", lines, y_name="loss")] if lines else []
    charts += [
        Chart(f"Term of the loss: {name}", [Line("", steps, values)], y_name=name)
        for name, values in log.items()
        if name not in PLAIN | CHARTS.keys()
    ]
    charts += [
        Chart(title, [Line("", steps, log[name])], y_name=axis, log=logarithmic)
        for name, (title, axis, logarithmic) in CHARTS.items()
        if name in log
    ]
    yield "Each point is the mean since the one before. At the title stands the last value."
    yield Grid(charts)


def _pictures(findings: Findings) -> Iterator[Part]:
    seen, step = findings.made.look, findings.step
    if seen is None:
        yield "Nothing was drawn for this report."
    for part in seen.parts.values() if seen else ():
        failed = f"; {part.failed} more could not be solved" if part.failed else ""
        yield Picture(part.picture, f"{part.meaning} (step {step}{failed}).")
    shown = step if seen and seen.parts else None
    before = [Picture(of, f"step {at}") for at, of in findings.previews.items() if at != shown]
    if before:
        yield "On the way, from the same noise each time:"
        yield Grid(before)


def _scores(findings: Findings) -> Iterator[Part]:
    made, run = findings.made, findings.run
    if made.sheet is None and made.pairs is None and made.accuracy is None:
        scored = findings.experiment.train.report_shapes > 0
        yield (
            f"Nothing was scored for this report. One with scores: pointgen info {run} --html FILE"
            if scored
            else "The config leaves scores out (train.report_shapes = 0)."
        )
        return
    if made.sheet is not None:
        sheet, shapes = made.sheet, made.sheet.samples.shapes
        table = sheet.table()
        yield (
            f"Only {shapes[0]} new shapes against {shapes[1]} of the {findings.split} split: "
            "enough to see whether a training went well, too few to tell close rivals apart or to "
            f"compare with papers. Against the whole test split: pointgen evaluate {run} {run}"
        )
        yield Table(table[0], table[1:])
        yield " ".join(sheet.notes)
        yield Details("What the names mean", _defined(sheet.definitions))
    if made.accuracy is not None:
        yield f"How often the likeliest category is the right one, in the {findings.split} split:"
        rows = [[name, f"{100 * share:.1f} %"] for name, share in made.accuracy.items()]
        yield Table(["category", "accuracy"], rows)
    if made.pairs is not None:
        yield from _pairs(made.pairs, findings)


def _pairs(pairs: Pairs, findings: Findings) -> Iterator[Part]:
    failed = f" ({pairs.failed} more could not be solved)" if pairs.failed else ""
    more = ""
    if "from the picture" in pairs.scores:
        more = " Of the whole test split, with EMD, retrieval and the mean cloud: pointgen evaluate"
        more += f" {findings.run}"
    yield (
        f"Clouds against their own truth: {pairs.shapes} shapes of the {findings.split} "
        f"split{failed}.{more}"
    )
    first = next(iter(pairs.scores.values()))
    names = [name for name in SHOWN if name in first["mean"]]
    categories = [name for name in first if name != "mean"]
    blocks = ["mean"] if len(categories) > 1 else []
    blocks += categories if len(categories) <= MOST_CATEGORIES else []
    rows = [
        [category, row, *(f"{SHOWN[name] * of[category][name]:.4g}" for name in names)]
        for category in blocks
        for row, of in pairs.scores.items()
    ]
    yield Table(["category", "cloud", *map(heading, names)], rows)
    yield Details("What the names mean", _defined(pairs.definitions))


def _defined(definitions: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {text}" for name, text in definitions.items())


def _duration(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute} min" if hours else f"{minute} min {second} s"
