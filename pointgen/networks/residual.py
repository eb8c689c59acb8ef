"""A residual velocity field: normalised layers, each modulated by time and condition."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from pointgen.networks.concatsquash import with_time

__all__ = ["ResidualConfig", "ResidualField"]

TIME_FEATURES = 12  # cos and sin of 6 frequencies, half an octave apart, from half a turn up


class ResidualConfig(BaseModel):
    """The field of the matching configs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["residual"] = "residual"
    width: PositiveInt = 256
    """Channels of the residual stream."""
    depth: PositiveInt = 6
    """Number of residual blocks."""
    condition_width: PositiveInt = 256
    """Channels of the network that turns time and condition into modulations."""
    octaves: NonNegativeInt = 4
    """Each coordinate also enters by the sine and cosine of so many frequencies."""

    def build(self, dim: int, context_dim: int) -> ResidualField:
        """Build the field over vectors of `dim` numbers; `context_dim` 0 means no condition."""
        return ResidualField(self, dim, context_dim)


class ResidualField(nn.Module):
    """h <- h + gate * W2 silu(W1 (norm(h) (1 + scale) + shift)), `depth` times.

    Scale, shift and gate come from time and condition. Every vector of x is mapped alone, so the
    divergence of a cloud is exact with three tangents. Source: the modulation of Perez et al. 2018
    (FiLM) in the normalised residual form of Peebles & Xie 2023 (adaLN).
    """

    frequencies: Tensor
    waves: Tensor

    def __init__(self, config: ResidualConfig, dim: int, context_dim: int) -> None:
        super().__init__()
        width, hidden = config.width, config.condition_width
        octaves = torch.arange(TIME_FEATURES // 2)
        self.register_buffer("frequencies", math.pi * 2.0 ** (octaves / 2), persistent=False)
        self.condition = nn.Sequential(
            nn.Linear(1 + TIME_FEATURES + context_dim, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.register_buffer("waves", 2.0 ** torch.arange(config.octaves), persistent=False)
        self.inlet = nn.Linear(dim * (1 + 2 * config.octaves), width)
        self.blocks = nn.ModuleList(Block(width, hidden) for _ in range(config.depth))
        self.outlet = nn.Linear(width, dim)
        nn.init.zeros_(self.outlet.weight)  # the flow starts as the identity
        nn.init.zeros_(self.outlet.bias)

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        """Return the velocity (..., D) of x (..., D) at t in [0, 1]."""
        condition = with_time(t, x, context)
        angles = condition[..., :1] * self.frequencies
        condition = self.condition(torch.cat([condition, angles.cos(), angles.sin()], dim=-1))
        phases = (x.unsqueeze(-1) * self.waves).flatten(-2)  # (..., D * octaves)
        h = self.inlet(torch.cat([x, phases.cos(), phases.sin()], dim=-1))
        for block in self.blocks:
            h = block(h, condition)
        return self.outlet(functional.layer_norm(h, h.shape[-1:]))


class Block(nn.Module):
    """One modulated residual layer."""

    def __init__(self, width: int, condition_dim: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(condition_dim, 3 * width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """Map h (..., W), condition (..., H) to (..., W)."""
        scale, shift, gate = self.modulation(condition).chunk(3, dim=-1)
        # addcmul: on a CPU these layers are bound by passes over memory, and it is one for two.
        inner = torch.addcmul(shift, functional.layer_norm(h, h.shape[-1:]), 1 + scale)
        return torch.addcmul(h, 1 + gate, self.second(functional.silu(self.first(inner))))
