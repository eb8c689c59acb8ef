"""PointFlow: a flow over shape codes, and for each code a flow over points.

Two objectives train the same networks: `likelihood` maximises the evidence lower bound by solving
ODEs, `matching` regresses the velocities of both levels. Source: Yang et al. 2019 (PointFlow).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)
from torch import Generator, Tensor, nn

from pointgen.batch import Batch
from pointgen.flows.affine import MovingBatchNorm, Standardize
from pointgen.flows.base import Chain, Flow
from pointgen.flows.continuous import inverse_points, solving_with
from pointgen.flows.matching import matching_loss
from pointgen.flows.solver import Solver
from pointgen.flows.trajectory import trajectory
from pointgen.geometry.pairing import pair_kd
from pointgen.models.base import Condition, Loss, PointCloudModel
from pointgen.models.cnf import CnfConfig
from pointgen.models.codes import between
from pointgen.models.combinations import check_parts
from pointgen.models.conditioning import ConditionerConfig, given
from pointgen.models.evidence import Evidence, weighed
from pointgen.models.flows import (
    FlowConfig,
    NoPrior,
    PriorConfig,
    build_flow,
    build_sampler,
)
from pointgen.models.posterior import Posterior
from pointgen.models.prior import CODE_DRAWS, choose_codes
from pointgen.networks import ConcatSquashConfig, EncoderConfig, PointNetConfig

__all__ = ["PointFlow", "PointFlowConfig"]

BOUND_DRAWS = 4  # codes that a bound of log p(X) is weighted over


class PointFlowConfig(BaseModel):
    """The paper's model by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["pointflow"] = "pointflow"
    objective: Literal["likelihood", "matching"] = "likelihood"
    """What training minimises; a run trained by one may be continued by the other."""
    code_dim: PositiveInt = 128
    """Numbers in a shape code."""
    posterior: Literal["gaussian", "deterministic"] = "gaussian"
    """Whether a cloud is encoded to a distribution over codes, or to one code."""
    encoder: EncoderConfig = PointNetConfig()
    """From a cloud to its code."""
    posterior_flow: FlowConfig | None = None
    """A flow that draws of the Gaussian posterior go through; left out, they are codes."""
    points: FlowConfig = CnfConfig()
    """p(x | z), the flow over points given a code."""
    prior: PriorConfig = CnfConfig(field=ConcatSquashConfig(dims=(256, 256)))
    """p(z), the flow over codes."""
    condition: ConditionerConfig | None = None
    """Make the flow over codes p(z | picture, category); left out, it is given nothing."""
    pairing: Literal["none", "kd"] = "kd"
    """matching: how noise and data points of a cloud are paired."""
    times: PositiveInt = 8
    """matching: how many times in [0, 1] each cloud is seen at in a step, each by an equal part of
    its points; the largest number that divides both this and the points is taken."""
    prior_draws: PositiveInt = 16
    """matching: how often each code is paired with fresh noise in a step."""
    kl_weight: NonNegativeFloat = 1e-3
    """matching: weight of KL(q(z | X) || N(0, I)), which keeps the codes near N(0, I)."""
    recon_weight: NonNegativeFloat = 1.0
    """likelihood: weight of log p(X | z)."""
    prior_weight: NonNegativeFloat = 1.0
    """likelihood: weight of log p(z)."""
    entropy_weight: NonNegativeFloat = 1.0
    """likelihood: weight of the entropy of q(z | X)."""

    @field_validator("points", "encoder", mode="before")
    @classmethod
    def _usual_kind(cls, value: object, info: ValidationInfo) -> object:
        """Let a section without a kind be of the usual one."""
        usual = {"points": "cnf", "encoder": "pointnet"}[str(info.field_name)]
        return {"kind": usual, **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _parts_fit(self) -> PointFlowConfig:
        check_parts(self)
        return self

    @property
    def image_size(self) -> int | None:
        """Width and height of the pictures that the prior is given, pixels; None: it takes none."""
        image = None if self.condition is None else self.condition.image
        return None if image is None else image.image_size

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories that the prior is told, in the order of their labels."""
        return () if self.condition is None else self.condition.categories

    @property
    def parts(self) -> dict[str, str]:
        """What each part of the model is, by name."""
        bent = "" if self.posterior_flow is None else f" through {self.posterior_flow.kind}"
        return {
            "encoder": self.encoder.kind,
            "posterior": self.posterior + bent,
            "prior": self.prior.kind,
            "points": self.points.kind,
        }

    def build(self) -> PointFlow:
        """Build the model with random weights and unit units."""
        return PointFlow(self)


class PointFlow(PointCloudModel):
    """The two-level flow; an autoencoder of clouds too."""

    def __init__(self, config: PointFlowConfig) -> None:
        super().__init__()
        self.config = config
        dim, bending = config.code_dim, config.posterior_flow
        outputs = 1 if config.posterior == "deterministic" else 2 if bending is None else 3
        self.encoder = config.encoder.build(dim, outputs=outputs)
        self.bend = None if bending is None else build_sampler(bending, dim, dim)
        self.points = build_flow(config.points, 3, dim, before=[Standardize(3)])
        self.prior: Flow | None = None
        if not isinstance(config.prior, NoPrior):
            width = 0 if config.condition is None else config.condition.width
            self.prior = build_flow(config.prior, dim, width)
        self.conditioner = None if config.condition is None else config.condition.build()
        if config.objective == "matching":
            matched = [self.points, self.prior if config.prior.kind == "cnf" else None]
            for part in nn.ModuleList(filter(None, matched)).modules():
                if isinstance(part, MovingBatchNorm):
                    part.requires_grad_(False)  # see `matching_loss`: it crosses them, untrained

    @property
    def units(self) -> Standardize:
        """The first transform of the point level: data units to standardised units."""
        assert isinstance(self.points.transform, Chain)
        units = next(iter(self.points.transform))
        assert isinstance(units, Standardize)
        return units

    def set_units(self, mean: Tensor, std: Tensor) -> None:
        """Take the training set's mean (3,) and standard deviation (3,), data units."""
        self.units.set(mean, std)

    @property
    def image_size(self) -> int | None:
        """Width and height of the pictures that it was built for, pixels; None: it takes none."""
        return self.config.image_size

    def loss(self, batch: Batch) -> Loss:
        """Return the loss of the config's objective; encoder and decoder see different points.

        Raises:
            ValueError: The batch has no pictures where the model reads them.
        """
        return self.loss_given(batch, self.posterior(batch.points))

    def loss_given(self, batch: Batch, posterior: Posterior) -> Loss:
        """Return the loss of a batch whose q(z | X) is known."""
        target = batch.points if batch.target is None else batch.target
        context = self._context(given(batch, self.config.condition), len(batch))
        if self.config.objective == "matching":
            return self._matching(target, posterior, context)
        return self._likelihood(target, posterior, context)

    def posterior(self, points: Tensor) -> Posterior:
        """Return q(z | X) of clouds (B, N, 3), data units."""
        standardised, _ = self.units(points)
        # Under autocast the encoder answers in half precision, which is too coarse for densities.
        mean, *more = [output.to(points.dtype) for output in self.encoder(standardised)]
        return Posterior(mean, more[0] if more else None, self.bend, *more[1:])

    def log_prob(self, points: Tensor, codes: Tensor) -> Tensor:
        """Return log p(X | z) (B,) of clouds (B, N, 3) given codes (B, C), nats, data units."""
        return self.points.log_prob(points, codes.unsqueeze(1)).sum(-1)

    def log_prior(self, codes: Tensor, condition: Condition | None = None) -> Tensor:
        """Return log p(z) or log p(z | condition) (B,) of codes (B, C), nats."""
        return self._prior().log_prob(codes, self._context(condition or Condition(), len(codes)))

    def noise(self, codes: Tensor) -> Tensor:
        """Map codes (B, C) to the prior's noise (B, C)."""
        return self._prior().transform.to_noise(codes, self._context(Condition(), len(codes)))

    @torch.no_grad()
    def log_prob_given(
        self, points: Tensor, condition: Condition, *, generator: Generator | None = None
    ) -> Tensor:
        """Return a lower bound of log p(X | condition) (B,), nats; see `evidence`."""
        found = self.evidence(points, draws=BOUND_DRAWS, condition=condition, generator=generator)
        return found.log_prob

    @torch.no_grad()
    def evidence(
        self,
        points: Tensor,
        *,
        draws: int,
        condition: Condition | None = None,
        generator: Generator | None = None,
    ) -> Evidence:
        """Return how probable clouds (B, N, 3), data units, are, by so many codes of q(z | X).

        Raises:
            ValueError: The model has no prior, or a deterministic posterior.
        """
        context = self._context(condition or Condition(), len(points))
        return weighed(
            self.posterior(points),
            lambda code: self.log_prob(points, code),
            lambda code: self._prior().log_prob(code, context),
            draws=draws,
            generator=generator,
        )

    def encode(self, points: Tensor) -> Tensor:
        """Map clouds (B, N, 3), data units, to their codes (B, C), free of noise."""
        return self.posterior(points).centre()

    def decode(
        self,
        codes: Tensor,
        num_points: int,
        *,
        generator: Generator | None = None,
        solver: Solver | None = None,
    ) -> Tensor:
        """Draw clouds (B, num_points, 3), data units; NaN where the flow cannot be solved."""
        noise = self.points.base.sample((len(codes), num_points), generator)
        with solving_with(self, samples=solver):
            return inverse_points(self.points.transform, noise, codes.unsqueeze(1))

    @torch.no_grad()
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
        noise = self.points.base.sample((len(codes), num_points), generator)
        with solving_with(self, samples=solver):
            return trajectory(self.points.transform, noise, codes.unsqueeze(1), frames)

    def see(self, image: Tensor) -> Tensor:
        """Map pictures (B, 3, H, W) in [0, 1] to what the prior learns from them (B, W).

        Raises:
            ValueError: The model takes no pictures.
        """
        if self.image_size is None or self.conditioner is None:
            raise ValueError("this model takes no pictures")
        features: Tensor = self.conditioner.see(image)
        return features

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
        """Draw new clouds (count, num_points, 3) in data units; see `PointCloudModel.sample`."""
        if min(count, num_points) < 1:
            raise ValueError(f"expected at least one cloud and point, got {count} and {num_points}")
        codes = self.codes(
            count,
            generator=generator,
            temperature=temperature,
            solver=solver,
            condition=condition,
        )
        return self.decode(codes, num_points, generator=generator, solver=solver)

    @torch.no_grad()
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
        condition = condition or Condition()
        draws = 1 if condition.code == "sample" else CODE_DRAWS
        prior = self._prior()
        noise = temperature * prior.base.sample((count, draws), generator)
        with solving_with(self, samples=solver):
            return choose_codes(prior, noise, condition, self._context)

    @torch.no_grad()
    def between(self, first: Tensor, second: Tensor, count: int) -> Tensor:
        """Return codes (count, C) on the way from one code (C,) to another, ends included."""
        transform = None if self.prior is None else self.prior.transform
        return between(first, second, count, transform, self._context(Condition(), 1))

    def _prior(self) -> Flow:
        if self.prior is None:
            raise ValueError(
                "this model has no prior over codes (prior.kind = 'none'): it can reconstruct, "
                "not generate"
            )
        return self.prior

    def _context(self, condition: Condition, count: int) -> Tensor | None:
        """Return what the prior is given (count, W), None if nothing."""
        if self.conditioner is not None:
            context: Tensor = self.conditioner(condition, count)
            return context
        if condition.image is not None or condition.label is not None:
            raise ValueError("this model takes neither pictures nor categories")
        return None

    def _likelihood(self, target: Tensor, posterior: Posterior, context: Tensor | None) -> Loss:
        """Return the negative evidence lower bound, nats. Source: Yang et al. 2019, eq. 8."""
        before = self.evaluations
        code, log_q = posterior.draw()
        log_px = self.log_prob(target, code).mean()
        zero = log_px.new_zeros(())
        log_pz = zero if self.prior is None else self.prior.log_prob(code, context).mean()
        entropy = zero if log_q is None else posterior.entropy(log_q).mean()
        config = self.config
        total = -(
            config.recon_weight * log_px
            + config.prior_weight * log_pz
            + config.entropy_weight * entropy
        )
        return Loss(
            total,
            {
                "log_px_per_point": log_px.detach() / target.shape[1],
                "log_pz": log_pz.detach(),
                "entropy": entropy.detach(),
                "forward_evaluations": log_px.new_full((), self.evaluations - before),
            },
        )

    def _matching(self, target: Tensor, posterior: Posterior, context: Tensor | None) -> Loss:
        """Return the flow matching losses of both levels, squared standardised units."""
        config = self.config
        code, log_q = posterior.draw()
        total = matching_loss(
            self.points.transform,
            target,
            code.unsqueeze(1),
            pairing=pair_kd if config.pairing == "kd" else None,
            times=math.gcd(config.times, target.shape[1]),
        ).mean()
        terms = {"points": total.detach()}
        if self.prior is not None and any(True for _ in self.prior.parameters()):
            prior = self._prior_loss(posterior, context)
            terms["prior"] = prior.detach()
            total = total + prior
        if log_q is not None:
            kl = posterior.divergence(code, log_q).mean()
            terms["kl"] = kl.detach()
            total = total + config.kl_weight * kl
        return Loss(total, terms)

    def _prior_loss(self, posterior: Posterior, context: Tensor | None) -> Tensor:
        """Return the matching loss of a continuous prior, else its nats for a number of a code.

        No gradient reaches the codes: they serve the points, and the prior follows them.
        """
        prior, draws = self._prior(), self.config.prior_draws
        with torch.no_grad():
            codes, _ = posterior.fixed(draws).draw()
        given = None if context is None else context.repeat(draws, 1)
        if isinstance(self.config.prior, CnfConfig):
            return matching_loss(prior.transform, codes, given).mean()
        return -prior.log_prob(codes, given).mean() / codes.shape[-1]
