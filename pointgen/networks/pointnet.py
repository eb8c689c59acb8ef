"""PointNet: a cloud to a fixed number of features, whatever the order of its points."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor, nn

from pointgen.networks.batchnorm import BatchNorm

__all__ = ["PointNet", "PointNetConfig", "dense"]


class PointNetConfig(BaseModel):
    """The encoder of the paper by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["pointnet"] = "pointnet"
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 128, 256, 512)
    """Channels of the layers that see each point alone; the last is pooled."""
    head: tuple[PositiveInt, ...] = (256, 128)
    """Channels of the layers between the pooled features and each output."""

    def build(self, out_dim: int, *, outputs: int = 1) -> PointNet:
        """Build the network with `outputs` heads of `out_dim` numbers each."""
        return PointNet(self, out_dim, outputs)


class PointNet(nn.Module):
    """Layers on each point, the maximum over points, and one or more heads on that.

    Source: Qi et al. 2017, in the form of Yang et al. 2019, appendix A.
    """

    def __init__(self, config: PointNetConfig, out_dim: int, outputs: int) -> None:
        super().__init__()
        self.trunk = dense((3, *config.widths), last_is_linear=True)
        head_dims = (config.widths[-1], *config.head)
        self.heads = nn.ModuleList(
            nn.Sequential(dense(head_dims), nn.Linear(head_dims[-1], out_dim))
            for _ in range(outputs)
        )

    def forward(self, points: Tensor) -> tuple[Tensor, ...]:
        """Map clouds (B, N, 3) to one (B, out_dim) per head."""
        features = self.trunk(points.flatten(0, 1))  # (B N, C)
        features = features.unflatten(0, points.shape[:2]).amax(dim=1)  # (B, C)
        return tuple(head(features) for head in self.heads)


def dense(dims: tuple[int, ...], *, last_is_linear: bool = False) -> nn.Sequential:
    """Return layers of these widths on vectors (B, C), each with a batch norm and a ReLU."""
    layers: list[nn.Module] = []
    for wide, out in pairwise(dims):
        layers += [nn.Linear(wide, out), BatchNorm(out), nn.ReLU()]
    return nn.Sequential(*(layers[:-1] if last_is_linear else layers))
