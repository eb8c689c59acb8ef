"""Models of point clouds. A new model is one file and one name in `ModelConfig`."""

from pointgen.models.base import Autoencoder, Loss, PointCloudModel
from pointgen.models.pointflow import PointFlowConfig

__all__ = ["Autoencoder", "Loss", "ModelConfig", "PointCloudModel", "PointFlowConfig"]

ModelConfig = PointFlowConfig
