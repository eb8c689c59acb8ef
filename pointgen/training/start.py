"""From an experiment and a folder to a training: everything before the loop."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs

from pointgen.config import Experiment, TrainConfig
from pointgen.training.checkpoint import load_weights
from pointgen.training.folder import check_folder, claimed
from pointgen.training.loop import Result, fit
from pointgen.training.progress import Reporter, Silent
from pointgen.training.stream import Use, mix, share_size

__all__ = ["accelerator_for", "train"]

# The other processes wait while the main one samples the meshes of a large data set, which takes
# longer than the 10 minutes that NCCL waits by default. Crashed ones are ended by the launcher.
WAIT = timedelta(hours=24)


def train(
    experiment: Experiment,
    out: Path | str,
    *,
    resume: bool = False,
    init: Path | str | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    reporter: Reporter | None = None,
) -> Result:
    """Train a model into the folder of a run.

    The first Ctrl-C or SIGTERM ends the training cleanly after the step it is in.

    Args:
        experiment: what to do; relative paths in it are taken from the current folder.
        out: the run's folder.
        resume: continue the run in `out`, bit for bit, where its last state left off; where
            there is none yet, begin.
        init: run or file of weights to start from, of the same architecture; not with `resume`.
        device: where to train; several processes are started by `accelerate launch`.
        reporter: told how it goes.

    Raises:
        RunError: The folder cannot be used, or weights do not fit.
        TrainingError: The loss or its gradient is not finite, or nothing can be saved.
        ValueError: The config asks for what the machine does not have, or `init` and `resume`
            are both given.
    """
    if resume and init is not None:
        raise ValueError("--init starts a new run, --resume continues one: give one of them")
    out, experiment = Path(out), experiment.located()
    accelerator = accelerator_for(experiment.train, device)
    share_size(experiment.train.batch_size, accelerator.num_processes)  # before anything is written
    with _matmul_precision("high" if experiment.train.tf32 else "highest"):
        main = accelerator.is_main_process
        reporter = (reporter if main else None) or Silent()
        try:
            if main:  # once before the data, which may take long, and once when it is written to
                check_folder(out, experiment, resume=resume)
            train_into = _prepared(experiment, accelerator, init, reporter)
            with claimed(out, experiment, resume=resume) if main else nullcontext():
                return train_into(out)
        finally:
            reporter.end()


def accelerator_for(config: TrainConfig, device: str) -> Accelerator:
    """Return the engine for a device: `auto` (CUDA where there is some), `cpu` or `cuda`.

    Raises:
        ValueError: The machine has no such device, or the device no such precision.
    """
    cuda = torch.cuda.is_available()
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: expected auto, cpu or cuda, got {device}")
    if device == "cuda" and not cuda:
        raise ValueError("device: cuda was asked for, but this machine or this torch has none")
    on_cpu = device == "cpu" or not cuda
    if on_cpu and config.precision == "fp16":
        raise ValueError("train.precision: fp16 needs a CUDA device; bf16 and fp32 do not")
    # accelerate keeps one global state and refuses to change it, but a notebook may well train
    # first in fp32 and then in bf16. A process group that is already running is found again.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        mixed_precision="no" if config.precision == "fp32" else config.precision,
        dynamo_backend="inductor" if config.compile else "no",
        cpu=on_cpu,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=WAIT)],
    )
    if accelerator.num_processes > 1:
        atexit.register(_end_process_group)
    return accelerator


def _end_process_group() -> None:
    """End the group's threads before the interpreter goes, which else aborts now and then.

    Not sooner: a process may train more than once.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _matmul_precision(precision: str) -> Iterator[None]:
    """Set torch's precision of fp32 matrix products for a while: it is the whole process's."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _prepared(
    experiment: Experiment,
    accelerator: Accelerator,
    init: Path | str | None,
    reporter: Reporter,
) -> Callable[[Path], Result]:
    """Return what trains into a folder, once data and weights are found good."""
    config = experiment.train
    with accelerator.main_process_first():  # which may fill a cache for the others
        build, prepare = experiment.data.build, reporter.prepare
        shapes = build("train", progress=prepare)
        held_out = build("val", progress=prepare) if config.validate_every else None
    torch.manual_seed(mix(config.seed, Use.WEIGHTS))
    model = experiment.model.build()
    units = shapes.standardization()
    model.set_units(torch.as_tensor(units.mean), torch.as_tensor(units.std))
    if init is not None:
        load_weights(model, init)  # its units come with it
    return lambda out: fit(
        model, shapes, held_out, config, out, accelerator=accelerator, reporter=reporter
    )
