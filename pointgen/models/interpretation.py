"""An invertible map of the codes of a trained, frozen model into named factors, to edit shapes by.

It learns from pairs of shapes that have one factor in common: the numbers of that factor are then
alike, and all others are independent standard normal noise. Source: Esser, Rombach and Ommer 2020
(A Disentangling Invertible Interpretation Network), section 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import Tensor, nn

from pointgen.batch import Batch
from pointgen.flows.glow import ActNorm
from pointgen.models.around import AroundPointFlow
from pointgen.models.base import Loss
from pointgen.models.codes import great_circle
from pointgen.models.coupling import GlowConfig
from pointgen.models.flows import build_flow
from pointgen.models.pointflow import PointFlowConfig
from pointgen.networks import FilmConfig

__all__ = ["REST", "Factor", "Interpretation", "InterpretationConfig"]

REST = "rest"  # what is left of a code
LEAST_VARIANCE = 1e-6  # of an attribute in a batch, standardised


class Factor(BaseModel):
    """One thing that shapes may have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    size: PositiveInt
    """How many numbers it takes."""
    attributes: Annotated[tuple[str, ...], Field(min_length=1)]
    """What it is measured by in the data."""


class InterpretationConfig(BaseModel):
    """A map of the codes of another run."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["interpretation"] = "interpretation"
    run: Path | None = None
    """The run whose codes are interpreted, a PointFlow; its weights are copied and stay as they
    are."""
    flow: PointFlowConfig | None = None
    """The model of that run; found there when training begins."""
    factors: dict[str, Factor]
    """What shapes have in common, by name; what is left of a code is the factor "rest"."""
    transform: GlowConfig = GlowConfig(layers=8, network=FilmConfig(width=256))
    """The map."""
    correlation: Annotated[float, Field(gt=0, lt=1)] = 0.975
    """Of the numbers of a factor between shapes that have it in common."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.run is None and self.flow is None:
            raise ValueError("run: expected the run whose codes are to be interpreted, got nothing")
        if not self.factors or REST in self.factors:
            raise ValueError(f"factors: expected some, none of them named {REST!r}")
        if self.flow is not None and self.left < 0:
            raise ValueError(
                f"factors: expected sizes of {self.flow.code_dim} numbers together at most, those "
                f"of a code, got {self.flow.code_dim - self.left}"
            )
        return self

    @property
    def left(self) -> int:
        """How many numbers of a code belong to no factor."""
        assert self.flow is not None
        return self.flow.code_dim - sum(factor.size for factor in self.factors.values())

    @property
    def attributes(self) -> dict[str, str]:
        """The factor of each attribute, in the order of the data's."""
        return {name: key for key, factor in self.factors.items() for name in factor.attributes}

    @property
    def image_size(self) -> None:
        """Width and height of the pictures that it is given: it takes none."""
        return None

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories that it is told: none."""
        return ()

    @property
    def parts(self) -> dict[str, str]:
        """What each part of the model is, by name."""
        flow = {} if self.flow is None else self.flow.parts
        return {**flow, "factors": ", ".join(self.factors)}

    def build(self) -> Interpretation:
        """Build the model with random weights and unit units.

        Raises:
            ValueError: The model of the run is not known yet.
        """
        return Interpretation(self)


class Interpretation(AroundPointFlow):
    """Named factors of the codes of a PointFlow, which stays as it is."""

    owner: Tensor

    def __init__(self, config: InterpretationConfig) -> None:
        super().__init__()
        if config.flow is None:
            raise ValueError(f"model.flow: expected the model of {config.run}, got nothing")
        self.config = config
        self.flow = config.flow.build().requires_grad_(False)
        dim = config.flow.code_dim
        flow = build_flow(config.transform, dim, 0)
        self.transform, self.base = flow.transform, flow.base
        self.sizes = [factor.size for factor in config.factors.values()]
        # Which factor each number of a code belongs to, the rest being the last.
        sizes = torch.tensor([*self.sizes, config.left])
        owner = torch.arange(len(sizes)).repeat_interleave(sizes)
        self.register_buffer("owner", owner, persistent=False)
        self.readings = nn.ModuleDict(
            {
                name: nn.Linear(factor.size, len(factor.attributes))
                for name, factor in config.factors.items()
            }
        )
        # Attributes have units of their own: the first batch says how large they are.
        self.scale = ActNorm(len(config.attributes)).requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but the frozen model."""
        super().train(mode)
        self.flow.eval()
        return self

    def loss(self, batch: Batch) -> Loss:
        """Return the mean negative log-likelihood of pairs, nats a number of a code.

        Beside it the attributes are read off their factors, without a gradient to these: "r2" is
        how much of their variance is found.

        Raises:
            ValueError: The batch has no pairs.
        """
        if batch.partner is None or batch.factor is None or batch.attributes is None:
            raise ValueError("interpretation: expected data of pairs (kind 'pairs')")
        with torch.no_grad():
            codes = self.flow.encode(torch.cat([batch.points, batch.partner]))
        both, ladj = self.transform(codes)
        (first, second), (ladj_first, ladj_second) = both.chunk(2), ladj.chunk(2)
        # How the numbers (B, C) of the two shapes are correlated.
        rho = self.config.correlation * (self.owner == batch.factor.unsqueeze(1)).to(codes.dtype)
        spread = (1 - rho.square()).sqrt()
        given = (second - rho * first) / spread
        log_first = self.base.log_prob(first) + ladj_first
        log_second = self.base.log_prob(given) - spread.log().sum(-1) + ladj_second
        nats = -(log_first + log_second).mean() / (2 * codes.shape[-1])
        wanted, _ = self.scale(batch.attributes.to(first))
        wrong = (self._read(first.detach()) - wanted).square().mean(0)
        missed = wrong / wanted.var(0, correction=0).clamp_min(LEAST_VARIANCE)
        terms = {"nats": nats.detach(), "r2": 1 - missed.detach().mean()}
        return Loss(nats + wrong.mean(), terms)

    def factors_of(self, codes: Tensor) -> dict[str, Tensor]:
        """Return the numbers (B, size) of each factor of codes (B, C), the rest last."""
        numbers, _ = self.transform(codes)
        names = [*self.config.factors, REST]
        return dict(zip(names, numbers.split([*self.sizes, self.config.left], dim=-1), strict=True))

    def codes_of(self, factors: dict[str, Tensor]) -> Tensor:
        """Return codes (B, C) of factors as `factors_of` gives them."""
        return self.transform.inverse(torch.cat(list(factors.values()), dim=-1))

    def attributes_of(self, codes: Tensor) -> Tensor:
        """Read the attributes (B, A), in their own units, off the factors of codes (B, C)."""
        numbers, _ = self.transform(codes)
        return self.scale.inverse(self._read(numbers))

    def swapped(self, codes: Tensor, donor: Tensor, factor: str, share: float = 1.0) -> Tensor:
        """Return codes (B, C) with a factor of the donor (1, C), or moved that share of the way.

        Raises:
            ValueError: There is no such factor.
        """
        own, other = self.factors_of(codes), self.factors_of(donor)
        self._check(factor, own)
        ways = [
            great_circle(row, other[factor], row.new_tensor([[share]]))
            for row in own[factor].split(1)
        ]
        return self.codes_of(own | {factor: torch.cat(ways)})

    def scaled(self, codes: Tensor, factor: str, by: float) -> Tensor:
        """Return codes (B, C) with a factor so many times as far from the average shape's.

        Raises:
            ValueError: There is no such factor.
        """
        own = self.factors_of(codes)
        self._check(factor, own)
        return self.codes_of(own | {factor: by * own[factor]})

    def put(
        self, codes: Tensor, attribute: str, value: float | Tensor, share: float = 1.0
    ) -> Tensor:
        """Return codes (B, C) whose factor is moved no further than the attribute needs.

        The value is one for all, or (B,). With a share, the attribute comes only that share of the
        way to it.

        Raises:
            ValueError: There is no such attribute.
        """
        names = self.config.attributes
        if attribute not in names:
            raise ValueError(f"attribute {attribute}: expected one of {', '.join(names)}")
        factor = names[attribute]
        own = self.factors_of(codes)
        reading = self.readings[factor]
        assert isinstance(reading, nn.Linear)
        row = self.config.factors[factor].attributes.index(attribute)
        weight, bias = reading.weight[row], reading.bias[row]
        wanted = self.standardised(attribute, value)
        lacking = wanted - own[factor] @ weight - bias  # (B,)
        step = share * lacking.unsqueeze(-1) * weight / weight.square().sum()
        return self.codes_of(own | {factor: own[factor] + step})

    def standardised(self, attribute: str, value: float | Tensor) -> Tensor:
        """Return a value of an attribute in units of its deviation from the average shape's."""
        place = list(self.config.attributes).index(attribute)
        return value * self.scale.log_scale[place].exp() + self.scale.bias[place]

    def _read(self, numbers: Tensor) -> Tensor:
        """Return the standardised attributes (B, A) that the numbers (B, C) of all factors tell."""
        parts = numbers[:, : sum(self.sizes)].split(self.sizes, dim=-1)
        read = [reading(part) for reading, part in zip(self.readings.values(), parts, strict=True)]
        return torch.cat(read, dim=-1)

    def _check(self, factor: str, known: dict[str, Tensor]) -> None:
        if factor not in known:
            raise ValueError(f"factor {factor}: expected one of {', '.join(known)}")
