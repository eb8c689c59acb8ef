"""`pointgen info`: what a run is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointgen.cli.console import HTML, check_free, print_json, progress, say
from pointgen.cli.options import Device, Force, Json, Run
from pointgen.devices import torch_device

if TYPE_CHECKING:
    from pointgen.models import ModelConfig

__all__ = ["info"]


def info(
    run: Run,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Also write the report that a training ends with, as one HTML page here: curves, "
            "previews, samples and scores. Takes a minute."
        ),
    ] = None,
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Say what a run is: model, size, step, data, last metrics."""
    from pointgen.training.checkpoint import load, parameters_of, read_run, step_of
    from pointgen.training.log import history, last_row

    check_free(html, force=force, endings=HTML)
    experiment = read_run(run)
    folder = run.parent if run.suffix == ".safetensors" else run
    weights = run if run.suffix == ".safetensors" else run / "model.safetensors"
    begun = weights.is_file()  # a training saves them after a while
    facts: dict[str, Any] = {
        "run": str(run),
        "step": step_of(weights) if begun else "no weights yet",
        "model": experiment.model.kind,
        "parts": experiment.model.parts,
        **_kind_of(experiment.model),
        "parameters": parameters_of(load(run)) if begun else {},
        "data": experiment.data.model_dump(mode="json", exclude_none=True),
        "last_log": last_row(history(folder / "log.csv")),
        "report": _report(folder / "report.json"),
    }
    if json:
        print_json(facts | {"config": experiment.model_dump(mode="json", exclude_none=True)})
    for name, value in facts.items():
        if value and not json:
            typer.echo(f"{name:<12}{_line(value)}")
    if html is not None:
        _write_report(folder, html, device)


def _write_report(run: Path, html: Path, device: str) -> None:
    from pointgen.training.report import write_report

    with progress("drawing and scoring") as advance:
        problems = write_report(run, html, device=torch_device(device), advance=advance)
    for problem in problems:
        say(f"report without {problem[0].lower()}{problem[1:]}")
    say(f"wrote {html}")


def _kind_of(model: ModelConfig) -> dict[str, Any]:
    """Return the few settings that tell one model of its kind from another."""
    shown = {
        "pointflow": {"objective", "code_dim"},
        "cflow": {"direction", "points"},
        "irevnet": {"points", "levels", "blocks"},
        "hybrid": {"labelled", "flow_weight"},
        "interpretation": {"factors"},
        "irim": {"points", "steps", "width"},
    }[model.kind]
    more = {"image_size": model.image_size, "categories": list(model.categories)}
    return model.model_dump(include=shown) | more


def _report(path: Path) -> dict[str, float]:
    import json

    if not path.is_file():
        return {}
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
        return {str(name): float(value) for name, value in scores.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not the report of a training ({error!r})") from error


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {_word(part)}" for key, part in value.items())


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return f"({_line(value)})"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
