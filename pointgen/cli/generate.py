"""`pointgen generate`: new clouds out of a trained model."""

from __future__ import annotations

from typing import Annotated

import typer

from pointgen.cli.inputs import label_of
from pointgen.cli.options import (
    Count,
    Device,
    Force,
    Guidance,
    Json,
    Out,
    Points,
    Run,
    Seed,
    Steps,
    Weights,
)
from pointgen.cli.sampling import sample, solver_with, told
from pointgen.cli.together import bar, together
from pointgen.cli.writing import write_results
from pointgen.devices import torch_device

__all__ = ["generate"]


def generate(
    run: Run,
    out: Out,
    count: Count = 16,
    points: Points = None,
    seed: Seed = 0,
    steps: Steps = None,
    temperature: Annotated[
        float,
        typer.Option(min=0.0, help="Spread of the shape noise: below 1 more typical, less varied."),
    ] = 1.0,
    category: Annotated[
        str | None, typer.Option(help="Only of this category, for a model that was told them.")
    ] = None,
    guidance: Guidance = 1.0,
    frames: Annotated[
        int | None,
        typer.Option(
            min=2, max=1000, help="Keep the way from noise too, so many frames of it (.npz)."
        ),
    ] = None,
    weights: Weights = "model",
    device: Device = "auto",
    force: Force = False,
    json: Json = False,
) -> None:
    """Generate new clouds."""
    import torch

    from pointgen.files import check_frames_target, check_target
    from pointgen.training.checkpoint import load

    with together() as share:
        if share.main:
            (check_target if frames is None else check_frames_target)(out, force=force)
        model = load(run, device=torch_device(device), weights=weights)
        if category is None and guidance != 1:
            raise ValueError("--guidance: expected --category, to be guided by")
        condition = None
        if category is not None:
            condition = told(label_of(run, category), guidance, model)
        with bar("generating", share) as advance:
            clouds = sample(
                model,
                count,
                points,
                seed=seed,
                temperature=temperature,
                solver=solver_with(steps),
                condition=condition,
                frames=frames,
                share=share,
                advance=advance,
            )
        evaluations = int(share.sum(torch.tensor(model.evaluations)))
    if share.main:
        more = {"run": str(run), "seed": seed, "evaluations": evaluations}
        write_results(out, clouds, None, force=force, json=json, more=more)
