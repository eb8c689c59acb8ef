"""Flows that the posterior goes through: the same small PointFlow trained with each, by likelihood.

python benchmarks/posteriors.py [--steps 1000] [--shapes 100] [--points 32]

Few points say little of a shape, so that what the posterior can express matters. Points and prior
are flows of couplings, so that a step solves no ODE. The runs stay in `runs/posteriors`.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from pointgen.config import Experiment, read_config
from pointgen.models.pointflow import PointFlow
from pointgen.training.checkpoint import load
from pointgen.training.log import history
from pointgen.training.start import train

POSTERIORS = {
    "Gaussian": "",
    "planar": 'kind = "planar"',
    "radial": 'kind = "radial"',
    "Sylvester": 'kind = "sylvester"',
    "NICE": 'kind = "nice", layers = 4',
    "RealNVP": 'kind = "realnvp", layers = 4',
    "Glow": 'kind = "glow", layers = 4',
    "IAF": 'kind = "iaf", layers = 2',
    "IAF, gated": 'kind = "iaf", layers = 2, gated = true',
    "spline": 'kind = "spline", layers = 4',
}
DRAWS = 64  # codes that the evidence is weighted over


def main() -> None:
    """Print one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--shapes", type=int, default=100)
    parser.add_argument("--points", type=int, default=32)
    options = parser.parse_args()
    print("| posterior | parameters | ms a step | bound | evidence | gap |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, flow in POSTERIORS.items():
        what = experiment(flow, options.steps, options.points)
        run = Path("runs/posteriors") / name.replace(", ", "_")
        train(what, run, resume=True, device="cpu")
        seconds = history(run / "log.csv")["seconds"][-1]
        model = load(run)
        assert isinstance(model, PointFlow)
        test = what.data.build("test")
        clouds = torch.stack([test[index].points for index in range(options.shapes)])
        bound, evidence = judged(model, clouds)
        count = 0 if model.bend is None else sum(p.numel() for p in model.bend.parameters())
        print(
            f"| {name} | {count:,} | {1e3 * float(seconds) / options.steps:.0f} | {bound:.2f} | "
            f"{evidence:.2f} | {evidence - bound:.2f} |",
            flush=True,
        )


def experiment(flow: str, steps: int, points: int) -> Experiment:
    """Return the training with one posterior."""
    return read_config(
        "configs/quickstart.toml",
        [
            'model.objective="likelihood"',
            "model.encoder={widths=[64,128],head=[128]}",
            'model.points={kind="realnvp",network={width=64}}',
            'model.prior={kind="glow",layers=4}',
            *([f"model.posterior_flow={{{flow}}}"] if flow else []),
            f"data.num_points={points}",
            f"train.steps={steps}",
            "train.report=false",
            "train.preview_every=0",
            "train.log_every=100",
        ],
    )


@torch.no_grad()
def judged(model: PointFlow, clouds: Tensor) -> tuple[float, float]:
    """Return the mean bound of log p(X), and the importance-weighted estimate of it, nats."""
    torch.manual_seed(0)
    posterior, weights = model.posterior(clouds), []
    for _ in range(DRAWS):
        code, log_q = posterior.draw()
        assert log_q is not None
        weights.append(model.log_prob(clouds, code) + model.log_prior(code) - log_q)
    log_w = torch.stack(weights)
    evidence = log_w.logsumexp(0) - math.log(DRAWS)
    return float(log_w.mean()), float(evidence.mean())


if __name__ == "__main__":
    main()
