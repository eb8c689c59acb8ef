"""The velocity field of FFJORD and PointFlow: dense layers gated by time and condition."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ConcatSquashConfig", "ConcatSquashField", "GatedLinear", "with_time"]

Layer = Literal["ignore", "concat", "concat_v2", "squash", "scale", "concatscale", "concatsquash"]
Nonlinearity = Literal["tanh", "relu", "softplus", "elu", "swish", "square", "identity"]
GATED = ("squash", "scale", "concatscale", "concatsquash")
SHIFTED = ("concat_v2", "concatscale", "concatsquash")
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": functional.relu,
    "softplus": functional.softplus,
    "elu": functional.elu,
    "square": torch.square,
    "identity": lambda x: x,
}


class ConcatSquashConfig(BaseModel):
    """The field of the paper by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["concatsquash"] = "concatsquash"
    dims: tuple[PositiveInt, ...] = (512, 512, 512)
    """Widths of the hidden layers."""
    layer: Layer = "concatsquash"
    """How time and condition enter each layer."""
    nonlinearity: Nonlinearity = "tanh"
    """Applied after every layer but the last."""
    end_time: PositiveFloat = 0.5
    """Length T of the integration in the paper's own time."""
    train_end_time: bool = True
    """Learn T, one number per field."""

    def build(self, dim: int, context_dim: int) -> ConcatSquashField:
        """Build the field over vectors of `dim` numbers; `context_dim` 0 means no condition."""
        return ConcatSquashField(self, dim, context_dim)


class ConcatSquashField(nn.Module):
    """v(t, x, c) = -T f(T (1 - t), x, c), with f a stack of gated layers.

    The paper integrates f from data at time 0 to noise at time T; with noise at t = 0 and data at
    t = 1 this is the same flow. Source: Yang et al. 2019, appendix A; Grathwohl et al. 2019.
    """

    def __init__(self, config: ConcatSquashConfig, dim: int, context_dim: int) -> None:
        super().__init__()
        sizes = (dim, *config.dims, dim)
        self.layers = nn.ModuleList(
            GatedLinear(wide, out, 1 + context_dim, config.layer) for wide, out in pairwise(sizes)
        )
        self.activations = nn.ModuleList(Activation(config.nonlinearity) for _ in config.dims)
        root = torch.tensor(math.sqrt(config.end_time))
        if config.train_end_time:
            self.sqrt_end_time = nn.Parameter(root)
        else:
            self.register_buffer("sqrt_end_time", root)

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        """Return the velocity (..., D) of x (..., D) at t in [0, 1]."""
        end_time = self.sqrt_end_time.square()
        condition = with_time(end_time * (1 - t), x, context)
        for layer, activation in zip(self.layers, [*self.activations, None], strict=True):
            x = layer(x, condition)
            x = x if activation is None else activation(x)
        return -end_time * x


def with_time(t: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
    """Put the time before the context: (..., 1 + C), without expanding it over the points of x."""
    t = t.to(x.dtype)
    t = t.view(*[1] * x.ndim) if t.ndim == 0 else t
    if context is None:
        return t
    shape = torch.broadcast_shapes(t.shape[:-1], context.shape[:-1])
    return torch.cat([t.expand(*shape, 1), context.expand(*shape, context.shape[-1])], dim=-1)


class GatedLinear(nn.Module):
    """W x + b, scaled by a gate and moved by a shift that both depend on the condition."""

    def __init__(self, wide: int, out: int, condition_dim: int, layer: Layer) -> None:
        super().__init__()
        self.squash = "squash" in layer
        self.linear = nn.Linear(wide + (condition_dim if layer == "concat" else 0), out)
        self.concat = layer == "concat"
        self.gate = nn.Linear(condition_dim, out) if layer in GATED else None
        self.shift = nn.Linear(condition_dim, out, bias=False) if layer in SHIFTED else None

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map x (..., I), condition (..., 1 + C) to (..., O)."""
        if self.concat:
            x = torch.cat([x, condition.expand(*x.shape[:-1], condition.shape[-1])], dim=-1)
        x = self.linear(x)
        if self.gate is not None:
            gate = self.gate(condition)
            x = x * (gate.sigmoid() if self.squash else gate)
        return x if self.shift is None else x + self.shift(condition)


class Activation(nn.Module):
    """A nonlinearity by name; swish has a slope of its own to learn."""

    def __init__(self, name: Nonlinearity) -> None:
        super().__init__()
        self.function = FUNCTIONS.get(name)
        self.beta = nn.Parameter(torch.tensor(1.0)) if name == "swish" else None

    def forward(self, x: Tensor) -> Tensor:
        """Apply the nonlinearity elementwise."""
        if self.beta is not None:
            return x * torch.sigmoid(self.beta * x)
        assert self.function is not None
        return self.function(x)
