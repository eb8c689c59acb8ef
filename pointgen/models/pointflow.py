"""PointFlow: a flow over shape codes, and for each code a flow over points.

Two objectives train the same networks: `likelihood` maximises the evidence lower bound by solving
ODEs, `matching` regresses the velocities of both levels. Source: Yang et al. 2019 (PointFlow).
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Annotated, Literal

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveInt,
    model_validator,
)
from torch import Generator, Tensor

from pointgen.batch import Batch
from pointgen.flows.affine import MovingBatchNorm, Standardize
from pointgen.flows.base import Chain, Flow, StandardNormal, standard_noise
from pointgen.flows.continuous import inverse_each, sampling_with
from pointgen.flows.guidance import guided
from pointgen.flows.matching import matching_loss
from pointgen.flows.solver import Solver
from pointgen.flows.trajectory import trajectory
from pointgen.geometry.pairing import pair_kd
from pointgen.models.base import Condition, Loss, PointCloudModel
from pointgen.models.cnf import CnfConfig, NoPrior
from pointgen.models.codes import between, draw_code, gaussian_entropy
from pointgen.models.conditioning import ConditionerConfig, given
from pointgen.networks import ConcatSquashConfig, PointNetConfig

__all__ = ["PointFlow", "PointFlowConfig"]

# Points are independent given the code, so a cloud of any size is solved in pieces: about 1 GiB
# for a field of width 512.
POINTS_AT_ONCE = 2**18
CODE_DRAWS = 16  # whose mean, or likeliest, is taken where one code is wanted for a condition
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
    encoder: PointNetConfig = PointNetConfig()
    """From a cloud to its code."""
    points: CnfConfig = CnfConfig()
    """p(x | z), the flow over points given a code."""
    prior: Annotated[CnfConfig | NoPrior, Field(discriminator="kind")] = CnfConfig(
        field=ConcatSquashConfig(dims=(256, 256))
    )
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

    @model_validator(mode="after")
    def _parts_fit(self) -> PointFlowConfig:
        has_prior = isinstance(self.prior, CnfConfig)
        flows = [flow for flow in (self.points, self.prior) if isinstance(flow, CnfConfig)]
        if self.objective == "matching" and any(flow.blocks > 1 for flow in flows):
            raise ValueError(
                "objective 'matching' takes flows of one block: between two CNFs no path is given"
            )
        if self.objective == "likelihood" and self.posterior == "deterministic" and has_prior:
            raise ValueError(
                "objective 'likelihood' with a deterministic posterior takes prior.kind = 'none': "
                "without an entropy the codes would collapse to raise log p(z)"
            )
        if self.condition is not None and not has_prior:
            raise ValueError("condition: prior.kind = 'none' leaves no flow to be conditioned")
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

    def build(self) -> PointFlow:
        """Build the model with random weights and unit units."""
        return PointFlow(self)


class PointFlow(PointCloudModel):
    """The two-level flow; an autoencoder of clouds too."""

    def __init__(self, config: PointFlowConfig) -> None:
        super().__init__()
        self.config = config
        gaussian = config.posterior == "gaussian"
        self.encoder = config.encoder.build(config.code_dim, outputs=2 if gaussian else 1)
        units = Standardize(3)
        self.points = Flow(
            Chain([units, *config.points.build(3, config.code_dim)]), StandardNormal(3)
        )
        self.prior: Flow | None = None
        if isinstance(config.prior, CnfConfig):
            width = 0 if config.condition is None else config.condition.width
            self.prior = Flow(
                Chain(config.prior.build(config.code_dim, width)), StandardNormal(config.code_dim)
            )
        self.conditioner = None if config.condition is None else config.condition.build()
        if config.objective == "matching":
            for part in self.modules():
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
        mean, log_var = self.posterior(batch.points)
        target = batch.points if batch.target is None else batch.target
        context = self._context(given(batch, self.config.condition), len(batch))
        if self.config.objective == "matching":
            return self._matching(target, mean, log_var, context)
        return self._likelihood(target, mean, log_var, context)

    def posterior(self, points: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return mean and log-variance (B, C) of q(z | X); the latter None if deterministic."""
        standardised, _ = self.units(points)
        # Under autocast the encoder answers in half precision, which is too coarse for densities.
        outputs = [output.to(points.dtype) for output in self.encoder(standardised)]
        return (outputs[0], outputs[1]) if len(outputs) == 2 else (outputs[0], None)

    def log_prob(self, points: Tensor, codes: Tensor) -> Tensor:
        """Return log p(X | z) (B,) of clouds (B, N, 3) given codes (B, C), nats, data units."""
        return self.points.log_prob(points, codes.unsqueeze(1)).sum(-1)

    def log_prior(self, codes: Tensor, condition: Condition | None = None) -> Tensor:
        """Return log p(z) or log p(z | condition) (B,) of codes (B, C), nats."""
        return self._prior().log_prob(codes, self._context(condition or Condition(), len(codes)))

    @torch.no_grad()
    def log_prob_given(
        self, points: Tensor, condition: Condition, *, generator: Generator | None = None
    ) -> Tensor:
        """Return a lower bound of log p(X | condition) (B,), nats, of clouds (B, N, 3), data units.

        It is importance-weighted over `BOUND_DRAWS` codes of q(z | X). Source: Burda et al. 2016,
        eq. 8.

        Raises:
            ValueError: The model has no prior, or a deterministic posterior.
        """
        mean, log_var = self.posterior(points)
        if log_var is None:
            raise ValueError("a bound of log p(X) needs posterior = 'gaussian'")
        weights = []
        for _ in range(BOUND_DRAWS):
            drawn = standard_noise(mean.shape, mean, generator)
            code = mean + (0.5 * log_var).exp() * drawn
            log_q = -0.5 * (drawn.square() + log_var + math.log(2 * math.pi)).sum(-1)
            weights.append(self.log_prob(points, code) + self.log_prior(code, condition) - log_q)
        return torch.stack(weights).logsumexp(0) - math.log(BOUND_DRAWS)

    def encode(self, points: Tensor) -> Tensor:
        """Map clouds (B, N, 3), data units, to the means of their codes (B, C)."""
        return self.posterior(points)[0]

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
        context = codes.unsqueeze(1)
        at_once = max(1, POINTS_AT_ONCE // max(1, len(codes)))
        with sampling_with(solver, self.points):
            pieces = [
                inverse_each(self.points.transform, part, context)
                for part in noise.split(at_once, dim=1)
            ]
        return torch.cat(pieces, dim=1)

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
        with sampling_with(solver, self.points):
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
        if condition.code == "mode":
            noise[:, 0] = 0
        with sampling_with(solver, prior):
            codes = self._codes(noise, condition)  # (count, draws, C)
        if condition.code != "mode":
            return codes.mean(1)
        context = self._context(condition, count)
        context = None if context is None else context.repeat_interleave(draws, 0)
        likely = prior.log_prob(codes.flatten(0, 1), context).unflatten(0, (count, draws))
        best = likely.argmax(1).view(count, 1, 1).expand(-1, 1, codes.shape[-1])
        return codes.gather(1, best).squeeze(1)

    def _codes(self, noise: Tensor, condition: Condition) -> Tensor:
        """Turn noise (B, draws, C) into codes of the same shape."""
        count, draws, _ = noise.shape
        prior, context = self._prior(), self._context(condition, count)
        weight = condition.guidance
        if weight != 1:
            if context is None:
                raise ValueError("guidance: this model has no condition to be guided by")
            nothing = self._context(Condition(), count)
            assert nothing is not None
            context = torch.stack([context, nothing], dim=1)  # (B, 2, W)
        context = None if context is None else context.repeat_interleave(draws, 0)
        with guided(weight, prior) if weight != 1 else nullcontext():
            return inverse_each(prior.transform, noise.flatten(0, 1), context).view_as(noise)

    @torch.no_grad()
    def between(self, first: Tensor, second: Tensor, count: int) -> Tensor:
        """Return codes (count, C) on the way from one code (C,) to another, ends included."""
        return between(first, second, count, None if self.prior is None else self.prior.transform)

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

    def _likelihood(
        self, target: Tensor, mean: Tensor, log_var: Tensor | None, context: Tensor | None
    ) -> Loss:
        """Return the negative evidence lower bound, nats. Source: Yang et al. 2019, eq. 8."""
        before = self.evaluations
        code = draw_code(mean, log_var)
        log_px = self.log_prob(target, code).mean()
        zero = log_px.new_zeros(())
        log_pz = zero if self.prior is None else self.prior.log_prob(code, context).mean()
        entropy = zero if log_var is None else gaussian_entropy(log_var).mean()
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
                "forward_evaluations": log_px.new_tensor(float(self.evaluations - before)),
            },
        )

    def _matching(
        self, target: Tensor, mean: Tensor, log_var: Tensor | None, context: Tensor | None
    ) -> Loss:
        """Return the flow matching losses of both levels, squared standardised units."""
        config = self.config
        points = matching_loss(
            self.points.transform,
            target,
            draw_code(mean, log_var).unsqueeze(1),
            pairing=pair_kd if config.pairing == "kd" else None,
            times=math.gcd(config.times, target.shape[1]),
        ).mean()
        terms = {"points": points.detach()}
        total = points
        if self.prior is not None:
            # Detached: the codes serve the points; the prior follows them.
            fixed = None if log_var is None else log_var.detach().repeat(config.prior_draws, 1)
            codes = draw_code(mean.detach().repeat(config.prior_draws, 1), fixed)
            given = None if context is None else context.repeat(config.prior_draws, 1)
            prior = matching_loss(self.prior.transform, codes, given).mean()
            terms["prior"] = prior.detach()
            total = total + prior
        if log_var is not None:
            kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1).mean()
            terms["kl"] = kl.detach()
            total = total + config.kl_weight * kl
        return Loss(total, terms)
