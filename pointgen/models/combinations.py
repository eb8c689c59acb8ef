"""Which parts of a PointFlow make sense together, and why the others do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointgen.flows.autoregressive import MafConfig
from pointgen.models.cnf import CnfConfig
from pointgen.models.coupling import GlowConfig, NiceConfig, RealNvpConfig, SplineConfig
from pointgen.models.flows import GaussianConfig, NoPrior

if TYPE_CHECKING:
    from pointgen.models.pointflow import PointFlowConfig

__all__ = ["check_parts"]

COUPLINGS = (NiceConfig, RealNvpConfig, GlowConfig, SplineConfig)


def check_parts(config: PointFlowConfig) -> None:
    """Refuse a combination that cannot be trained, or whose training would come to nothing.

    Raises:
        ValueError: It is one, for the reason that the message gives.
    """
    if config.objective == "matching":
        _check_matching(config)
    elif config.posterior == "deterministic" and not isinstance(config.prior, NoPrior):
        raise ValueError(
            "objective 'likelihood' with a deterministic posterior takes prior.kind = 'none': "
            "without an entropy the codes would collapse to raise log p(z)"
        )
    if config.posterior == "deterministic" and isinstance(config.prior, GaussianConfig):
        raise ValueError(
            "prior.kind = 'gaussian' with a deterministic posterior: nothing would bring the "
            "codes near N(0, I)"
        )
    if config.condition is not None and isinstance(config.prior, NoPrior | GaussianConfig):
        raise ValueError(
            f"condition: prior.kind = '{config.prior.kind}' leaves no flow to be conditioned"
        )
    if config.posterior_flow is not None:
        _check_posterior_flow(config)
    for name, flow in (("prior", config.prior), ("posterior_flow", config.posterior_flow)):
        if config.code_dim < 2 and isinstance(flow, COUPLINGS):
            raise ValueError(
                f"{name}.kind = '{flow.kind}': couplings change some numbers of a code by others, "
                f"expected code_dim 2 or more, got {config.code_dim}"
            )


def _check_matching(config: PointFlowConfig) -> None:
    if not isinstance(config.points, CnfConfig):
        raise ValueError(
            f"objective 'matching' regresses velocities, and points.kind = '{config.points.kind}' "
            "has none: take objective = 'likelihood'"
        )
    flows = [flow for flow in (config.points, config.prior) if isinstance(flow, CnfConfig)]
    if any(flow.blocks > 1 for flow in flows):
        raise ValueError(
            "objective 'matching' takes flows of one block: between two CNFs no path is given"
        )


def _check_posterior_flow(config: PointFlowConfig) -> None:
    if config.posterior == "deterministic":
        raise ValueError("posterior_flow: a deterministic posterior has no draws to go through")
    if isinstance(config.posterior_flow, MafConfig):
        raise ValueError(
            "posterior_flow: training draws from the posterior, and a maf draws number by number; "
            "iaf is the same flow that draws at once"
        )
