"""Networks: encoders of clouds and pictures, velocity fields. A new one is one file and a name."""

from typing import Annotated

from pydantic import Field

from pointgen.networks.concatsquash import ConcatSquashConfig
from pointgen.networks.film import FilmConfig
from pointgen.networks.image_backbone import ImageBackbone, ImageBackboneConfig
from pointgen.networks.image_resnet import ImageResNetConfig
from pointgen.networks.pointnet import PointNetConfig
from pointgen.networks.residual import ResidualConfig
from pointgen.networks.revnet import RevNetConfig

__all__ = [
    "ConcatSquashConfig",
    "EncoderConfig",
    "FieldConfig",
    "FilmConfig",
    "ImageBackbone",
    "ImageBackboneConfig",
    "ImageEncoderConfig",
    "ImageResNetConfig",
    "PointNetConfig",
    "ResidualConfig",
    "RevNetConfig",
]

FieldConfig = Annotated[ConcatSquashConfig | ResidualConfig, Field(discriminator="kind")]
EncoderConfig = Annotated[PointNetConfig | RevNetConfig, Field(discriminator="kind")]
ImageEncoderConfig = Annotated[ImageResNetConfig | ImageBackboneConfig, Field(discriminator="kind")]
