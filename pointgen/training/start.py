"""From an experiment and a folder to a training: everything before the loop."""

from __future__ import annotations

import atexit
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import (
    DistributedType,
    GradientAccumulationPlugin,
    InitProcessGroupKwargs,
)
from pydantic import ValidationError

from pointgen.config import Experiment, TrainConfig
from pointgen.datasets import CloudDataset
from pointgen.devices import torch_device
from pointgen.models import HybridConfig, InterpretationConfig, PointFlowConfig
from pointgen.models.around import pointflow_of
from pointgen.models.interpretation import Interpretation
from pointgen.networks import ImageBackbone
from pointgen.processes import node_by_node
from pointgen.training.checkpoint import load, load_weights, read_run
from pointgen.training.folder import check_folder, claimed
from pointgen.training.loop import Result, fit
from pointgen.training.progress import Reporter, Silent
from pointgen.training.report import is_written, write_report
from pointgen.training.stream import Use, mix, share_size

__all__ = ["accelerator_for", "train"]

# How long the others wait while one process samples the meshes of a large data set.
DATA_WAIT = timedelta(hours=24)
# How long they wait for each other otherwise, as when the main one saves or draws. Longer than the
# 10 minutes of NCCL, which a slow disk may take; a launcher ends them sooner when one has crashed.
WAIT = timedelta(hours=1)
# One process a GPU, each with the whole model: what else accelerate can do would need other states.
DATA_PARALLEL = frozenset(
    {DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU}
)


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
        device: where to train. Several processes are started by `accelerate launch` or `torchrun`:
            they share each batch, and only the main one reads and writes in `out`.
        reporter: told how it goes.

    Raises:
        RunError: The folder cannot be used, or weights do not fit.
        TrainingError: The loss or its gradient is not finite, or nothing can be saved.
        ValueError: The config asks for what the machine does not have, or `init` and `resume`
            are both given.
    """
    if resume and init is not None:
        raise ValueError("--init starts a new run, --resume continues one: give one of them")
    out, experiment = Path(out), _known(experiment.located())
    accelerator = accelerator_for(experiment.train, device)
    share_size(experiment.train.batch_size, accelerator.num_processes)  # before anything is written
    with _tf32(experiment.train.tf32):
        main = accelerator.is_main_process
        reporter = (reporter if main else None) or Silent()
        try:
            _say_other_precision(experiment.train, reporter)
            if main:  # once before the data, which may take long, and once when it is written to
                check_folder(out, experiment, resume=resume)
            train_into = _prepared(experiment, accelerator, init, reporter)
            with claimed(out, experiment, resume=resume) if main else nullcontext():
                result = train_into(out)
        finally:
            reporter.end()
    # After an error the others are not there to end the group with.
    atexit.register(_end_process_group)
    return result


def accelerator_for(config: TrainConfig, device: str) -> Accelerator:
    """Return the engine for a device: `auto` (CUDA where there is some), `cpu` or `cuda`.

    Raises:
        ValueError: The machine has no such device, the device no such precision, or accelerate is
            told to split the model over processes.
    """
    on = torch_device(device)
    if on != "cuda" and config.precision == "fp16":
        raise ValueError("train.precision: fp16 needs a CUDA device; bf16 and fp32 do not")
    # accelerate keeps one global state and refuses to change it, but a notebook may well train
    # first in fp32 and then in bf16. A process group that is already running is found again.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        mixed_precision="no" if config.precision == "fp32" else config.precision,
        dynamo_backend="no",  # `fit` compiles what gains by it
        cpu=on == "cpu",
        # Given, so that an environment for other programs does not scale the gradient.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=WAIT)],
    )
    if accelerator.distributed_type not in DATA_PARALLEL:
        raise ValueError(
            "accelerate: expected a whole model in every process (multi-GPU), got "
            f"{accelerator.distributed_type.value}; run `accelerate config` again"
        )
    return accelerator


def _end_process_group() -> None:
    """End the group's threads before the interpreter goes, which else aborts now and then.

    Not sooner: a process may train more than once.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _say_other_precision(config: TrainConfig, reporter: Reporter) -> None:
    """Say that the run's config decides, where `accelerate launch` was told otherwise."""
    told = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if told not in ("no", config.precision):
        reporter.say(f"train.precision is {config.precision}: --mixed_precision {told} is ignored")


def _known(experiment: Experiment) -> Experiment:
    """Return an experiment with what its model is made of, so that a run holds all of it.

    That is the model of the run that it interprets, or its published image encoder.

    Raises:
        RunError: That is no run.
        ValueError: It has no codes to interpret, or its shapes stand in other frames; or the image
            encoder cannot be had.
    """
    model = experiment.model
    if isinstance(model, PointFlowConfig) and model.condition is not None:
        model = model.model_copy(update={"condition": model.condition.found()})
        return experiment.model_copy(update={"model": model})
    if not isinstance(model, InterpretationConfig) or model.run is None:
        return experiment
    found = read_run(model.run)
    inside = found.model.flow if isinstance(found.model, HybridConfig) else found.model
    if not isinstance(inside, PointFlowConfig):
        raise ValueError(
            f"model.run: expected a run of a pointflow, whose codes can be interpreted, got "
            f"{model.run} of kind {found.model.kind}"
        )
    if found.data.normalize != experiment.data.normalize:
        raise ValueError(
            f"data.normalize: expected {found.data.normalize}, as in {model.run}, got "
            f"{experiment.data.normalize}"
        )
    tree = model.model_dump() | {"flow": inside.model_dump()}  # checked anew: do the sizes fit?
    try:
        known = InterpretationConfig.model_validate(tree)
    except ValidationError as error:
        raise ValueError(f"model.{error.errors()[0]['ctx']['error']}") from error
    return experiment.model_copy(update={"model": known})


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Say for a while how CUDA multiplies and convolves in fp32: it is the whole process's."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def _prepared(
    experiment: Experiment,
    accelerator: Accelerator,
    init: Path | str | None,
    reporter: Reporter,
) -> Callable[[Path], Result]:
    """Return what trains into a folder, once data and weights are found good."""
    config = experiment.train

    def build() -> tuple[CloudDataset, CloudDataset | None]:
        train = experiment.data.build("train", progress=reporter.prepare)
        if config.validate_every:
            return train, experiment.data.build("val", progress=reporter.prepare)
        if not (config.preview_every and accelerator.is_main_process):
            return train, None
        try:
            return train, experiment.data.build("val", progress=reporter.prepare)
        except ValueError as error:  # they are only for the pictures
            reporter.say(f"previews show no held-out shapes: {error}")
            return train, None

    shapes, held_out = node_by_node(
        build,
        rank=accelerator.process_index,
        local_rank=accelerator.local_process_index,
        patience=DATA_WAIT,
    )
    total = config.total_steps(len(shapes))
    if config.warmup >= total:
        reporter.say(
            f"train.warmup: {config.warmup} of {total} steps, so train.lr is never reached"
        )
    if config.batch_size > len(shapes):
        reporter.say(f"train.batch_size: {config.batch_size}, but there are {len(shapes)} shapes")
    told, theirs = experiment.model.categories, tuple(shapes.categories)
    if isinstance(experiment.model, HybridConfig):  # what it is not told is unlabelled
        theirs = theirs[: len(told)]
    if told and told != theirs:
        raise ValueError(
            f"categories of the model: expected {', '.join(theirs)}, as in the data, got "
            f"{', '.join(told)}"
        )
    torch.manual_seed(mix(config.seed, Use.WEIGHTS))
    model = experiment.model.build()
    units = shapes.standardization()
    model.set_units(torch.as_tensor(units.mean), torch.as_tensor(units.std))
    if isinstance(model, Interpretation) and model.config.run is not None:
        interpreted = pointflow_of(load(model.config.run))
        assert interpreted is not None, "checked with its config"
        model.flow.load_state_dict(interpreted.state_dict())  # units come with weights
    for part in model.modules():
        if isinstance(part, ImageBackbone):
            part.take_published()
    if init is not None:
        load_weights(model, init)

    def train_into(out: Path) -> Result:
        result = fit(
            model, shapes, held_out, config, out, accelerator=accelerator, reporter=reporter
        )
        if not (result.main and config.report):
            return result
        return _reported(result, (shapes, held_out), accelerator, reporter)

    return train_into


def _reported(
    result: Result,
    known: tuple[CloudDataset, CloudDataset | None],
    accelerator: Accelerator,
    reporter: Reporter,
) -> Result:
    """Write the report of a training that is saved; what goes wrong there is only said.

    A training that was stopped gets one without pictures and scores, as it was told to end soon.
    """
    page = result.out / "report.html"
    if result.finished and is_written(result.out, result.step):
        return replace(result, report=page)
    if result.finished:
        reporter.say(f"{page}: drawing and scoring for the report, which may take a minute")
    device = accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    processes = accelerator.num_processes
    try:
        problems = write_report(
            result.out,
            page,
            json_too=result.out / "report.json",
            device=device,
            known=known,
            thorough=result.finished,
            trained_on=f"{device.type} ({name})" + f", {processes} processes" * (processes > 1),
        )
    except Exception as error:  # the training itself went well
        reporter.say(f"no report: {error}")
        return result
    for problem in problems:
        reporter.say(f"report without {problem[0].lower()}{problem[1:]}")
    return replace(result, report=page)
