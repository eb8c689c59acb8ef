"""i-RIM: a network that restores clouds step by step, and learns to from clouds it damages itself.

A missing side, noise and too few points are undone by the same machine, which is told what the
matter is. Source: Putzky & Welling 2019 (Invert to learn to invert).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator
from torch import Generator, Tensor

from pointgen.batch import Batch
from pointgen.flows.affine import Standardize
from pointgen.geometry.damage import blurred, cut, kept
from pointgen.geometry.distances import chamfer
from pointgen.geometry.draws import standard_noise, uniform_noise
from pointgen.models.base import Loss, NotGenerative, Task
from pointgen.networks.irim import InferenceMachine

__all__ = ["IRIM", "IRIMConfig"]

TASKS: tuple[Task, ...] = ("complete", "denoise", "upsample")
FREE = 0.5  # of the points of a completion start as noise, the others as observed points
JITTER = 1.0  # of repeated points, in parts of 1 / sqrt(M): a third of the way to a neighbour
WHOLE = 0.5  # of the time, training takes all steps
Share = Annotated[float, Field(gt=0, lt=1)]


class IRIMConfig(BaseModel):
    """Four steps, for clouds of 256 points, by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["irim"] = "irim"
    tasks: tuple[Task, ...] = TASKS
    """What it learns to undo: complete, denoise, upsample."""
    points: PositiveInt = 256
    """Points of the clouds in training; larger ones are restored in parts of so many."""
    steps: PositiveInt = 4
    """Steps from a damaged cloud to the restored one. Training takes so many every other time, and
    else fewer, at random."""
    width: Annotated[int, Field(ge=4)] = 64
    """Channels of the stream that the points are in; the other stream has three times as many."""
    hidden: PositiveInt = 128
    """Channels inside the networks of a step."""
    missing: tuple[Share, Share] = (0.2, 0.5)
    """Which share of the points a missing side takes away, from and to."""
    noise: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.05, 0.3)
    """Standard deviation of noise, in those of the data, from and to."""
    thinned: tuple[Share, Share] = (0.125, 0.5)
    """Which share of the points is left for upsampling, from and to."""

    @field_validator("tasks")
    @classmethod
    def _some(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        if not tasks or len(set(tasks)) < len(tasks):
            raise ValueError(f"expected some of {', '.join(TASKS)}, each once, got {list(tasks)}")
        return tasks

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (low, high) in (
            ("missing", self.missing), ("noise", self.noise), ("thinned", self.thinned)
        ):  # fmt: skip
            if low > high:
                raise ValueError(f"{name}: expected the smaller number first, got {low}, {high}")
        return self

    @property
    def image_size(self) -> None:
        """Width and height of the pictures that it is given: it takes none."""
        return None

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories that it is told: it is told none."""
        return ()

    @property
    def parts(self) -> dict[str, str]:
        """What each part of the model is, by name."""
        return {"machine": f"{self.steps} reversible steps, {', '.join(self.tasks)}"}

    def build(self) -> IRIM:
        """Build the model with random weights and unit units."""
        return IRIM(self)


class IRIM(NotGenerative):
    """Restores damaged clouds."""

    purpose = "(kind = 'irim') restores clouds that it is given"

    def __init__(self, config: IRIMConfig) -> None:
        super().__init__()
        self.config = config
        self.units = Standardize(3)
        self.machine = InferenceMachine(
            width=config.width, hidden=config.hidden, facts=len(TASKS) + 1, steps=config.steps
        )

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it can undo."""
        return self.config.tasks

    def set_units(self, mean: Tensor, std: Tensor) -> None:
        """Take the training set's mean (3,) and standard deviation (3,), data units."""
        self.units.set(mean, std)

    def loss(self, batch: Batch) -> Loss:
        """Return the mean over tasks of the Chamfer distance to the target, standardised units.

        In training it is that after a random number of steps, all of them half of the time: every
        step is then worth taking, and still nothing but an end is remembered.

        Raises:
            ValueError: The clouds are of another number of points than the config's.
        """
        if batch.points.shape[1] != self.config.points:
            raise ValueError(
                f"points: expected {self.config.points} in each cloud, as in model.points, got "
                f"{batch.points.shape[1]}"
            )
        points, _ = self.units(batch.points)
        target = points if batch.target is None else self.units(batch.target)[0]
        terms = {}
        for task in self.tasks:
            steps = self._depth() if self.training else self.config.steps
            seen = self._damaged(points, task)
            start, facts = _start(seen, task, points.shape[1])
            restored = self.machine(start, seen, facts, steps)
            terms[f"chamfer_{task}"] = chamfer(restored, target).mean()
        total = torch.stack(list(terms.values())).mean()
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def _depth(self) -> int:
        """Draw a number of steps."""
        most = self.config.steps
        return most if most == 1 or torch.rand(()) < WHOLE else int(torch.randint(1, most, ()))

    def damaged(self, points: Tensor, task: Task, *, generator: Generator | None = None) -> Tensor:
        """Return clouds (B, N, 3), data units, as badly off as in training, (B, M, 3)."""
        return self.units.inverse(self._damaged(self.units(points)[0], task, generator))

    def _damaged(self, points: Tensor, task: Task, generator: Generator | None = None) -> Tensor:
        low, high = {
            "complete": self.config.missing,
            "denoise": self.config.noise,
            "upsample": self.config.thinned,
        }[task]
        if task == "denoise":  # noise as loud as may be in each cloud
            level = low + (high - low) * uniform_noise((len(points),), points, generator)
            return blurred(points, level.view(-1, 1, 1), generator)
        # As many points in all clouds of a batch, of a draw by the CPU: it need not wait for a GPU.
        drawn = uniform_noise((1,), points.new_empty(0, device="cpu"), generator).item()
        share = low + (high - low) * drawn
        if task == "complete":
            return cut(points, share, generator)
        return kept(points, max(1, round(share * points.shape[1])), generator)

    @torch.no_grad()
    def restore(
        self,
        points: Tensor,
        task: Task,
        num_points: int,
        *,
        steps: int | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return the way (B, steps + 1, num_points, 3) from where it starts to restored clouds.

        Args:
            points: (B, M, 3), damaged, data units. Where there are more than in training, each part
                of the result is made of as many as there.
            task: what is the matter with them.
            num_points: of the restored clouds. Where as many points are denoised, each keeps its
                place.
            steps: None is the config's own.
            generator: of where points start, and which ones make a part.

        Raises:
            ValueError: It has not learnt the task.
        """
        if task not in self.tasks:
            raise ValueError(f"this model learnt to {', '.join(self.tasks)}, not to {task}")
        steps = self.config.steps if steps is None else steps
        seen, _ = self.units(points)
        count, most = seen.shape[1], self.config.points
        order = torch.arange(count)
        if max(count, num_points) > most or count > num_points:
            order = _permutation(count, order.device, generator)
        parts = -(-num_points // most)
        ways: list[Tensor] = []
        for first, end in pairwise(num_points * part // parts for part in range(parts + 1)):
            near = seen[:, order.roll(-first)[:most].to(seen.device)]
            start, facts = _start(near, task, end - first, generator)
            ways.append(self.machine.path(start, near, facts, steps))
        way = torch.cat(ways, dim=2)
        if task == "denoise" and num_points == count:
            way = way[:, :, order.argsort().to(way.device)]
        return self.units.inverse(way)


def _start(
    seen: Tensor, task: Task, num_points: int, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return where points (B, N, 3) start, and what is known of each (B, N, 4): task, observed.

    Observed points are repeated where there are too few, and some are left out where too many.
    """
    count, device = seen.shape[1], seen.device
    observed = num_points - round(FREE * num_points) if task == "complete" else num_points
    if task == "denoise":
        places = torch.arange(observed, device=device) % count
    else:
        rounds = [_permutation(count, device, generator) for _ in range(-(-observed // count))]
        places = torch.cat(rounds)[:observed]
    points = seen[:, places]
    if task == "upsample":
        points = blurred(points, JITTER / math.sqrt(count), generator)
    known = points.new_zeros(len(seen), num_points, len(TASKS) + 1)
    known[..., TASKS.index(task)] = 1
    known[:, :observed, -1] = 1
    if observed < num_points:
        free = standard_noise((len(seen), num_points - observed, 3), seen, generator)
        points = torch.cat([points, free], dim=1)
    return points, known


def _permutation(count: int, device: torch.device, generator: Generator | None) -> Tensor:
    source = device if generator is None else generator.device
    return torch.randperm(count, generator=generator, device=source).to(device)
