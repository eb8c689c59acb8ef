"""Real models as small as they can be, trained by either objective.

Run as a program, it trains one: `python tiny.py OUT OBJECTIVE [die_in_save]`, the latter to be
killed while the state of step 4 is half written. Under `python -m torch.distributed.run` it is
told `several` instead of an objective and trains what `test_processes.py` looks at.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from pointgen.config import Experiment, TrainConfig
from pointgen.datasets import ProceduralConfig
from pointgen.flows.continuous import Solver
from pointgen.models import Loss, PointCloudModel, PointFlowConfig
from pointgen.models.cnf import CnfConfig
from pointgen.networks import ConcatSquashConfig, PointNetConfig
from pointgen.training import state, train
from pointgen.training.loop import fit
from pointgen.training.progress import Silent
from pointgen.training.start import accelerator_for

SETTINGS = {
    "steps": 6, "batch_size": 4, "ema": 0.9, "log_every": 1, "save_every": 2, "validate_every": 2,
}  # fmt: skip
DATA = ProceduralConfig(size=9, val_size=4, num_points=32)


def experiment(objective, **settings):
    """PointFlow with batch norms at both levels; by likelihood with dopri5 and its adjoint."""
    level = CnfConfig(field=ConcatSquashConfig(dims=(8,)), solver=Solver(rtol=1e-3, atol=1e-3))
    model = PointFlowConfig(
        objective=objective,
        code_dim=4,
        prior_draws=2,
        encoder=PointNetConfig(widths=(8,), head=(8,)),
        points=level,
        prior=level,
    )
    return Experiment(model=model, data=DATA, train=TrainConfig(**{**SETTINGS, **settings}))


class Stopping(Silent):
    """Asks the process to stop after a step."""

    def __init__(self, step):
        self._step = step

    def step(self, done):
        if done == self._step:
            signal.raise_signal(signal.SIGTERM)


class Noiseless(PointCloudModel):
    """A model whose gradient is the mean of those of the shapes, whoever computes them."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(3))

    def set_units(self, mean, std):
        pass

    def loss(self, batch):
        return Loss((batch.points - self.mean).square().mean(), {})

    def sample(self, count, num_points, *, generator=None, temperature=1.0, solver=None):
        return self.mean.expand(count, num_points, 3)


def noiseless(out):
    """Train the model without noise, in as many processes as there are."""
    config = TrainConfig(**{**SETTINGS, "lr": 0.1})
    (out / "state").mkdir(parents=True, exist_ok=True)
    shapes = DATA.build("train")
    return fit(
        Noiseless(), shapes, None, config, out,
        accelerator=accelerator_for(config, "cpu"), reporter=Silent(),
    )  # fmt: skip


def several(out):
    """Train in each way that must not depend on the number of processes, or on a stop."""
    noiseless(out / "noiseless")
    for objective in ("matching", "likelihood"):
        tiny = experiment(objective)
        result = train(tiny, out / objective, device="cpu")
        train(tiny, out / f"{objective}-again", device="cpu", reporter=Stopping(4))
        train(tiny, out / f"{objective}-again", device="cpu", resume=True)
        with (out / "mains").open("a") as file:
            file.write(f"{int(result.main)}\n")


def die_in_save(tensors, path, metadata):
    if '"step": 4' in metadata["facts"]:
        Path(path).write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    save_file(tensors, path, metadata=metadata)


if __name__ == "__main__":
    folder, what, *more = sys.argv[1:]
    if more:
        save_file, state.save_file = state.save_file, die_in_save
    if what == "several":
        several(Path(folder))
    else:
        train(experiment(what), folder, device="cpu")
