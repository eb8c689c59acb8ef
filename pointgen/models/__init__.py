"""Models of point clouds. A new model is one file and one name in `ModelConfig`."""

from typing import Annotated

from pydantic import Field

from pointgen.models.base import (
    Autoencoder,
    Classifier,
    Condition,
    ImageConditioned,
    Loss,
    PointCloudModel,
    SeesImages,
    Watchable,
)
from pointgen.models.cflow import CFlowConfig
from pointgen.models.hybrid import HybridConfig
from pointgen.models.interpretation import InterpretationConfig
from pointgen.models.irevnet import IRevNetConfig
from pointgen.models.pointflow import PointFlowConfig

__all__ = [
    "Autoencoder",
    "CFlowConfig",
    "Classifier",
    "Condition",
    "HybridConfig",
    "IRevNetConfig",
    "ImageConditioned",
    "InterpretationConfig",
    "Loss",
    "ModelConfig",
    "PointCloudModel",
    "PointFlowConfig",
    "SeesImages",
    "Watchable",
]

ModelConfig = Annotated[
    PointFlowConfig | CFlowConfig | IRevNetConfig | HybridConfig | InterpretationConfig,
    Field(discriminator="kind"),
]
