"""A hybrid: one model that says which category a cloud is of, and how probable the cloud is.

A PointFlow carries the code of a cloud to noise; a linear layer on that noise tells categories
apart, and the same invertible features answer for the density. Shapes without a label train the
density alone, which helps the categories where labels are few. Source: Nalisnick et al. 2019
(Hybrid Models with Deep and Invertible Features), whose weighted objective it is.
"""

from __future__ import annotations

from typing import Annotated, Literal
from zlib import crc32

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator
from torch import Tensor, nn

from pointgen.batch import Batch
from pointgen.models.around import AroundPointFlow
from pointgen.models.base import Loss
from pointgen.models.categories import Names
from pointgen.models.flows import NoPrior
from pointgen.models.pointflow import PointFlowConfig

__all__ = ["Hybrid", "HybridConfig"]

CHECKSUMS = 2**32  # how many there are


class HybridConfig(BaseModel):
    """A classifier that knows densities."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["hybrid"] = "hybrid"
    categories: Names
    """Names of the categories to tell apart, the first of the data's in their order; shapes of
    the data's others count as unlabelled."""
    labelled: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of training shapes whose labels are used, chosen by their ids."""
    flow: PointFlowConfig
    """The density."""
    confidence_weight: NonNegativeFloat = 0.3
    """Weight of the entropy of p(category | cloud) of unlabelled shapes, nats: borders between
    categories move to where there are few shapes (Grandvalet and Bengio 2004)."""
    flow_weight: NonNegativeFloat = 1.0
    """Weight of the flow's own loss beside the cross entropy of the labels, nats."""

    @model_validator(mode="after")
    def _has_noise(self) -> HybridConfig:
        if isinstance(self.flow.prior, NoPrior):
            raise ValueError("flow.prior.kind = 'none': categories are read off a prior's noise")
        if self.flow.condition is not None:
            raise ValueError("flow.condition: a hybrid finds out the category, so is told none")
        return self

    @property
    def image_size(self) -> None:
        """Width and height of the pictures that it is given: it takes none."""
        return None

    @property
    def parts(self) -> dict[str, str]:
        """What each part of the model is, by name."""
        return {**self.flow.parts, "categories": "linear in the prior's noise"}

    def build(self) -> Hybrid:
        """Build the model with random weights and unit units."""
        return Hybrid(self)


class Hybrid(AroundPointFlow):
    """p(category | cloud) and p(cloud); generates and encodes as its PointFlow does."""

    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        self.config = config
        self.flow = config.flow.build()
        self.head = nn.Linear(config.flow.code_dim, len(config.categories))
        if not config.flow_weight:  # several processes wait for the gradients of all that ask
            self.flow.points.requires_grad_(False)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories, in the order of their labels."""
        return self.config.categories

    def loss(self, batch: Batch) -> Loss:
        """Return the cross entropy of labelled shapes and the weighted loss of the flow.

        Raises:
            ValueError: The batch has no labels.
        """
        if batch.label is None:
            raise ValueError("hybrid: expected data with labels")
        posterior = self.flow.posterior(batch.points)
        code, _ = posterior.draw()
        logits = self._logits(code)
        known = self._known(batch)
        label = batch.label.where(known, 0)
        log_p = logits.log_softmax(-1)  # (B, K)
        cross = _mean(-log_p.gather(1, label.unsqueeze(1)).squeeze(1), known)
        entropy = _mean(-(log_p.exp() * log_p).sum(-1), ~known)
        right = _mean((logits.argmax(-1) == label).to(cross.dtype), known)
        total = cross + self.config.confidence_weight * entropy
        terms = {"cross_entropy": cross, "unlabelled_entropy": entropy, "accuracy": right}
        if self.config.flow_weight:
            flow = self.flow.loss_given(batch, posterior)
            total = total + self.config.flow_weight * flow.total
            terms |= flow.terms
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def classify(self, points: Tensor) -> Tensor:
        """Return the probabilities (B, K) of the categories of clouds (B, N, 3), data units."""
        return self._logits(self.encode(points)).softmax(dim=-1)

    def _logits(self, codes: Tensor) -> Tensor:
        """Return unnormalised log-probabilities (B, K) of the categories, of codes (B, C)."""
        logits: Tensor = self.head(self.flow.noise(codes))
        return logits.to(codes.dtype)

    def _known(self, batch: Batch) -> Tensor:
        """Return which shapes (B,) of a batch have a label that is used."""
        assert batch.label is not None
        known = batch.label < len(self.categories)
        if self.training and self.config.labelled < 1:
            chosen = [crc32(id.encode()) < self.config.labelled * CHECKSUMS for id in batch.id]
            known = known & torch.tensor(chosen).to(known.device, non_blocking=True)
        return known


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of the chosen of some values (B,); 0 where there are none."""
    return values.where(chosen, 0).sum() / chosen.sum().clamp_min(1)
