"""A model and a data set as small as they can be, with everything a resume has to restore.

Run as a program, it trains the model: `python toy.py OUT key=value ...`, with `kill=step` and
`term=step` to end itself by a signal.
"""

import csv
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from pointgen.batch import Item
from pointgen.config import TrainConfig
from pointgen.geometry.draws import standard_noise
from pointgen.models import Loss, PointCloudModel
from pointgen.training.loop import fit
from pointgen.training.progress import Silent
from pointgen.training.start import accelerator_for

TIMES = {"points_per_second", "seconds", "wait"}


class Toy(PointCloudModel):
    """A Gaussian over noisy points, behind a batch norm that keeps statistics."""

    def __init__(self, width=4):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.layer = nn.Linear(3, width)
        self.mean = nn.Parameter(torch.zeros(3))
        self.register_buffer("unit", torch.ones(3))

    def set_units(self, mean, std):
        self.unit.copy_(std)

    def loss(self, batch):
        points = self.norm((batch.points + 0.1 * torch.randn_like(batch.points)).flatten(0, 1))
        near = (points - self.mean).square().mean()
        total = near + self.layer(points).square().mean()
        return Loss(total, {"near": near.detach()})

    def sample(self, count, num_points, *, generator=None, temperature=1.0, solver=None):
        noise = standard_noise((count, num_points, 3), self.mean, generator)
        return self.mean + temperature * noise


class Clouds:
    """Seven shapes: Gaussian blobs around different centres."""

    ids = tuple("abcdefg")

    def __len__(self):
        return len(self.ids)

    def draw(self, index, rng):
        points = rng.normal(size=(16, 3)) + index
        return Item(torch.from_numpy(points).to(torch.get_default_dtype()), id=self.ids[index])

    def __getitem__(self, index):
        return self.draw(index, np.random.default_rng(index))


class Signals(Silent):
    """Sends this process a signal after a step."""

    def __init__(self, number, step):
        self._number, self._step = number, step

    def step(self, done):
        if done == self._step:
            os.kill(os.getpid(), self._number)


SETTINGS = {"steps": 12, "batch_size": 3, "ema": 0.9, "log_every": 2, "save_every": 3}


def run(out, *, model=None, reporter=None, clouds=None, held_out=None, **settings):
    torch.manual_seed(0)
    config = TrainConfig(**{**SETTINGS, **settings})
    (out / "state").mkdir(parents=True, exist_ok=True)
    return fit(
        Toy() if model is None else model,
        clouds or Clouds(),
        held_out,
        config,
        out,
        accelerator=accelerator_for(config, "cpu"),
        reporter=reporter or Silent(),
    )


def outcome(out):
    """All that a run decides: the weights, the state, and the log without its times."""
    with (out / "log.csv").open() as file:
        rows = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]
    files = ("model.safetensors", "best.safetensors", "state/last.safetensors")
    return {name: load_file(out / name) for name in files if (out / name).exists()}, rows


def assert_same(first, second):
    (tensors, rows), (other_tensors, other_rows) = outcome(first), outcome(second)
    assert rows == other_rows
    assert tensors.keys() == other_tensors.keys()
    for file in tensors:
        assert tensors[file].keys() == other_tensors[file].keys()
        for name, tensor in tensors[file].items():
            assert torch.equal(tensor, other_tensors[file][name]), (file, name)


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    options = dict(argument.split("=") for argument in sys.argv[2:])
    kill, term = int(options.pop("kill", 0)), int(options.pop("term", 0))
    reporter = Signals(signal.SIGKILL, kill) if kill else Signals(signal.SIGTERM, term)
    run(
        Path(sys.argv[1]),
        reporter=reporter,
        held_out=Clouds(),
        **{key: int(value) for key, value in options.items()},
    )
