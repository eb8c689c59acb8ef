"""Wall clock to equal held-out quality: flow matching against likelihood, one curve each.

python benchmarks/objectives.py [--seconds 300] [--shapes 100] [--points 1024]

The same networks (the paper's kind of field, 128 wide) on the demo's chairs. The two take turns of
some seconds each in one process, and each clock runs only in its own turns, so that a busy machine
slows both alike. Judged are the averaged weights, outside the clocks, by the same solver.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import torch
from held_out import HeldOut

from pointgen.batch import Batch
from pointgen.config import Experiment, TrainConfig, read_config
from pointgen.datasets import CloudDataset
from pointgen.flows.solver import Solver
from pointgen.models.pointflow import PointFlow
from pointgen.training.ema import Average
from pointgen.training.stream import Draws, Shares, batches

FIELD = '{ kind = "concatsquash", dims = [128, 128, 128] }'
SOLVER = "{ rtol = 1e-3, atol = 1e-3 }"  # of training: what a fair likelihood run would choose
JUDGE = Solver(rtol=1e-4, atol=1e-4)
TURN = 15.0  # seconds


def main() -> None:
    """Print a row for each mark of the clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--shapes", type=int, default=100)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    held_out = held_out_shapes(options.shapes, options.points, device)
    data = experiment("matching").data.build("train")
    trainings = {
        objective: Training(experiment(objective), data, device)
        for objective in ("matching", "likelihood")
    }
    heads = [f"{name}: {what}" for name in trainings for what in ("steps", "CD x 1e3", "1-NNA")]
    print(f"| seconds | {' | '.join(heads)} |\n| --- |{' --- |' * len(heads)}")
    for mark in marks(options.seconds):
        while any(training.seconds < mark for training in trainings.values()):
            for training in trainings.values():
                training.run(min(mark, training.seconds + TURN))
        cells = []
        for training in trainings.values():
            quality = held_out.judge(training.average.model, JUDGE)
            cells += [
                str(training.steps),
                f"{1e3 * quality.reconstruction:.2f}",
                f"{100 * quality.accuracy:.1f} %",
            ]
        print(f"| {mark:.0f} | {' | '.join(cells)} |", flush=True)


def marks(seconds: float) -> Iterator[float]:
    """Yield the times to judge at: each twice the one before, the last at the end."""
    mark = seconds
    while mark > TURN:
        mark /= 2
    while mark <= seconds:
        yield mark
        mark *= 2


def experiment(objective: str) -> Experiment:
    """Return the demo's experiment with the paper's kind of networks and a constant rate."""
    return read_config(
        "configs/quickstart.toml",
        [
            f"model.objective={objective}",
            f"model.points={{ batch_norm = false, field = {FIELD}, solver = {SOLVER} }}",
            f"model.prior={{ batch_norm = false, field = {FIELD}, solver = {SOLVER} }}",
            "model.prior.kind=cnf",
            "train.schedule=constant",
        ],
    )


def held_out_shapes(shapes: int, points: int, device: torch.device) -> HeldOut:
    """Return the test shapes of the demo."""
    data = experiment("matching").data.model_copy(update={"num_points": points}).build("test")
    items = [data[index] for index in range(shapes)]
    return HeldOut(
        torch.stack([item.points for item in items]).to(device),
        torch.stack([item.target for item in items]).to(device),
    )


class Training:
    """A training that can be let go on for a while; `seconds` is what its steps have taken."""

    def __init__(self, what: Experiment, data: CloudDataset, device: torch.device) -> None:
        torch.manual_seed(0)
        model = what.model.build()
        assert isinstance(model, PointFlow)
        units = data.standardization()
        model.set_units(torch.from_numpy(units.mean), torch.from_numpy(units.std))
        self.model = model.to(device).train()
        self.average = Average(self.model, what.train.ema)
        self.config: TrainConfig = what.train
        self.adam = torch.optim.Adam(self.model.parameters(), lr=what.train.lr, fused=True)
        shares = Shares(0, 10**6, what.train.batch_size)
        self.stream: Iterator[Batch] = batches(
            Draws(data, what.train.seed), shares, workers=0, pin_memory=False
        )
        self.device, self.seconds, self.steps = device, 0.0, 0

    def run(self, until: float) -> None:
        """Train until the clock shows so many seconds."""
        while self.seconds < until:
            start = time.perf_counter()
            batch = next(self.stream).to(self.device)
            for group in self.adam.param_groups:
                group["lr"] = self.config.lr * min(1, (self.steps + 1) / self.config.warmup)
            self.adam.zero_grad()
            self.model.loss(batch).total.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
            self.adam.step()
            self.average.update(self.steps)
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            self.steps += 1
            self.seconds += time.perf_counter() - start


if __name__ == "__main__":
    main()
