"""Time and memory of a training step and of sampling, against the published recipe, in one run.

python benchmarks/speed.py [--device cuda] [--shapes 4] [--points 512]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable

import torch
from recipe import as_published

from pointgen.batch import Batch
from pointgen.config import read_config
from pointgen.flows.continuous import compile_fields
from pointgen.models.pointflow import PointFlow, PointFlowConfig

PAPER = read_config("configs/pointflow_airplane.toml").model
RESIDUAL = read_config("configs/matching_airplane.toml").model
BASELINE, COMPILED = "published recipe", ", compiled"


def main() -> None:
    """Measure each variant in a process of its own and print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shapes", type=int, default=4)
    parser.add_argument("--points", type=int, default=512)
    parser.add_argument("--sampled-points", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for title, kinds, points, of_one in (
        ("training step", steps(), options.points, step),
        ("sampling", samplings(), options.sampled_points, sampling),
    ):
        print(f"\n| {title}, {options.shapes} x {points} points | seconds | speed | peak MiB |")
        print("| --- | --- | --- | --- |")
        baseline = None
        for name, config in kinds.items():
            job = (of_one, name, config, options.shapes, points, options.repeats, options.device)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, memory = pool.apply(measure, job)
            baseline = baseline or seconds
            print(f"| {name} | {seconds:.3f} | {baseline / seconds:.1f}x | {memory:.0f} |")


def steps() -> dict[str, PointFlowConfig]:
    """Return the variants of a training step, the baseline first."""
    table = {BASELINE: PAPER}
    for divergence in ("hutchinson", "exact"):
        for gradient in ("steps", "adjoint", "auto"):
            points = PAPER.points.model_copy(update={"divergence": divergence})
            config = PAPER.model_copy(update={"points": points})
            table[f"likelihood, {divergence}, {gradient}"] = with_gradient(config, gradient)
    matching = PAPER.model_copy(update={"objective": "matching"})
    for name, config in {"matching": matching, "matching, residual field": RESIDUAL}.items():
        table |= {name: config, name + COMPILED: config}
    return table


def samplings() -> dict[str, PointFlowConfig]:
    """Return the variants of sampling, the baseline first."""
    return {BASELINE: PAPER, "pointgen": PAPER}


def with_gradient(config: PointFlowConfig, gradient: str) -> PointFlowConfig:
    """Return the config with both levels differentiated in the given way."""
    levels = {}
    for name, level in (("points", config.points), ("prior", config.prior)):
        solver = level.solver.model_copy(update={"gradient": gradient})
        levels[name] = level.model_copy(update={"solver": solver})
    return config.model_copy(update=levels)


def step(model: PointFlow, batch: Batch) -> Callable[[], None]:
    """Return a function that takes one step of Adam."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam(trained, lr=1e-4)

    def run() -> None:
        adam.zero_grad()
        model.loss(batch).total.backward()
        adam.step()

    return run


def sampling(model: PointFlow, batch: Batch) -> Callable[[], None]:
    """Return a function that draws as many clouds as the batch has."""
    model.eval()
    count, points, _ = batch.points.shape
    return lambda: model.sample(count, points)


def measure(
    of_one: Callable[[PointFlow, Batch], Callable[[], None]],
    name: str,
    config: PointFlowConfig,
    shapes: int,
    points: int,
    repeats: int,
    device: str,
) -> tuple[float, float]:
    """Return the median seconds of a call after two that warm up, and the peak memory in MiB."""
    torch.manual_seed(0)
    model = config.build()
    model = (as_published(model) if name == BASELINE else model).to(device)
    if name.endswith(COMPILED):
        compile_fields(model)
    batch = Batch(torch.randn(shapes, points, 3)).to(device)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    function = of_one(model, batch)
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    if device == "cuda":
        memory = torch.cuda.max_memory_allocated() / 2**20
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    return sorted(times[2:])[repeats // 2], memory


if __name__ == "__main__":
    main()
