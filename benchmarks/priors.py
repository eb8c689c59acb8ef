"""Flows over codes, as priors of one PointFlow: each is fitted to the codes of the same shapes.

python benchmarks/priors.py RUN [--steps 1500] [--shapes 100] [--points 1024] [--png FILE]

RUN is any trained PointFlow with a Gaussian posterior, as by `pointgen train
configs/quickstart.toml`. Its encoder and its flow over points stay as they are, so that priors
differ in nothing but themselves.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from pydantic import TypeAdapter
from torch import Tensor

from pointgen.flows.base import Chain, Flow, StandardNormal
from pointgen.flows.continuous import CNF
from pointgen.flows.glow import ActNorm
from pointgen.flows.matching import matching_loss
from pointgen.geometry.distances import pairwise_chamfer
from pointgen.metrics.scores import nearest_neighbour_accuracy
from pointgen.models.flows import PriorConfig, build_flow
from pointgen.models.pointflow import PointFlow
from pointgen.models.posterior import Posterior
from pointgen.training.checkpoint import load, read_run
from pointgen.view.stack import stack
from pointgen.view.still import draw as still

BATCH, RATE = 256, 2e-3
FIELD = {"kind": "residual", "width": 128, "depth": 3, "condition_width": 128, "octaves": 0}
CNF_PRIOR = {
    "kind": "cnf",
    "batch_norm": False,
    "field": FIELD,
    "solver": {"method": "midpoint", "steps": 6},
}
PRIORS = {
    "planar": {"kind": "planar", "layers": 32},
    "radial": {"kind": "radial", "layers": 32},
    "Sylvester": {"kind": "sylvester"},
    "NICE": {"kind": "nice"},
    "RealNVP": {"kind": "realnvp"},
    "Glow": {"kind": "glow"},
    "MAF": {"kind": "maf"},
    "IAF": {"kind": "iaf"},
    "spline": {"kind": "spline"},
    "CNF by matching": CNF_PRIOR,
    "CNF by likelihood (FFJORD)": CNF_PRIOR,
}
DEAR = {"IAF": 10, "CNF by likelihood (FFJORD)": 4}  # a step of these takes so many times longer


def main() -> None:
    """Print one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--shapes", type=int, default=100)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--png", type=Path, help="also draw six samples of each prior")
    options = parser.parse_args()
    model = load(options.run)
    assert isinstance(model, PointFlow)
    config = read_run(options.run).data.model_copy(update={"num_points": options.points})
    train, test = config.build("train"), config.build("test")
    with torch.no_grad():
        shapes = torch.arange(len(train)).split(50)
        parts = [model.posterior(torch.stack([train[i].points for i in s])) for s in shapes]
        given = model.posterior(torch.stack([test[i].points for i in range(options.shapes)]))
    assert given.log_var is not None
    codes = Posterior(*(torch.cat([getattr(p, n) for p in parts]) for n in ("mean", "log_var")))
    wanted = torch.stack([test[i].target for i in range(options.shapes)])
    between = pairwise_chamfer(wanted, wanted)
    print("| prior | parameters | steps | ms a step | KL, nats | 1-NNA | ms a code |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    dim = codes.mean.shape[-1]
    fitted = Flow(Chain([ActNorm(dim)]), StandardNormal(dim))
    flows = {"N(0, I)": Flow(Chain([]), StandardNormal(dim)), "diagonal Gaussian": fitted}
    for name, choice in PRIORS.items():
        torch.manual_seed(0)
        flows[name] = build_flow(TypeAdapter(PriorConfig).validate_python(choice), dim, 0)
    pictures = {}
    for name, flow in flows.items():
        torch.manual_seed(0)
        steps = options.steps // DEAR.get(name, 1)
        seconds = fit(flow, codes, steps, matching=name == "CNF by matching")
        kl = divergence(flow, given)
        drawn, spent = draw(flow, options.shapes)
        samples = torch.cat(
            [
                model.decode(part, options.points, generator=torch.Generator().manual_seed(place))
                for place, part in enumerate(drawn.split(25))
            ]
        )
        pictures[name] = still(samples[:6].detach().numpy(), columns=6, size=160)
        accuracy = nearest_neighbour_accuracy(
            pairwise_chamfer(samples, samples), pairwise_chamfer(samples, wanted), between
        )
        count = sum(p.numel() for p in flow.parameters())
        print(
            f"| {name} | {count:,} | {steps if count else 0} | {1e3 * seconds / steps:.1f} | "
            f"{kl:.2f} | {100 * accuracy:.1f} % | {1e3 * spent / options.shapes:.2f} |",
            flush=True,
        )
    if options.png is not None:
        stack(pictures).save(options.png)


def fit(flow: Flow, codes: Posterior, steps: int, *, matching: bool) -> float:
    """Fit a flow to draws of the posteriors of all shapes; return the seconds that took."""
    if not list(flow.parameters()):
        return 0.0
    flow.train()
    optimizer = torch.optim.Adam(flow.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    began = time.perf_counter()
    for _ in range(steps):
        rows = torch.randint(len(codes.mean), (BATCH,))
        assert codes.log_var is not None
        code, _ = Posterior(codes.mean[rows], codes.log_var[rows]).draw()
        if matching:
            loss = matching_loss(flow.transform, code).mean()
        else:
            loss = -flow.log_prob(code).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 10.0)
        optimizer.step()
        schedule.step()
    flow.eval()
    return time.perf_counter() - began


@torch.no_grad()
def divergence(flow: Flow, given: Posterior, draws: int = 16) -> float:
    """Return E_q[log q(z | X) - log p(z)] over held-out shapes, nats: what codes cost."""
    fine_solver(flow)
    total = torch.zeros(())
    for _ in range(draws):
        code, log_q = given.draw()
        assert log_q is not None
        total = total + (log_q - flow.log_prob(code)).mean() / draws
    return float(total)


@torch.no_grad()
def draw(flow: Flow, count: int) -> tuple[Tensor, float]:
    """Draw codes, and return the seconds that took."""
    began = time.perf_counter()
    codes = flow.sample((count,), generator=torch.Generator().manual_seed(1))
    return codes, time.perf_counter() - began


def fine_solver(flow: Flow) -> None:
    """Let densities of a CNF be exact, whatever it was trained by; samples take 8 steps."""
    for part in flow.modules():
        if isinstance(part, CNF):
            part.sampler = part.solver.model_copy(update={"steps": 8})
            part.solver = part.solver.model_copy(update={"steps": 32})


if __name__ == "__main__":
    main()
