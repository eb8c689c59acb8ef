"""Autoregressive flows: each number is changed by what the numbers before it say.

One way takes one pass of a masked network, the other as many as there are numbers. MAF spends
them on samples, IAF, its inverse, on densities of given data. The masked networks are zuko's.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor, nn

from pointgen.flows.base import Inverted, Transform

__all__ = ["Autoregressive", "IafConfig", "MafConfig"]

LEAST_SCALE = 1e-3
GATE_AT_FIRST = 2.0  # Kingma et al. 2016, section 4: a gate that starts nearly open


class Autoregressive(Transform):
    """z_i = s_i x_i + t_i, with s_i > 0 and t_i functions of the x before x_i and of the context.

    The gated form is z_i = s_i x_i + (1 - s_i) m_i with s_i = sigmoid(...) in (0, 1). Source:
    Papamakarios et al. 2017 (MAF), eq. 4; Kingma et al. 2016 (IAF), eq. 14 for the gate.
    """

    def __init__(
        self, dim: int, context_dim: int, *, width: int, depth: int, backwards: bool, gated: bool
    ) -> None:
        super().__init__()
        from zuko.flows.autoregressive import MaskedAutoregressiveTransform

        numbers = torch.arange(dim)
        self.masked = MaskedAutoregressiveTransform(
            dim,
            context_dim,
            order=numbers.flip(0) if backwards else numbers,
            univariate=_gated if gated else _affine,
            shapes=[(), ()],
            hidden_features=[width] * depth,
            activation=nn.SiLU,
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to noise, in one pass."""
        with torch.autocast(x.device.type, enabled=False):  # too coarse for densities
            z, ladj = self.masked(context).call_and_ladj(x)
        return z, ladj

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Map noise to data, one number after another."""
        with torch.autocast(z.device.type, enabled=False):
            x: Tensor = self.masked(context).inv(z)
        return x


def _affine(raw: Tensor, shift: Tensor) -> Any:
    from zuko.transforms import MonotonicAffineTransform

    return MonotonicAffineTransform(shift, raw, slope=LEAST_SCALE)


def _gated(raw: Tensor, value: Tensor) -> Any:
    from torch.distributions import AffineTransform

    gate = torch.sigmoid(raw + GATE_AT_FIRST)
    return AffineTransform((1 - gate) * value, gate)


class _FlowConfig(BaseModel):
    """What the two have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    layers: PositiveInt = 4
    """Number of transforms; the order of the numbers turns around from one to the next."""
    width: PositiveInt = 128
    """Channels of the hidden layers of each."""
    depth: PositiveInt = 2
    """Number of hidden layers of each."""

    def _chain(self, dim: int, context_dim: int, gated: bool) -> list[Transform]:
        return [
            Autoregressive(
                dim,
                context_dim,
                width=self.width,
                depth=self.depth,
                backwards=place % 2 == 1,
                gated=gated,
            )
            for place in range(self.layers)
        ]


class MafConfig(_FlowConfig):
    """Densities in one pass, samples number by number."""

    kind: Literal["maf"] = "maf"

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers."""
        return self._chain(dim, context_dim, gated=False)


class IafConfig(_FlowConfig):
    """Samples in one pass, densities of given data number by number."""

    kind: Literal["iaf"] = "iaf"
    gated: bool = False
    """The form of an LSTM's gate, steadier where there are many layers."""

    def build(self, dim: int, context_dim: int) -> list[Transform]:
        """Build the transforms over vectors of `dim` numbers."""
        return [Inverted(part) for part in self._chain(dim, context_dim, self.gated)]
