"""Flows over points: runs that differ in them, on shapes that none has seen.

python benchmarks/decoders.py RUN... [--shapes 100] [--points 1024]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from held_out import HeldOut

from pointgen.models.pointflow import PointFlow
from pointgen.training.checkpoint import load, read_run
from pointgen.training.log import history

SCORED, SPARSE = 20, 256  # shapes and points whose density is integrated: an exact one is dear


def main() -> None:
    """Print one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--shapes", type=int, default=100)
    parser.add_argument("--points", type=int, default=1024)
    options = parser.parse_args()
    data = read_run(options.runs[0]).data.model_copy(update={"num_points": options.points})
    test = data.build("test")
    items = [test[index] for index in range(options.shapes)]
    given = torch.stack([item.points for item in items])
    wanted = torch.stack([item.target for item in items])
    held_out = HeldOut(given, wanted)
    heads = ("points", "parameters", "ms a step", "nats a point", "CD x 1e3", "1-NNA", "ms a cloud")
    print(f"| run | {' | '.join(heads)} |\n| --- |{' --- |' * len(heads)}")
    for run in options.runs:
        model = load(run)
        assert isinstance(model, PointFlow)
        quality = held_out.judge(model)
        log = history(run / "log.csv")
        with torch.no_grad():
            codes = model.encode(given)
            log_px = model.points.log_prob(wanted[:SCORED, :SPARSE], codes[:SCORED, None]).mean()
            began = time.perf_counter()
            model.decode(codes, options.points)
            spent = (time.perf_counter() - began) / options.shapes
        cells = (
            model.config.points.kind,
            f"{sum(p.numel() for p in model.points.parameters()):,}",
            f"{1e3 * float(log['seconds'][-1]) / float(log['step'][-1]):.0f}",
            f"{log_px:.2f}",
            f"{1e3 * quality.reconstruction:.2f}",
            f"{100 * quality.accuracy:.1f} %",
            f"{1e3 * spent:.1f}",
        )
        print(f"| {run.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
