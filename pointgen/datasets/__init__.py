"""Datasets: where shapes come from, and the config that builds each."""

from typing import Annotated

from pydantic import Field

from pointgen.datasets.around import CloudsConfig, clouds_of
from pointgen.datasets.base import CloudDataset, Normalize, Source, Standardization
from pointgen.datasets.cloud_files import CloudFilesConfig
from pointgen.datasets.detect import detect, splits_of
from pointgen.datasets.hdf5 import Hdf5Config
from pointgen.datasets.meshes import MeshesConfig
from pointgen.datasets.pairs import PairsConfig
from pointgen.datasets.pc15k import Pc15kConfig
from pointgen.datasets.procedural import ProceduralConfig, make_shape, write_procedural
from pointgen.datasets.renderings import RenderingsConfig
from pointgen.datasets.settings import Progress, Split

__all__ = [
    "CloudDataset",
    "CloudFilesConfig",
    "CloudsConfig",
    "DataConfig",
    "Hdf5Config",
    "MeshesConfig",
    "Normalize",
    "PairsConfig",
    "Pc15kConfig",
    "ProceduralConfig",
    "Progress",
    "RenderingsConfig",
    "Source",
    "Split",
    "Standardization",
    "clouds_of",
    "detect",
    "make_shape",
    "splits_of",
    "write_procedural",
]

DataConfig = Annotated[
    ProceduralConfig
    | MeshesConfig
    | Pc15kConfig
    | Hdf5Config
    | CloudFilesConfig
    | RenderingsConfig
    | PairsConfig,
    Field(discriminator="kind"),
]
