"""How many evaluations a sample needs: quality by solver, with and without paired noise.

python benchmarks/few_steps.py --kd RUN --none RUN [--shapes 100] [--points 1024]

The runs are one config trained with `model.pairing` "kd" and "none", as by
pointgen train configs/quickstart.toml --set 'model.pairing="none"' --out RUN
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from held_out import HeldOut

from pointgen.flows.runge_kutta import TABLEAUS
from pointgen.flows.solver import Solver
from pointgen.models.pointflow import PointFlow
from pointgen.training.checkpoint import load, read_run

BUDGETS = (1, 2, 4, 8, 16, 32)
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-5)


def main() -> None:
    """Print one table in Markdown: a row for each solver, two columns for each pairing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kd", type=Path, required=True)
    parser.add_argument("--none", type=Path, required=True)
    parser.add_argument("--shapes", type=int, default=100)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    data = read_run(options.kd).data.model_copy(update={"num_points": options.points})
    test = data.build("test")
    items = [test[index] for index in range(options.shapes)]
    given = torch.stack([item.points for item in items]).to(options.device)
    wanted = torch.stack([item.target for item in items]).to(options.device)
    held_out = HeldOut(given, wanted)
    models = {"kd": options.kd, "none": options.none}
    loaded = {name: load(run, device=options.device) for name, run in models.items()}
    heads = [f"{what}, {name}" for name in models for what in ("evaluations", "CD x 1e3", "1-NNA")]
    print(f"| solver | {' | '.join(heads)} |\n| --- |{' --- |' * len(heads)}")
    for title, solver in solvers():
        cells = []
        for model in loaded.values():
            assert isinstance(model, PointFlow)
            quality = held_out.judge(model, solver)
            cells += [
                str(quality.evaluations),
                f"{1e3 * quality.reconstruction:.2f}",
                f"{100 * quality.accuracy:.1f} %",
            ]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


def solvers() -> Iterator[tuple[str, Solver]]:
    """Yield every way of spending few evaluations, and the adaptive methods."""
    for method in ("euler", "midpoint", "heun", "rk4"):
        stages = len(TABLEAUS[method].nodes)
        for budget in BUDGETS:
            if budget % stages == 0:
                yield (
                    f"{method}, {budget // stages} steps",
                    Solver(method=method, steps=budget // stages),
                )
    for method in ("bosh3", "dopri5"):
        for tolerance in TOLERANCES:
            yield (
                f"{method}, tolerance {tolerance:g}",
                Solver(method=method, rtol=tolerance, atol=tolerance),
            )


if __name__ == "__main__":
    main()
