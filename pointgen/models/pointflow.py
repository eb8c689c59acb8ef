"""PointFlow: a flow over shape codes, and for each code a flow over points.

Two objectives train the same networks: `likelihood` maximises the evidence lower bound by solving
ODEs, `matching` regresses the velocities of both levels. Source: Yang et al. 2019 (PointFlow).
"""

from __future__ import annotations

import math
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
from pointgen.flows.base import Chain, Flow, StandardNormal, Transform
from pointgen.flows.continuous import sampling_with
from pointgen.flows.matching import matching_loss
from pointgen.flows.solver import SolveError, Solver
from pointgen.geometry.pairing import pair_kd
from pointgen.models.base import Loss, PointCloudModel
from pointgen.models.cnf import CnfConfig
from pointgen.networks import ConcatSquashConfig, PointNetConfig

__all__ = ["NoPrior", "PointFlow", "PointFlowConfig"]

# Points are independent given the code, so a cloud of any size is solved in pieces: about 1 GiB
# for a field of width 512.
POINTS_AT_ONCE = 2**18


class NoPrior(BaseModel):
    """No flow over codes: the model is an autoencoder, and cannot make new shapes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["none"] = "none"


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
        return self

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
            self.prior = Flow(
                Chain(config.prior.build(config.code_dim, 0)), StandardNormal(config.code_dim)
            )
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

    def loss(self, batch: Batch) -> Loss:
        """Return the loss of the config's objective; encoder and decoder see different points."""
        mean, log_var = self.posterior(batch.points)
        target = batch.points if batch.target is None else batch.target
        if self.config.objective == "matching":
            return self._matching(target, mean, log_var)
        return self._likelihood(target, mean, log_var)

    def posterior(self, points: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return mean and log-variance (B, C) of q(z | X); the latter None if deterministic."""
        standardised, _ = self.units(points)
        # Under autocast the encoder answers in half precision, which is too coarse for densities.
        outputs = [output.to(points.dtype) for output in self.encoder(standardised)]
        return (outputs[0], outputs[1]) if len(outputs) == 2 else (outputs[0], None)

    def log_prob(self, points: Tensor, codes: Tensor) -> Tensor:
        """Return log p(X | z) (B,) of clouds (B, N, 3) given codes (B, C), nats, data units."""
        return self.points.log_prob(points, codes.unsqueeze(1)).sum(-1)

    def log_prior(self, codes: Tensor) -> Tensor:
        """Return log p(z) (B,) of codes (B, C), nats."""
        return self._prior().log_prob(codes)

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
                _solve_each(self.points.transform, part, context)
                for part in noise.split(at_once, dim=1)
            ]
        return torch.cat(pieces, dim=1)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        num_points: int,
        *,
        generator: Generator | None = None,
        temperature: float = 1.0,
        solver: Solver | None = None,
    ) -> Tensor:
        """Draw new clouds (count, num_points, 3) in data units; see `PointCloudModel.sample`."""
        if count < 1 or num_points < 1:
            raise ValueError(f"expected at least one cloud and point, got {count} and {num_points}")
        prior = self._prior()
        noise = temperature * prior.base.sample((count,), generator)
        with sampling_with(solver, prior):
            codes = _solve_each(prior.transform, noise, None)
        return self.decode(codes, num_points, generator=generator, solver=solver)

    @torch.no_grad()
    def between(self, first: Tensor, second: Tensor, count: int) -> Tensor:
        """Return codes (count, C) on the way from one code (C,) to another, ends included.

        With a prior the way is the great circle in its noise space, whose points are as typical
        as its ends; without, a straight line.
        """
        ends = torch.stack([first, second])
        share = torch.linspace(0, 1, count, dtype=ends.dtype, device=ends.device).unsqueeze(1)
        if self.prior is None:
            return torch.lerp(ends[:1], ends[1:], share)
        noise, _ = self.prior.transform(ends)
        return self.prior.transform.inverse(_great_circle(noise[:1], noise[1:], share))

    def _prior(self) -> Flow:
        if self.prior is None:
            raise ValueError(
                "this model has no prior over codes (prior.kind = 'none'): it can reconstruct, "
                "not generate"
            )
        return self.prior

    def _likelihood(self, target: Tensor, mean: Tensor, log_var: Tensor | None) -> Loss:
        """Return the negative evidence lower bound, nats. Source: Yang et al. 2019, eq. 8."""
        before = self.evaluations
        code = _draw(mean, log_var)
        log_px = self.log_prob(target, code).mean()
        log_pz = log_px.new_zeros(()) if self.prior is None else self.log_prior(code).mean()
        entropy = log_px.new_zeros(()) if log_var is None else gaussian_entropy(log_var).mean()
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

    def _matching(self, target: Tensor, mean: Tensor, log_var: Tensor | None) -> Loss:
        """Return the flow matching losses of both levels, squared standardised units."""
        config = self.config
        points = matching_loss(
            self.points.transform,
            target,
            _draw(mean, log_var).unsqueeze(1),
            pairing=pair_kd if config.pairing == "kd" else None,
            times=math.gcd(config.times, target.shape[1]),
        ).mean()
        terms = {"points": points.detach()}
        total = points
        if self.prior is not None:
            # Detached: the codes serve the points; the prior follows them.
            fixed = None if log_var is None else log_var.detach().repeat(config.prior_draws, 1)
            codes = _draw(mean.detach().repeat(config.prior_draws, 1), fixed)
            prior = matching_loss(self.prior.transform, codes).mean()
            terms["prior"] = prior.detach()
            total = total + prior
        if log_var is not None:
            kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1).mean()
            terms["kl"] = kl.detach()
            total = total + config.kl_weight * kl
        return Loss(total, terms)


def _draw(mean: Tensor, log_var: Tensor | None) -> Tensor:
    """Draw codes (B, C) of a diagonal Gaussian; the mean itself if there is no variance."""
    return mean if log_var is None else mean + (0.5 * log_var).exp() * torch.randn_like(mean)


def gaussian_entropy(log_var: Tensor) -> Tensor:
    """Return the entropy (B,) of diagonal Gaussians of log-variance (B, C), nats."""
    return 0.5 * (log_var + 1 + math.log(2 * math.pi)).sum(-1)


def _solve_each(transform: Transform, noise: Tensor, context: Tensor | None) -> Tensor:
    """Invert the transform; where a batch cannot be solved, each entry alone, NaN if it fails.

    One step size serves a whole batch, so one bad entry would take its neighbours along.
    """
    try:
        return transform.inverse(noise, context)
    except SolveError:
        if len(noise) == 1:
            return torch.full_like(noise, math.nan)
        contexts = [None] * len(noise) if context is None else context.split(1)
        return torch.cat(
            [_solve_each(transform, n, c) for n, c in zip(noise.split(1), contexts, strict=True)]
        )


def _great_circle(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Interpolate directions on the great circle and lengths in proportion. (1, C), (S, 1)."""
    cosine = torch.cosine_similarity(first, second).clamp(-1, 1)
    angle = cosine.arccos()
    if angle.sin() < 1e-4:  # the same or opposite directions: no one circle joins them
        return torch.lerp(first, second, share)
    start, stop = first / first.norm(), second / second.norm()
    direction = ((1 - share) * angle).sin() * start + (share * angle).sin() * stop
    return direction / angle.sin() * torch.lerp(first.norm(), second.norm(), share)
