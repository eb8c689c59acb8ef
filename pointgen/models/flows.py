"""Every flow that a level of a model can be made of. A new one is one file and one name here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pointgen.flows.autoregressive import IafConfig, MafConfig
from pointgen.flows.base import (
    Base,
    Chain,
    Flow,
    Inverted,
    StandardLogistic,
    StandardNormal,
    Transform,
)
from pointgen.flows.planar import PlanarConfig, RadialConfig, SylvesterConfig
from pointgen.models.cnf import CnfConfig
from pointgen.models.coupling import GlowConfig, NiceConfig, RealNvpConfig, SplineConfig

__all__ = [
    "FlowConfig",
    "GaussianConfig",
    "NoPrior",
    "PriorConfig",
    "build_flow",
    "build_sampler",
]


class NoPrior(BaseModel):
    """No flow over codes: the model is an autoencoder, and cannot make new shapes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["none"] = "none"


class GaussianConfig(BaseModel):
    """N(0, I) itself, which the posterior has to be pressed to: a plain VAE."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["gaussian"] = "gaussian"

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build nothing: data are noise."""
        return []


_Flows = (
    CnfConfig
    | PlanarConfig
    | RadialConfig
    | SylvesterConfig
    | NiceConfig
    | RealNvpConfig
    | GlowConfig
    | MafConfig
    | IafConfig
    | SplineConfig
)
FlowConfig = Annotated[_Flows, Field(discriminator="kind")]
PriorConfig = Annotated[_Flows | GaussianConfig | NoPrior, Field(discriminator="kind")]


def build_flow(
    config: FlowConfig | GaussianConfig,
    dim: int,
    context_dim: int,
    *,
    before: Sequence[Transform] = (),
) -> Flow:
    """Build a density over vectors of `dim` numbers; some transforms may stand before the flow's.

    Raises:
        ValueError: The flow is none of so few numbers.
    """
    logistic = isinstance(config, NiceConfig) and config.base == "logistic"
    base: Base = StandardLogistic(dim) if logistic else StandardNormal(dim)
    return Flow(Chain([*before, *config.build(dim, context_dim)]), base)


def build_sampler(config: FlowConfig, dim: int, context_dim: int) -> Transform:
    """Build a transform over vectors of `dim` numbers whose inverse, noise to data, is cheap.

    It is the flow turned round, whose closed form, norms and first batch then are those of draws;
    an IAF is one already.

    Raises:
        ValueError: The flow is none of so few numbers.
    """
    chain = Chain(config.build(dim, context_dim))
    return chain if isinstance(config, IafConfig) else Inverted(chain)
