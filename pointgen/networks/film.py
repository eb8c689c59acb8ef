"""A network of vectors whose layers a condition scales and shifts."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Film", "FilmConfig"]


class FilmConfig(BaseModel):
    """The network inside a coupling."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    width: PositiveInt = 128
    """Channels of the hidden layers."""
    depth: PositiveInt = 2
    """Number of hidden layers."""

    def build(self, dim: int, out_dim: int, context_dim: int) -> Film:
        """Build the network from `dim` to `out_dim` numbers; `context_dim` 0 is no condition."""
        return Film(self, dim, out_dim, context_dim)


class Film(nn.Module):
    """h <- h + silu(W h (1 + scale) + shift), with scale and shift linear in the condition.

    Every vector is mapped alone; the answer is zero at first. What depends on the condition alone
    is computed once for all points of a cloud. Source: Perez et al. 2018 (FiLM).
    """

    def __init__(self, config: FilmConfig, dim: int, out_dim: int, context_dim: int) -> None:
        super().__init__()
        width = config.width
        self.inlet = nn.Linear(dim, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(config.depth))
        self.film = nn.Linear(context_dim, 2 * width * config.depth) if context_dim else None
        self.outlet = nn.Linear(width, out_dim)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Map x (..., D), with a context that broadcasts against it, to (..., out_dim)."""
        h = functional.silu(self.inlet(x))
        if self.film is None:
            for layer in self.layers:
                h = h + functional.silu(layer(h))
            return self.outlet(h)
        assert context is not None, "this network was built for a context"
        films = self.film(context).chunk(2 * len(self.layers), dim=-1)
        for layer, scale, shift in zip(self.layers, films[::2], films[1::2], strict=True):
            h = h + functional.silu(torch.addcmul(shift, layer(h), 1 + scale))
        return self.outlet(h)
