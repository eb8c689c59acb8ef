"""RevNet: a deep encoder of clouds whose training memory does not grow with depth."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from pointgen.networks.batchnorm import BatchNorm
from pointgen.networks.pointnet import dense
from pointgen.networks.reversible import AdditiveBlock, ReversibleSequence

__all__ = ["RevNet", "RevNetConfig", "SetLayers"]


class RevNetConfig(BaseModel):
    """An encoder of 8 reversible blocks by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["revnet"] = "revnet"
    depth: PositiveInt = 8
    """Number of reversible blocks; more take time, not memory."""
    width: PositiveInt = 64
    """Channels of each of the two streams."""
    hidden: PositiveInt = 64
    """Channels of the layer inside the two networks of a block."""
    pooled: PositiveInt = 512
    """Channels over which the maximum of all points is taken at the end."""
    head: tuple[PositiveInt, ...] = (256, 128)
    """Channels of the layers between the pooled features and each output."""

    def build(self, out_dim: int, *, outputs: int = 1) -> RevNet:
        """Build the network with `outputs` heads of `out_dim` numbers each."""
        return RevNet(self, out_dim, outputs)


class RevNet(nn.Module):
    """Reversible blocks that see the whole cloud, the maximum over points, and heads on that.

    Source: the blocks of Gomez et al. 2017, with networks that are equivariant to the order of
    points (Zaheer et al. 2017, Deep Sets) in place of convolutions.
    """

    def __init__(self, config: RevNetConfig, out_dim: int, outputs: int) -> None:
        super().__init__()
        width, scale = config.width, 1 / math.sqrt(config.depth)
        self.inlets = nn.ModuleList(nn.Linear(3, width) for _ in range(2))
        self.blocks = ReversibleSequence(
            AdditiveBlock(SetLayers(width, config.hidden), SetLayers(width, config.hidden), scale)
            for _ in range(config.depth)
        )
        self.outlets = nn.ModuleList(nn.Linear(width, config.pooled) for _ in range(2))
        self.norm = BatchNorm(config.pooled)
        head_dims = (config.pooled, *config.head)
        self.heads = nn.ModuleList(
            nn.Sequential(dense(head_dims), nn.Linear(head_dims[-1], out_dim))
            for _ in range(outputs)
        )

    def forward(self, points: Tensor) -> tuple[Tensor, ...]:
        """Map clouds (B, N, 3) to one (B, out_dim) per head."""
        first, second = self.blocks(*(inlet(points) for inlet in self.inlets))  # (B, N, W) each
        features = self.outlets[0](first) + self.outlets[1](second)  # (B, N, C)
        features = self.norm(features.flatten(0, 1)).unflatten(0, points.shape[:2])
        pooled = features.max(dim=1).values  # (B, C)
        return tuple(head(pooled) for head in self.heads)


class SetLayers(nn.Module):
    """Two layers on each point, which are told the maximum over the cloud.

    No batch norm in here: the backward pass calls it a second time, which would count each batch
    twice. The last layers of the encoder have the usual ones.
    """

    def __init__(self, width: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.whole = nn.Linear(hidden, hidden, bias=False)
        self.second = nn.Linear(hidden, width if out is None else out)

    def forward(self, x: Tensor) -> Tensor:
        """Map whole clouds of features (B, N, W) to (B, N, W), or as wide as it was built for."""
        h = self.norm(self.first(x))
        told = self.whole(h.max(dim=1, keepdim=True).values)  # (B, 1, H)
        return self.second(functional.relu(h + told))
