"""Networks: encoders of clouds and velocity fields. A new field is one file and one name here."""

from typing import Annotated

from pydantic import Field

from pointgen.networks.concatsquash import ConcatSquashConfig
from pointgen.networks.pointnet import PointNetConfig
from pointgen.networks.residual import ResidualConfig

__all__ = ["ConcatSquashConfig", "FieldConfig", "PointNetConfig", "ResidualConfig"]

FieldConfig = Annotated[ConcatSquashConfig | ResidualConfig, Field(discriminator="kind")]
