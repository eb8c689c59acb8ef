"""The velocity field of FFJORD and PointFlow: dense layers gated by time and condition."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from pointgen.networks.gated_tanh import gated_tanh

__all__ = ["ConcatSquashConfig", "ConcatSquashField", "GatedLinear", "with_time"]

Layer = Literal["ignore", "concat", "concat_v2", "squash", "scale", "concatscale", "concatsquash"]
Nonlinearity = Literal["tanh", "relu", "softplus", "elu", "swish", "square", "identity"]
GATED = ("squash", "scale", "concatscale", "concatsquash")
SHIFTED = ("concat", "concat_v2", "concatscale", "concatsquash")
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
    """How time and condition enter each layer; concat and concat_v2 are the same map."""
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
        return self.push(t, x, None, self.project(context))[0]

    def project(self, context: Tensor | None) -> tuple[Tensor, ...]:
        """Return the conditions of all layers at the paper's time 0 (..., K), and their slope (K,).

        They are linear in time and context: the context is multiplied once a solve.
        """
        parts = [part for layer in self._layers() for part in layer.conditions()]
        if not parts:
            nothing = self.sqrt_end_time.new_zeros(0)
            return nothing, nothing
        weight = torch.cat([weight for weight, _ in parts])  # (K, 1 + C)
        bias = torch.cat([bias for _, bias in parts])
        if context is not None:
            bias = functional.linear(context, weight[:, 1:], bias)
        return bias, weight[:, 0]

    def direct_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that `push` uses beside the projection."""
        for layer in self._layers():
            yield from layer.linear.parameters()
        yield from self.activations.parameters()
        if isinstance(self.sqrt_end_time, nn.Parameter):
            yield self.sqrt_end_time

    def push(
        self, t: Tensor, x: Tensor, directions: Tensor | None, projection: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor | None]:
        """Return v (..., D) and its derivative along directions (K, ..., D), where there are."""
        end_time = self.sqrt_end_time.square()
        start, slope = projection
        condition = start + (end_time * (1 - t)).to(x.dtype) * slope
        sizes = [layer.condition_size for layer in self.layers]
        dx = directions
        for layer, activation, part in zip(
            self.layers, [*self.activations, None], condition.split(sizes, dim=-1), strict=True
        ):
            x, dx = layer(x, dx, part, activation)
        return -end_time * x, None if dx is None else -end_time * dx

    def _layers(self) -> Iterator[GatedLinear]:
        for layer in self.layers:
            assert isinstance(layer, GatedLinear)
            yield layer


def with_time(t: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
    """Put the time before the context: (..., 1 + C), without expanding it over the points of x."""
    t = t.to(x.dtype)
    t = t.view(*[1] * x.ndim) if t.ndim == 0 else t
    if context is None:
        return t
    shape = torch.broadcast_shapes(t.shape[:-1], context.shape[:-1])
    return torch.cat([t.expand(*shape, 1), context.expand(*shape, context.shape[-1])], dim=-1)


class Activation(nn.Module):
    """A nonlinearity by name; swish has a slope of its own to learn."""

    def __init__(self, name: Nonlinearity) -> None:
        super().__init__()
        self.name = name
        self.beta = nn.Parameter(torch.tensor(1.0)) if name == "swish" else None

    def forward(self, x: Tensor) -> Tensor:
        """Apply the nonlinearity elementwise."""
        if self.beta is not None:
            return x * torch.sigmoid(self.beta * x)
        return FUNCTIONS[self.name](x)


class GatedLinear(nn.Module):
    """W x + b, scaled by a gate and moved by a shift that both depend on time and context."""

    def __init__(self, wide: int, out: int, condition_dim: int, layer: Layer) -> None:
        super().__init__()
        self.squash = "squash" in layer
        self.linear = nn.Linear(wide, out)
        self.gate = nn.Linear(condition_dim, out) if layer in GATED else None
        self.shift = nn.Linear(condition_dim, out, bias=False) if layer in SHIFTED else None
        self.condition_size = out * len(self.conditions())

    def conditions(self) -> list[tuple[Tensor, Tensor]]:
        """Return weights (O, 1 + C) and bias (O,) of the gate and of the shift, where there are."""
        parts: list[tuple[Tensor, Tensor]] = []
        if self.gate is not None:
            parts.append((self.gate.weight, self.gate.bias))
        if self.shift is not None:
            parts.append((self.shift.weight, torch.zeros_like(self.linear.bias)))
        return parts

    def forward(
        self, x: Tensor, dx: Tensor | None, condition: Tensor, activation: Activation | None
    ) -> tuple[Tensor, Tensor | None]:
        """Map x (..., I), and tangents (K, ..., I) where there are, to (..., O) and (K, ..., O).

        Args:
            x: the input.
            dx: tangents of the input.
            condition: (..., `condition_size`), the gate before its sigmoid, then the shift.
            activation: applied to the result.
        """
        gate, offset = self._gate_and_offset(condition)
        weight = self.linear.weight
        if activation is not None and activation.name == "tanh":
            return gated_tanh(x, dx, weight, gate, offset)
        x = torch.addcmul(offset, x @ weight.T, gate)
        dx = None if dx is None else (dx @ weight.T) * gate
        if activation is None:
            return x, dx
        if dx is None:
            return activation(x), None
        x, slope = torch.func.jvp(activation, (x,), (torch.ones_like(x),))  # type: ignore[misc]
        return x, slope * dx

    def _gate_and_offset(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return what multiplies W x, and what is then added."""
        bias = self.linear.bias
        gate, shift = torch.ones_like(bias), None
        parts = list(condition.split(len(bias), dim=-1))
        if self.gate is not None:
            gate = parts.pop(0)
            gate = gate.sigmoid() if self.squash else gate
        if self.shift is not None:
            shift = parts.pop(0)
        return gate, bias * gate if shift is None else torch.addcmul(shift, bias, gate)
