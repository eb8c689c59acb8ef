"""What a flow over shape codes is given: a picture, a category, both, or nothing."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import Tensor, nn

from pointgen.batch import Batch
from pointgen.models.base import Condition
from pointgen.networks import ImageBackboneConfig, ImageEncoderConfig

__all__ = ["Conditioner", "ConditionerConfig", "given"]


class ConditionerConfig(BaseModel):
    """Which conditions a model takes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    image: ImageEncoderConfig | None = None
    """The network that reads pictures; left out, none are read."""
    categories: tuple[str, ...] = ()
    """Names of the categories that may be asked for, in the order of the data's."""
    width: PositiveInt = 256
    """Numbers that the flow is given."""
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """How often training hides the picture, and how often the category. What was never hidden
    cannot be left out when sampling, and 0 leaves no guidance."""

    @model_validator(mode="after")
    def _something(self) -> ConditionerConfig:
        if self.image is None and not self.categories:
            raise ValueError("expected image or categories, got neither")
        return self

    def found(self) -> ConditionerConfig:
        """Return the config with the architecture of a published image encoder in it.

        Raises:
            ValueError: The encoder cannot be had.
        """
        if not isinstance(self.image, ImageBackboneConfig):
            return self
        return self.model_copy(update={"image": self.image.found()})

    def build(self) -> Conditioner:
        """Build the network; its image encoder's weights are random, or downloaded."""
        return Conditioner(self)


def given(batch: Batch, config: ConditionerConfig | None) -> Condition:
    """Return the part of a batch that the config's model is to be conditioned by.

    Raises:
        ValueError: The batch has no pictures where the model takes some.
    """
    if config is None:
        return Condition()
    if config.image is not None and batch.image is None:
        raise ValueError("model.condition.image: expected data with pictures (kind 'renderings')")
    image = None if config.image is None else batch.image
    return Condition(image, batch.label if config.categories else None)


class Conditioner(nn.Module):
    """A sum of what the picture says and what the category says; each has a word for silence."""

    def __init__(self, config: ConditionerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = None if config.image is None else config.image.build()
        if self.encoder is not None:
            self.read = nn.Sequential(
                nn.LayerNorm(self.encoder.features),
                nn.Linear(self.encoder.features, config.width),
                nn.SiLU(),
                nn.Linear(config.width, config.width),
            )
            self.no_image = nn.Parameter(torch.zeros(config.width))
        self.names = None
        if config.categories:
            # the last row stands for no category
            self.names = nn.Embedding(len(config.categories) + 1, config.width)

    def forward(self, condition: Condition, count: int) -> Tensor:
        """Return (count, `width`); in training, parts of the condition are hidden at random.

        Raises:
            ValueError: A part is given that the model does not take, or one is missing that it
                was never trained without.
        """
        self._check(condition, count)
        parts = []
        if self.encoder is not None:
            nothing = self.no_image.expand(count, -1)
            if condition.image is None:
                parts.append(nothing)
            else:
                seen = self.see(condition.image).expand(count, -1)
                parts.append(torch.where(self._hidden(seen), nothing, seen))
        if self.names is not None:
            none = len(self.config.categories)
            label = condition.label
            if label is None:
                label = torch.full((1,), none, device=self.names.weight.device)
            label = label.expand(count).unsqueeze(1)
            label = label.where(~self._hidden(label), none)
            parts.append(self.names(label.squeeze(1)))
        return torch.stack(parts).sum(0)

    def see(self, image: Tensor) -> Tensor:
        """Return what pictures (B, 3, H, W) say, (B, `width`)."""
        assert self.encoder is not None
        said: Tensor = self.read(self.encoder(image))
        return said

    def _hidden(self, rows: Tensor) -> Tensor:
        """Draw which rows (B, 1) are hidden; none outside training."""
        shape = (len(rows), 1)
        if not self.training:
            return torch.zeros(shape, dtype=torch.bool, device=rows.device)
        return torch.rand(shape, device=rows.device) < self.config.drop

    def _check(self, condition: Condition, count: int) -> None:
        for name, value, taken in (
            ("image", condition.image, self.encoder is not None),
            ("label", condition.label, self.names is not None),
        ):
            if value is not None and not taken:
                raise ValueError(f"condition.{name}: this model does not take one")
            if value is not None and len(value) not in (1, count):
                raise ValueError(f"condition.{name}: expected 1 or {count} rows, got {len(value)}")
            if value is None and taken and self.config.drop == 0:
                raise ValueError(
                    f"condition.{name}: expected one, this model was never trained without "
                    "(condition.drop = 0)"
                )
        label, known = condition.label, len(self.config.categories)
        if self.training:  # the data's numbers are known to fit, and to look makes a GPU wait
            return
        if label is not None and not ((label >= 0) & (label < known)).all():
            raise ValueError(f"condition.label: expected numbers below {known}")
