"""Time of one training step of the two objectives, and of sampling, as ratios in one run.

python benchmarks/objectives.py [--device cuda] [--shapes 4] [--points 512]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from pointgen.batch import Batch
from pointgen.config import read_config
from pointgen.models import PointCloudModel, PointFlowConfig

PAPER = read_config("configs/pointflow_airplane.toml").model


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shapes", type=int, default=4)
    parser.add_argument("--points", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    batch = Batch(torch.randn(options.shapes, options.points, 3)).to(options.device)
    variants = {
        "likelihood, Hutchinson (the paper's step)": PAPER,
        "likelihood, exact divergence": with_exact_divergence(PAPER),
        "matching, the same networks": PAPER.model_copy(update={"objective": "matching"}),
    }
    seconds = {
        name: median(step(config, batch, options.device), options.repeats, options.device)
        for name, config in variants.items()
    }
    baseline = next(iter(seconds.values()))
    print(f"| {options.shapes} x {options.points} points, {options.device} | seconds | speed |")
    print("| --- | --- | --- |")
    for name, value in seconds.items():
        print(f"| {name} | {value:.3f} | {baseline / value:.1f}x |")


def with_exact_divergence(config: PointFlowConfig) -> PointFlowConfig:
    """Return the config with exact divergences over points; codes keep the estimate."""
    points = config.points.model_copy(update={"divergence": "exact"})
    return config.model_copy(update={"points": points})


def step(config: PointFlowConfig, batch: Batch, device: str) -> Callable[[], None]:
    """Return a function that takes one step of Adam."""
    model: PointCloudModel = config.build().to(device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam(trained, lr=1e-4)

    def run() -> None:
        adam.zero_grad()
        model.loss(batch).total.backward()
        adam.step()

    return run


def median(function: Callable[[], None], repeats: int, device: str) -> float:
    """Return the median of the seconds a call takes, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 2]


if __name__ == "__main__":
    main()
