"""What every model of point clouds can do, and the abilities that only some have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

from torch import Generator, Tensor, nn

from pointgen.batch import Batch
from pointgen.flows.affine import Standardize
from pointgen.flows.continuous import cnfs
from pointgen.flows.solver import Solver

__all__ = [
    "Autoencoder",
    "Classifier",
    "CodeChoice",
    "Condition",
    "ImageConditioned",
    "Loss",
    "NotGenerative",
    "PointCloudModel",
    "Restorer",
    "SeesImages",
    "Task",
    "Watchable",
]

CodeChoice = Literal["sample", "mean", "mode"]
Task = Literal["complete", "denoise", "upsample"]
"""What is the matter with a cloud: a side is missing, its points are noisy, or they are few."""


@dataclass(frozen=True)
class Condition:
    """What samples are asked to look like; its tensors have one row for each sample, or one row.

    Attributes:
        image: (B, 3, H, W), values in [0, 1].
        label: (B,) int64, indices of categories.
        guidance: classifier-free guidance of the shape code; 1 samples the distribution as it is,
            more sharpens it towards the condition.
        code: a shape code drawn at random, the mean of several draws, or the likeliest of them.
    """

    image: Tensor | None = None
    label: Tensor | None = None
    guidance: float = 1.0
    code: CodeChoice = "sample"


@dataclass(frozen=True)
class Loss:
    """What a training step minimises, and what it logs.

    Attributes:
        total: scalar to differentiate.
        terms: detached scalars by name; names say the unit where there is one.
    """

    total: Tensor
    terms: Mapping[str, Tensor]


class PointCloudModel(nn.Module, ABC):
    """A distribution over point clouds that can be trained and sampled, in data units."""

    @abstractmethod
    def set_units(self, mean: Tensor, std: Tensor) -> None:
        """Take the training set's mean (3,) and standard deviation (3,), data units, as buffers."""

    @property
    def evaluations(self) -> int:
        """How often solvers have evaluated the velocity fields since the model was built."""
        return sum(cnf.evaluations for cnf in cnfs(self))

    @abstractmethod
    def loss(self, batch: Batch) -> Loss:
        """Return the training loss of a batch; noise comes from the global random state."""

    @abstractmethod
    def sample(
        self,
        count: int,
        num_points: int,
        *,
        generator: Generator | None = None,
        temperature: float = 1.0,
        solver: Solver | None = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """Draw new clouds (count, num_points, 3) in data units.

        A cloud whose flow cannot be solved comes back as NaN, so that callers can count it.

        Args:
            count: number of clouds.
            num_points: points of each cloud.
            generator: source of all noise; the same state gives the same clouds.
            temperature: standard deviation of the shape noise; below 1 gives more typical shapes.
            solver: replaces the solvers of the model's config, all levels alike.
            condition: what the samples show; None is anything at all.

        Raises:
            ValueError: The model cannot be asked for that, or not for so many points.
        """

    def forward(self, batch: Batch) -> Loss:
        """Return `loss(batch)`, so that wrappers of modules (DDP, compile) see one entrance."""
        return self.loss(batch)


class NotGenerative(PointCloudModel, ABC):
    """A model without a distribution over clouds: it works on those that it is given."""

    purpose: ClassVar[str]
    """What it does instead, after "this model"."""

    def sample(
        self,
        count: int,
        num_points: int,
        *,
        generator: Generator | None = None,
        temperature: float = 1.0,
        solver: Solver | None = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """Refuse: there is nothing to draw from.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"this model {self.purpose}: it cannot make new shapes")


@runtime_checkable
class Autoencoder(Protocol):
    """A model that maps clouds to codes and back."""

    @property
    def units(self) -> Standardize:
        """Data units to standardised units."""

    def encode(self, points: Tensor) -> Tensor:
        """Map clouds (B, N, 3), data units, to codes (B, C)."""

    def decode(
        self,
        codes: Tensor,
        num_points: int,
        *,
        generator: Generator | None = None,
        solver: Solver | None = None,
    ) -> Tensor:
        """Draw clouds (B, num_points, 3), data units, from codes (B, C)."""

    def between(self, first: Tensor, second: Tensor, count: int) -> Tensor:
        """Return codes (count, C) on the way from one code (C,) to another, ends included."""


@runtime_checkable
class Classifier(Protocol):
    """A model that says which category a cloud is of."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories, in the order of their labels."""

    def classify(self, points: Tensor) -> Tensor:
        """Return the probabilities (B, K) of the categories of clouds (B, N, 3), data units."""


@runtime_checkable
class Watchable(Protocol):
    """A model whose clouds are carried from noise over a time, so that one can watch."""

    def codes(
        self,
        count: int,
        *,
        generator: Generator | None = None,
        temperature: float = 1.0,
        solver: Solver | None = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """Draw codes (count, C) of new shapes; the arguments are those of `sample`."""

    def trajectory(
        self,
        codes: Tensor,
        num_points: int,
        frames: int,
        *,
        generator: Generator | None = None,
        solver: Solver | None = None,
    ) -> Tensor:
        """Return the way (B, frames, num_points, 3) of noise to clouds, data units."""


@runtime_checkable
class ImageConditioned(Protocol):
    """A model that turns a picture into clouds."""

    @property
    def image_size(self) -> int | None:
        """Width and height of the pictures it was built for, pixels; None if it takes none."""

    def log_prob_given(
        self, points: Tensor, condition: Condition, *, generator: Generator | None = None
    ) -> Tensor:
        """Return log p(X | condition) (B,), nats, of clouds (B, N, 3), data units, or a bound."""


@runtime_checkable
class SeesImages(Protocol):
    """A model whose network turns pictures into features that say which shape is shown."""

    def see(self, image: Tensor) -> Tensor:
        """Map pictures (B, 3, H, W) to features (B, F)."""


@runtime_checkable
class Restorer(Protocol):
    """A model that restores damaged clouds step by step."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it can undo."""

    def damaged(self, points: Tensor, task: Task, *, generator: Generator | None = None) -> Tensor:
        """Return clouds (B, N, 3), data units, as badly off as it was trained on: (B, M, 3)."""

    def restore(
        self,
        points: Tensor,
        task: Task,
        num_points: int,
        *,
        steps: int | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return the way (B, steps + 1, num_points, 3), data units, to restored clouds.

        Args:
            points: (B, M, 3), damaged, data units.
            task: what is the matter with them.
            num_points: of the restored clouds.
            steps: None is the model's own number.
            generator: of what is random.
        """
