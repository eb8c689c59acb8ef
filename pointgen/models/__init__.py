"""Models of point clouds. A new model is one file and one name in `ModelConfig`."""

from typing import Annotated

from pydantic import Field

from pointgen.models.base import (
    Autoencoder,
    Condition,
    ImageConditioned,
    Loss,
    PointCloudModel,
    SeesImages,
    Watchable,
)
from pointgen.models.cflow import CFlowConfig
from pointgen.models.pointflow import PointFlowConfig

__all__ = [
    "Autoencoder",
    "CFlowConfig",
    "Condition",
    "ImageConditioned",
    "Loss",
    "ModelConfig",
    "PointCloudModel",
    "PointFlowConfig",
    "SeesImages",
    "Watchable",
]

ModelConfig = Annotated[PointFlowConfig | CFlowConfig, Field(discriminator="kind")]
