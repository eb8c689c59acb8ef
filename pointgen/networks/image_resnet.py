"""A compact residual network that reads a picture; it trains from scratch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ImageResNet", "ImageResNetConfig"]

GROUPS = 8


class ImageResNetConfig(BaseModel):
    """Small enough for two CPU cores by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["resnet"] = "resnet"
    image_size: int = Field(default=64, ge=16)
    """Width and height of the pictures, pixels."""
    widths: tuple[PositiveInt, ...] = Field(default=(32, 64, 128, 256), min_length=1)
    """Channels of the stages, multiples of 8; each halves the picture, which the first layer has
    halved already."""
    depth: PositiveInt = 1
    """Residual blocks of each stage."""

    def build(self) -> ImageResNet:
        """Build the network with random weights.

        Raises:
            ValueError: A width is not a multiple of 8, or the picture is too small for the stages.
        """
        if bad := [width for width in self.widths if width % GROUPS]:
            raise ValueError(f"widths: expected multiples of {GROUPS}, got {bad[0]}")
        if self.image_size >> len(self.widths) + 1 < 2:
            raise ValueError(
                f"image_size: expected at least {2 ** (len(self.widths) + 2)} for "
                f"{len(self.widths)} stages, got {self.image_size}"
            )
        return ImageResNet(self)


class ImageResNet(nn.Module):
    """Stages of residual blocks, then what is where: the last map over a 2 x 2 grid, not a mean.

    Norms are over groups of channels of one picture, so neither the batch nor the processes matter.
    Source: He et al. 2016; Wu and He 2018 (group norm).
    """

    def __init__(self, config: ImageResNetConfig) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.inlet = nn.Conv2d(3, config.widths[0], 5, stride=2, padding=2)
        layers: list[nn.Module] = []
        wide = config.widths[0]
        for width in config.widths:
            layers.append(_Block(wide, width, stride=2))
            layers += [_Block(width, width, stride=1) for _ in range(config.depth - 1)]
            wide = width
        self.stages = nn.Sequential(*layers)
        self.norm = nn.GroupNorm(GROUPS, wide)
        self.features = 4 * wide

    def forward(self, image: Tensor) -> Tensor:
        """Map pictures (B, 3, H, W) in [0, 1] to features (B, `features`)."""
        h = self.stages(self.inlet(2 * image - 1))
        h = functional.silu(self.norm(h))
        return functional.adaptive_avg_pool2d(h, 2).flatten(1)


class _Block(nn.Module):
    def __init__(self, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, wide), nn.GroupNorm(GROUPS, out)
        self.conv1 = nn.Conv2d(wide, out, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        same = stride == 1 and wide == out
        self.shortcut = nn.Identity() if same else nn.Conv2d(wide, out, stride, stride=stride)
        nn.init.zeros_(self.conv2.weight)  # each block starts as its shortcut

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(functional.silu(self.norm2(h)))
