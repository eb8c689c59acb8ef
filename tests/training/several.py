"""What several processes do for `test_processes.py`, started by `python -m torch.distributed.run`.

`several.py TASK ARGUMENT...`, where TASK is a function below.
"""

import os
import signal
import sys
from pathlib import Path

import tiny
import torch
from safetensors.torch import save_file

from pointgen.cli.app import main
from pointgen.flows.solver import SolveError
from pointgen.models import Loss
from pointgen.models.pointflow import PointFlow
from pointgen.training import train

RANK = int(os.environ["RANK"])


def whole(out):
    """Train in each way that must not depend on the number of processes, or on a stop."""
    seen = watch_losses(lambda calls, loss: loss)
    train(tiny.noiseless(), out / "noiseless", device="cpu")
    train(tiny.noiseless(batch_size=2), out / "one-each", device="cpu")
    held = {"model": seen[True].state_dict(), "average": seen[False].state_dict()}
    tensors = {f"{of}.{name}": t for of, state in held.items() for name, t in state.items()}
    save_file(tensors, out / f"of-process-{RANK}.safetensors")
    for objective in ("matching", "likelihood"):
        result = train(tiny.experiment(objective), out / objective, device="cpu")
        stopping = tiny.Stopping(3)
        train(
            tiny.experiment(objective), out / f"{objective}-again", device="cpu", reporter=stopping
        )
        train(tiny.experiment(objective), out / f"{objective}-again", device="cpu", resume=True)
    with (out / "mains").open("a") as file:
        file.write(f"{int(result.main)}\n")


def killed(out):
    """Be killed in the fifth step."""

    def kill(calls, loss):
        if calls == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss

    watch_losses(kill)
    train(tiny.experiment("likelihood"), out, device="cpu")


def resumed(out):
    """Go on, after `killed`."""
    train(tiny.experiment("likelihood"), out, device="cpu", resume=True)


def failing(out, how):
    """Fail on the command line, in step 3 of the second process alone."""

    def fail(calls, loss):
        if RANK == 0 or calls <= 3:
            return loss
        if how == "solve":
            raise SolveError("the step underflowed")
        return Loss(loss.total * torch.nan, loss.terms)

    watch_losses(fail)
    config = out / f"{how}.toml"
    command_line("train", config, "--out", out / how, "--device", "cpu")


def command_line(*arguments):
    """Do what the command line does."""
    sys.argv = ["pointgen", *map(str, arguments)]
    main()


def watch_losses(change):
    """Let `change` see, and replace, every loss of a training.

    Return the first model in training, by True, and the first one that was validated, by False.
    """
    models, loss, calls = {}, PointFlow.loss, 0

    def watched(model, batch):
        nonlocal calls
        models.setdefault(model.training, model)
        calls += model.training
        return change(calls, loss(model, batch)) if model.training else loss(model, batch)

    PointFlow.loss = watched
    return models


if __name__ == "__main__":
    task, place, *more = sys.argv[1:]
    globals()[task](Path(place), *more)
