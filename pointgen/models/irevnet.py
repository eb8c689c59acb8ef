"""i-RevNet: a classifier of clouds that keeps them whole: its last layer gives the input back.

Points are put in the order of a kd-tree, pairs of them are joined level by level, and nothing is
thrown away before the last, linear layer. Source: Jacobsen et al. 2018 (i-RevNet).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt, model_validator
from torch import Generator, Tensor, nn
from torch.nn import functional

from pointgen.batch import Batch
from pointgen.flows.affine import Standardize
from pointgen.flows.continuous import refuse_solver
from pointgen.flows.solver import Solver
from pointgen.geometry.pairing import kd_order
from pointgen.geometry.points import by_coordinates, take
from pointgen.models.base import Loss, NotGenerative
from pointgen.models.categories import Names
from pointgen.models.codes import between
from pointgen.networks.irevnet import IRevNet

__all__ = ["IRevNetClassifier", "IRevNetConfig"]


class IRevNetConfig(BaseModel):
    """A classifier of clouds of 1024 points by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["irevnet"] = "irevnet"
    categories: Names
    """Names of the categories to tell apart, those of the data in their order."""
    points: PositiveInt = 1024
    """Points of every cloud."""
    levels: PositiveInt = 5
    """How often pairs are joined; 2^(levels + 1) divides the points."""
    blocks: PositiveInt = 2
    """Reversible blocks of each level."""
    width: PositiveInt = 128
    """Channels inside the networks of the blocks."""

    @model_validator(mode="after")
    def _pairs_fit(self) -> IRevNetConfig:
        if self.points % 2 ** (self.levels + 1):
            raise ValueError(
                f"points: expected a multiple of {2 ** (self.levels + 1)} for {self.levels} "
                f"levels, got {self.points}"
            )
        return self

    @property
    def image_size(self) -> None:
        """Width and height of the pictures that it is given: it takes none."""
        return None

    @property
    def parts(self) -> dict[str, str]:
        """What each part of the model is, by name."""
        return {"network": "i-revnet", "outlet": "mean of the last layer, linear"}

    def build(self) -> IRevNetClassifier:
        """Build the model with random weights and unit units."""
        return IRevNetClassifier(self)


class IRevNetClassifier(NotGenerative):
    """p(category | cloud) from features that are the cloud in other coordinates."""

    purpose = "(kind = 'irevnet') classifies clouds and gives back those it is given"

    def __init__(self, config: IRevNetConfig) -> None:
        super().__init__()
        self.config = config
        self.units = Standardize(3)
        self.network = IRevNet(levels=config.levels, blocks=config.blocks, width=config.width)
        channels = 3 * 2 ** (config.levels + 1)
        self.norm = nn.LayerNorm(channels)
        self.outlet = nn.Linear(channels, len(config.categories))

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories, in the order of their labels."""
        return self.config.categories

    def set_units(self, mean: Tensor, std: Tensor) -> None:
        """Take the training set's mean (3,) and standard deviation (3,), data units."""
        self.units.set(mean, std)

    def loss(self, batch: Batch) -> Loss:
        """Return the cross entropy of the categories, nats.

        Raises:
            ValueError: The batch has no labels, or other than the categories', or clouds of another
                number of points.
        """
        if batch.label is None:
            raise ValueError("i-RevNet: expected data with labels")
        logits = self._logits(batch.points)
        right = logits.detach().argmax(dim=-1) == batch.label
        total = functional.cross_entropy(logits, batch.label)
        return Loss(total, {"accuracy": right.to(total.dtype).mean()})

    def classify(self, points: Tensor) -> Tensor:
        """Return the probabilities (B, K) of the categories of clouds (B, N, 3), data units.

        Raises:
            ValueError: The clouds are of another number of points.
        """
        return self._logits(points).softmax(dim=-1)

    def encode(self, points: Tensor) -> Tensor:
        """Map clouds (B, N, 3), data units, to all features of the last layer (B, 3 N).

        Raises:
            ValueError: The clouds are of another number of points.
        """
        return self._features(points).flatten(1)

    def decode(
        self,
        codes: Tensor,
        num_points: int,
        *,
        generator: Generator | None = None,
        solver: Solver | None = None,
    ) -> Tensor:
        """Map features (B, 3 N) back to clouds (B, N, 3), data units, in the kd-tree's order.

        Nothing is drawn at random, and nothing solved.

        Raises:
            ValueError: Another number of points is wanted, or a solver is given.
        """
        refuse_solver(solver)
        self._check(num_points)
        features = codes.unflatten(1, (-1, self.outlet.in_features))
        return self.units.inverse(self.network.inverse(features))

    @torch.no_grad()
    def between(self, first: Tensor, second: Tensor, count: int) -> Tensor:
        """Return codes (count, C) on the straight way from one code (C,) to another."""
        return between(first, second, count)

    def _logits(self, points: Tensor) -> Tensor:
        seen = functional.relu(self.norm(self._features(points)))  # (B, M, C)
        logits: Tensor = self.outlet(seen.mean(dim=1))
        return logits.to(points.dtype)

    def _features(self, points: Tensor) -> Tensor:
        """Map clouds (B, N, 3), data units, to features (B, M, C) of as many numbers."""
        self._check(points.shape[1])
        standardised, _ = self.units(points)
        features: Tensor = self.network(_sorted(standardised))
        return features

    def _check(self, num_points: int) -> None:
        if num_points != self.config.points:
            raise ValueError(
                f"points: expected {self.config.points} in each cloud, what this model was built "
                f"for, got {num_points}"
            )


def _sorted(points: Tensor) -> Tensor:
    """Put the points of clouds (B, N, 3) in the order of a kd-tree, however they came.

    The i-th points of all clouds then lie in corresponding cells, and cells that are halves of one
    are joined first. Many built-in and scanned points have a coordinate in common, and where such
    are cut the tree goes by the order they came in: so they are sorted by x, y and z before.
    """
    points = take(points, by_coordinates(points))
    return take(points, kd_order(points))
