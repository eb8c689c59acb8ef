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
    Restorer,
    SeesImages,
    Task,
    Watchable,
)
from pointgen.models.cflow import CFlowConfig
from pointgen.models.hybrid import HybridConfig
from pointgen.models.interpretation import InterpretationConfig
from pointgen.models.irevnet import IRevNetConfig
from pointgen.models.irim import IRIMConfig
from pointgen.models.pointflow import PointFlowConfig

__all__ = [
    "Autoencoder",
    "CFlowConfig",
    "Classifier",
    "Condition",
    "HybridConfig",
    "IRIMConfig",
    "IRevNetConfig",
    "ImageConditioned",
    "InterpretationConfig",
    "Loss",
    "ModelConfig",
    "PointCloudModel",
    "PointFlowConfig",
    "Restorer",
    "SeesImages",
    "Task",
    "Watchable",
]

ModelConfig = Annotated[
    PointFlowConfig
    | CFlowConfig
    | IRevNetConfig
    | HybridConfig
    | InterpretationConfig
    | IRIMConfig,
    Field(discriminator="kind"),
]
