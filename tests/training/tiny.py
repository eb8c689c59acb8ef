"""Real models as small as they can be, trained by either objective.

Run as a program, it trains one: `python tiny.py OUT OBJECTIVE [die_in_save]`, the latter to be
killed while the state of step 4 is half written.
"""

import os
import signal
import sys
from pathlib import Path

from pointgen.config import Experiment, TrainConfig
from pointgen.datasets import ProceduralConfig
from pointgen.flows.solver import Solver
from pointgen.models import PointFlowConfig
from pointgen.models.cnf import CnfConfig
from pointgen.models.flows import NoPrior
from pointgen.networks import ConcatSquashConfig, PointNetConfig
from pointgen.training import state, train
from pointgen.training.progress import Silent

SETTINGS = {
    "steps": 6, "batch_size": 4, "ema": 0.9, "log_every": 1, "save_every": 2, "validate_every": 2,
    "report": False,
}  # fmt: skip
DATA = ProceduralConfig(size=9, val_size=5, num_points=32)


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


def noiseless(**settings):
    """PointFlow whose loss draws no random number, and takes the same steps for every batch."""
    level = CnfConfig(
        field=ConcatSquashConfig(dims=(8,)),
        solver=Solver(method="rk4", steps=2),
        divergence="exact",
    )
    model = PointFlowConfig(
        objective="likelihood",
        posterior="deterministic",
        code_dim=4,
        encoder=PointNetConfig(widths=(8, 8), head=(8,)),
        points=level,
        prior=NoPrior(),
    )
    # Adam divides by the gradient's size, and that of a bias before a batch norm is rounding alone.
    exact = {**SETTINGS, "lr": 0.01, "eps": 1e-3, **settings}
    return Experiment(model=model, data=DATA, train=TrainConfig(**exact))


def die_in_save(tensors, path, metadata):
    if '"step": 4' in metadata["facts"]:
        Path(path).write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    save_file(tensors, path, metadata=metadata)


if __name__ == "__main__":
    folder, what, *more = sys.argv[1:]
    if more:
        save_file, state.save_file = state.save_file, die_in_save
    train(experiment(what), folder, device="cpu")
