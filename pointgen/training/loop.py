"""The training loop. Read it from top to bottom: this is all that happens to a model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError
from torch.optim import Adam, AdamW, Optimizer

from pointgen.config import TrainConfig
from pointgen.files import FileError
from pointgen.flows.continuous import compile_fields
from pointgen.flows.solver import SolveError
from pointgen.models import PointCloudModel
from pointgen.processes import Poll
from pointgen.training.checkpoint import RunError, save_weights
from pointgen.training.ema import Average
from pointgen.training.log import Clock, Log, Meter, TrainingError
from pointgen.training.look import preview
from pointgen.training.progress import Reporter
from pointgen.training.schedule import learning_rate
from pointgen.training.state import Facts, has_state, pack, read_state, unpack, write_state
from pointgen.training.stop import stoppable
from pointgen.training.stream import Drawable, Draws, Shares, Use, batches, mark, mix
from pointgen.training.validation import Fixed, validate

__all__ = ["Result", "fit"]


@dataclass(frozen=True)
class Result:
    """How a training ended.

    Attributes:
        out: the run's folder.
        step: steps done, of `total`.
        total: length of the training.
        best: lowest validation loss, if there was validation.
        seconds: time spent on the whole training.
        main: whether this is the main one of several processes, which speaks for all.
        report: the page about the run, if there is one.
    """

    out: Path
    step: int
    total: int
    best: float | None
    seconds: float
    main: bool = True
    report: Path | None = None

    @property
    def finished(self) -> bool:
        """Whether the training reached its end, rather than being stopped."""
        return self.step >= self.total


def fit(
    model: PointCloudModel,
    shapes: Drawable,
    held_out: Fixed | None,
    config: TrainConfig,
    out: Path,
    *,
    accelerator: Accelerator,
    reporter: Reporter,
) -> Result:
    """Train `model` on `shapes`, from the last state in the folder `out` if there is one."""
    total, seed, device = config.total_steps(len(shapes)), config.seed, accelerator.device
    process, processes = accelerator.process_index, accelerator.num_processes
    main = process == 0
    model.to(device).train()
    average = Average(model, config.ema) if config.ema else None
    judged = average.model if average else model  # what is validated, sampled and kept
    adam = _adam(model, config)
    facts, shapes_mark = _restore(out, model, average, adam, accelerator, reporter), mark(shapes)
    first, best = facts.step, facts.best
    if facts.shapes not in ("", shapes_mark):
        raise RunError(f"{out}: the training set was {facts.shapes}, is now {shapes_mark}")
    if first >= total:
        reporter.say(f"{out}: already at step {first} of {total}, nothing left to train")
        if main:  # a kill may have come between the last state and its weights
            with _saving(out, first):
                save_weights(judged, out / "model.safetensors", step=first)
        return Result(out, first, total, best, facts.seconds, main)
    if config.compile:
        compile_fields(model)
    trained, optimizer = accelerator.prepare(model, adam)
    shares = Shares(first, total, config.batch_size, process=process, processes=processes)
    stream = batches(
        Draws(shapes, seed), shares, workers=config.workers, pin_memory=device.type == "cuda"
    )
    # With fp16 a gradient that overflows is skipped by the gradient scaler, and no reason to stop.
    finite = ("loss",) if config.precision == "fp16" else ("loss", "grad_norm")
    meter, clock, done = Meter(device, facts.meter), Clock(facts.seconds), first

    def due(every: int) -> bool:
        return every > 0 and (done % every == 0 or done == total)

    with ExitStack() as at_end:
        stop, poll = at_end.enter_context(stoppable()), at_end.enter_context(Poll())
        log = at_end.enter_context(closing(Log(out, first))) if main else None
        reporter.begin(first, total)

        for step, batch in enumerate(clock.waiting(stream), start=first):
            torch.manual_seed(mix(seed, Use.NOISE, step, process))
            lr = learning_rate(config, step, total)
            for group in optimizer.param_groups:
                group["lr"] = lr
            try:
                loss = trained(batch.to(device, non_blocking=True))
            except SolveError as error:
                raise TrainingError(f"step {step}: {error}") from error
            optimizer.zero_grad()
            try:
                accelerator.backward(loss.total)
            except AssertionError as error:  # so torchdiffeq says that a backward solve failed
                raise TrainingError(f"step {step}: the adjoint's solve: {error}") from error
            norm = accelerator.clip_grad_norm_(model.parameters(), config.clip_norm or math.inf)
            optimizer.step()
            if average:
                average.update(step)
            meter.add(step, {"loss": loss.total, **loss.terms, "grad_norm": norm}, finite=finite)
            clock.count(batch.points.shape[0] * batch.points.shape[1] * processes)
            done = step + 1
            reporter.step(done)

            validating = due(config.validate_every)
            logging, previewing = due(config.log_every) or validating, due(config.preview_every)
            stopping = poll.any(stop.requested)  # a signal may reach only some of the processes
            saving = due(config.save_every) or done == total or stopping
            if not (logging or previewing or saving):
                continue
            means = meter.means(accelerator.gather)  # raises before anything bad is kept
            times = clock.lap() if logging else {}
            with clock.paused():
                validation = None
                if held_out is not None and validating:
                    validation = validate(judged, held_out, config, accelerator)
                    if validation < (math.inf if best is None else best):
                        best = validation
                        if main:
                            with _saving(out, done):
                                save_weights(judged, out / "best.safetensors", step=done)
                if logging:
                    row: dict[str, float | None] = {"step": done}
                    row |= {"epoch": done * config.batch_size / len(shapes), **means}
                    row |= {"lr": lr, **_of_all(accelerator, times), "validation": validation}
                    meter.reset()
                    reporter.metrics(done, row)
                    if log:
                        with _saving(out, done):
                            log.write(row)
                if previewing and log:
                    picture = out / "samples" / f"step-{done:06}.png"
                    show = partial(log.show, done)
                    if problem := preview(judged, held_out, picture, config, show):
                        reporter.say(problem)
                if saving and main:
                    spent, scaler = clock.total(), _scaler(accelerator)
                    facts = Facts(done, best, spent, scaler, meter.state(), shapes_mark)
                    tensors = pack(model, average.model if average else None, adam)
                    with _saving(out, done):
                        write_state(out / "state", tensors, facts)  # first: weights imply a state
                        save_weights(judged, out / "model.safetensors", step=done)
            if stopping and done < total:
                reporter.say(f"{out}: stopped and saved at step {done} of {total}")
                break
    return Result(out, done, total, best, clock.total(), main)


def _adam(model: PointCloudModel, config: TrainConfig) -> Optimizer:
    kind = AdamW if config.weight_decay else Adam
    return kind(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,  # all tensors in one call: for small models most of a step's overhead
    )


def _restore(
    out: Path,
    model: PointCloudModel,
    average: Average | None,
    adam: Optimizer,
    accelerator: Accelerator,
    reporter: Reporter,
) -> Facts:
    """Continue where the state in `out` left off, which only the main process has to see."""
    found = read_state(out / "state", reporter.say) if accelerator.is_main_process else None
    (found,) = broadcast_object_list([found])
    if found is None:
        return Facts()
    tensors, facts = found
    unpack(tensors, model, average.model if average else None, adam)
    if accelerator.scaler is not None and facts.scaler:
        accelerator.scaler.load_state_dict(dict(facts.scaler))
    return facts


@contextmanager
def _saving(out: Path, step: int) -> Iterator[None]:
    try:
        yield
    except (OSError, FileError, SafetensorError) as error:
        before = "; what was saved before is intact" if has_state(out / "state") else ""
        raise TrainingError(f"{out}: step {step} could not be saved ({error}){before}") from error


def _scaler(accelerator: Accelerator) -> dict[str, float]:
    return {} if accelerator.scaler is None else accelerator.scaler.state_dict()


def _of_all(accelerator: Accelerator, times: dict[str, float]) -> dict[str, float]:
    """Return a lap's times with the wait of the process that waits most: the others wait for it."""
    waits = torch.tensor([times["wait"]], dtype=torch.float64, device=accelerator.device)
    return {**times, "wait": accelerator.gather(waits).max().item()}
