"""C-Flow: two multi-scale flows, one of pictures and one of clouds, the second given the first.

Clouds become grids along a Hilbert curve, so that convolutions see neighbours. The joint density
of a picture and its (ordered) cloud is exact, and so is that of the cloud given the picture.

Source: Pumarola et al. 2020 (C-Flow). What the paper leaves open, as sizes, is our choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from torch import Generator, Tensor
from torch.nn import functional

from pointgen.batch import Batch
from pointgen.flows.affine import Standardize
from pointgen.flows.continuous import refuse_solver
from pointgen.flows.multiscale import MultiscaleFlow
from pointgen.flows.solver import Solver
from pointgen.geometry.distances import chamfer
from pointgen.geometry.draws import uniform_noise
from pointgen.geometry.hilbert import hilbert_layout, hilbert_order
from pointgen.geometry.points import take
from pointgen.models.base import Condition, Loss, PointCloudModel

__all__ = ["CFlow", "CFlowConfig"]

GRIDS_AT_ONCE = 64  # all activations of the first flow are kept for the second


class CFlowConfig(BaseModel):
    """Pictures to clouds by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["cflow"] = "cflow"
    direction: Literal["image_to_cloud", "cloud_to_image"] = "image_to_cloud"
    """Which of the two is made from the other."""
    image_size: PositiveInt = 64
    """Width and height of pictures, pixels; others are resized."""
    image_bits: Annotated[int, Field(ge=1, le=8)] = 8
    """Pictures are brought to 2^bits levels of brightness, and noise fills the gaps between them:
    fewer are easier to model."""
    points: PositiveInt = 2048
    """Points of every cloud: a power of two, laid out as a square or two of them."""
    levels: PositiveInt = 3
    """How often both grids are halved."""
    steps: PositiveInt = 8
    """Flow steps of each level."""
    width: PositiveInt = 256
    """Channels inside the couplings."""
    condition_weight: NonNegativeFloat = 0.1
    """Weight of the negative log-likelihood of what is given, per dimension."""
    cycle_weight: NonNegativeFloat = 1.0
    """Weight of the distance between what belongs to a condition and what a fresh latent makes of
    it; it draws samples together."""
    cycle_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Part of a batch for which that distance is computed: it costs a pass back."""
    temperature: PositiveFloat = 0.7
    """Standard deviation of the latents that samples are made of; `temperature` of `sample`
    multiplies it."""

    @model_validator(mode="after")
    def _grids_fit(self) -> CFlowConfig:
        least = 2**self.levels
        if self.image_size % least:
            raise ValueError(
                f"image_size: expected a multiple of {least} for {self.levels} levels, "
                f"got {self.image_size}"
            )
        if self.points & (self.points - 1) or self.points < least**2:
            raise ValueError(
                f"points: expected a power of two, at least {least**2} for {self.levels} levels, "
                f"got {self.points}"
            )
        return self

    @property
    def cloud_grid(self) -> tuple[int, int]:
        """Height and width of the grid that a cloud is laid out on."""
        height = 2 ** ((self.points.bit_length() - 1) // 2)
        return height, self.points // height

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories that the model is told: none."""
        return ()

    @property
    def parts(self) -> dict[str, str]:
        """What each part of the model is, by name."""
        given, made = (
            ("picture", "cloud") if self.direction == "image_to_cloud" else ("cloud", "picture")
        )
        return {
            given: "multi-scale glow",
            made: f"multi-scale glow given the {given}'s activations",
        }

    def build(self) -> CFlow:
        """Build the model with random weights and unit units."""
        return CFlow(self)


class CFlow(PointCloudModel):
    """p(given) p(made | given) by two flows; `given` and `made` are pictures and clouds."""

    layout: Tensor
    place: Tensor

    def __init__(self, config: CFlowConfig) -> None:
        super().__init__()
        self.config = config
        self.units = Standardize(3)
        image, cloud = (config.image_size, config.image_size), config.cloud_grid
        given, made = (image, cloud) if self.makes_clouds else (cloud, image)
        self.given, self.made = (
            MultiscaleFlow(
                3,
                size,
                levels=config.levels,
                steps=config.steps,
                width=config.width,
                context_channels=context_channels,
            )
            for size, context_channels in ((given, 0), (made, config.width))
        )
        self.register_buffer("layout", hilbert_layout(*cloud), persistent=False)
        self.register_buffer("place", self.layout.argsort(), persistent=False)  # its inverse

    @property
    def makes_clouds(self) -> bool:
        """Whether clouds are made from pictures, not pictures from clouds."""
        return self.config.direction == "image_to_cloud"

    @property
    def image_size(self) -> int | None:
        """Width and height of the pictures that clouds are made from, pixels; None if not so."""
        return self.config.image_size if self.makes_clouds else None

    def set_units(self, mean: Tensor, std: Tensor) -> None:
        """Take the training set's mean (3,) and standard deviation (3,), data units."""
        self.units.set(mean, std)

    def loss(self, batch: Batch) -> Loss:
        """Return -log p(picture, cloud) and the cycle's distance.

        Both likelihoods are taken per dimension, as a picture has many times more than a cloud.
        The distance is Chamfer's between clouds in standardised units, squared, or the mean
        absolute difference of brightness between pictures.

        Raises:
            ValueError: The batch has no pictures, or clouds of too few points.
        """
        if batch.image is None:
            raise ValueError("C-Flow: expected data with pictures (kind 'renderings')")
        config = self.config
        image = self._image_grid(batch.image, noisy=True)
        cloud = self._cloud_grid(batch.points if batch.target is None else batch.target)
        given, made = (image, cloud) if self.makes_clouds else (cloud, image)
        first = self.given(given)
        second = self.made(made, first.activations)
        given_nll, made_nll = (
            -encoded.log_prob.mean() / grid[0].numel()
            for encoded, grid in ((first, given), (second, made))
        )
        nlls = (given_nll.detach(), made_nll.detach())
        image_nll, cloud_nll = nlls if self.makes_clouds else reversed(nlls)
        total = made_nll + config.condition_weight * given_nll
        terms = {
            "image_bits_per_dim": image_nll / math.log(2) + config.image_bits,
            "cloud_nats_per_dim": cloud_nll + self.units.std.log().mean(),
        }
        if config.cycle_weight:
            cycle = self._cycle(made, first.activations)
            terms["cycle"] = cycle.detach()
            total = total + config.cycle_weight * cycle
        return Loss(total, terms)

    @torch.no_grad()
    def log_prob_given(
        self, points: Tensor, condition: Condition, *, generator: Generator | None = None
    ) -> Tensor:
        """Return log p(cloud | picture) (B,), nats, of clouds (B, N, 3), data units: exactly.

        It is that of the points in Hilbert order. Add log N! to compare it with likelihoods of
        models that take points as exchangeable. Of more points than the model's, as many are
        chosen at random.

        Raises:
            ValueError: There is no picture, there are too few points, or the model makes pictures
                from clouds.
        """
        if not self.makes_clouds:
            raise ValueError("p(cloud | picture): this model makes pictures from clouds")
        if condition.image is None:
            raise ValueError("condition.image: expected one")
        given = self._image_grid(_rows(condition.image, len(points), "condition.image"))
        made = self._cloud_grid(points, generator)
        given = given.expand(len(made), -1, -1, -1)
        parts = [
            self.made(grids, self.given(seen).activations).log_prob
            for grids, seen in zip(
                made.split(GRIDS_AT_ONCE), given.split(GRIDS_AT_ONCE), strict=True
            )
        ]
        return torch.cat(parts) - self.config.points * self.units.std.log().sum()

    @torch.no_grad()
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
        """Draw new clouds (count, num_points, 3) in data units; see `PointCloudModel.sample`.

        Without a picture, one is drawn first.

        Raises:
            ValueError: More points are wanted than the model's clouds have, or it is asked for
                what it does not know: categories, guidance, a solver, or pictures if it is they it
                makes.
        """
        refuse_solver(solver)
        if count < 1 or not 1 <= num_points <= self.config.points:
            raise ValueError(
                f"expected at least one cloud and 1 to {self.config.points} points, as many as "
                f"the model makes, got {count} and {num_points}"
            )
        condition = condition or Condition()
        self._check(condition)
        given = None
        if condition.image is not None:
            given = self._image_grid(_rows(condition.image, count, "condition.image"))
        temperature = 0 if condition.code == "mode" else temperature
        if self.makes_clouds:
            grid = self._make(given, count, temperature, generator)
        else:
            grid = self.given.inverse(self._draw(self.given, count, temperature, generator))
        clouds = self.units.inverse(grid.flatten(2)[..., self.layout].mT)
        return clouds if num_points == self.config.points else _some(clouds, num_points, generator)

    @torch.no_grad()
    def sample_images(
        self,
        count: int,
        points: Tensor | None = None,
        *,
        generator: Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw pictures (count, 3, H, W), values in [0, 1].

        Args:
            count: number of pictures.
            points: (count or 1, N, 3), data units, the clouds that they show; None is any cloud.
            generator: source of all noise; the same state gives the same pictures.
            temperature: factor on the standard deviation of the latents.

        Raises:
            ValueError: Clouds are given to a model that makes clouds, or they are too small.
        """
        if self.makes_clouds:
            if points is not None:
                raise ValueError("points: this model makes clouds from pictures")
            grid = self.given.inverse(self._draw(self.given, count, temperature, generator))
        else:
            given = None
            if points is not None:
                given = self._cloud_grid(_rows(points, count, "points"), generator)
            grid = self._make(given, count, temperature, generator)
        return (grid + 0.5).clamp(0, 1)

    def _make(
        self, given: Tensor | None, count: int, temperature: float, generator: Generator | None
    ) -> Tensor:
        """Draw grids (count, 3, H, W) from grids (count or 1, ...) of what is given, or draw it."""
        if given is None:
            given = self.given.inverse(self._draw(self.given, count, temperature, generator))
        latents = self._draw(self.made, count, temperature, generator)
        pieces = []
        for start in range(0, count, GRIDS_AT_ONCE):
            part = slice(start, start + GRIDS_AT_ONCE)
            noise = [z[part] for z in latents]
            seen = self.given(given if len(given) == 1 else given[part]).activations
            seen = [features.expand(len(noise[0]), -1, -1, -1) for features in seen]
            pieces.append(self.made.inverse(noise, seen))
        return torch.cat(pieces)

    def _cycle(self, made: Tensor, activations: Sequence[Tensor]) -> Tensor:
        """Return how far what a fresh latent makes is from what belongs to the condition."""
        count = math.ceil(self.config.cycle_share * len(made))
        latents = self._draw(self.made, count, 1.0)
        again = self.made.inverse(latents, [features[:count] for features in activations])
        truth = made[:count]
        if self.makes_clouds:
            return chamfer(again.flatten(2).mT, truth.flatten(2).mT).mean()
        return (again - truth).abs().mean()

    def _draw(
        self,
        flow: MultiscaleFlow,
        count: int,
        temperature: float,
        generator: Generator | None = None,
    ) -> list[Tensor]:
        scale = temperature * self.config.temperature
        return [scale * latents for latents in flow.draw(count, generator)]

    def _image_grid(self, image: Tensor, *, noisy: bool = False) -> Tensor:
        """Bring pictures (B, 3, H, W) to the grid; each level of brightness at random or midway."""
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"image: expected (B, 3, H, W), got {tuple(image.shape)}")
        size = (self.config.image_size, self.config.image_size)
        if image.shape[2:] != size:
            image = functional.interpolate(image, size, mode="bilinear", antialias=True)
        bins = 2**self.config.image_bits
        level = (image * bins).floor().clamp(0, bins - 1)
        return (level + (torch.rand_like(level) if noisy else 0.5)) / bins - 0.5

    def _cloud_grid(self, points: Tensor, generator: Generator | None = None) -> Tensor:
        """Lay clouds (B, N, 3), data units, out on the grid (B, 3, H, W), standardised units."""
        wanted = self.config.points
        if points.shape[1] < wanted:
            raise ValueError(f"points: expected {wanted} in each cloud, got {points.shape[1]}")
        if points.shape[1] > wanted:
            points = _some(points, wanted, generator)
        standardised, _ = self.units(points)
        sequence = take(standardised, hilbert_order(standardised))
        return sequence[:, self.place].mT.unflatten(-1, self.config.cloud_grid)

    def _check(self, condition: Condition) -> None:
        if condition.label is not None:
            raise ValueError("condition.label: C-Flow does not take one")
        if condition.guidance != 1 or condition.code == "mean":
            raise ValueError("condition: C-Flow has no guidance and no shape code to average")
        if condition.image is not None and not self.makes_clouds:
            raise ValueError("condition.image: this model makes pictures from clouds")


def _rows(value: Tensor, count: int, name: str) -> Tensor:
    if len(value) not in (1, count):
        raise ValueError(f"{name}: expected 1 or {count} rows, got {len(value)}")
    return value


def _some(clouds: Tensor, count: int, generator: Generator | None) -> Tensor:
    """Choose `count` points of each cloud (B, N, 3) at random."""
    chance = uniform_noise(clouds.shape[:2], clouds, generator)
    return take(clouds, chance.argsort(dim=1)[:, :count])
