"""Datasets: where shapes come from, and the config that builds each."""

from typing import Annotated

from pydantic import Field

from pointgen.datasets.base import CloudDataset, Normalize, Source, Standardization
from pointgen.datasets.meshes import MeshesConfig
from pointgen.datasets.pc15k import Pc15kConfig
from pointgen.datasets.procedural import ProceduralConfig, make_shape, write_procedural
from pointgen.datasets.settings import Progress, Split

__all__ = [
    "CloudDataset",
    "DataConfig",
    "MeshesConfig",
    "Normalize",
    "Pc15kConfig",
    "ProceduralConfig",
    "Progress",
    "Source",
    "Split",
    "Standardization",
    "make_shape",
    "write_procedural",
]

DataConfig = Annotated[ProceduralConfig | MeshesConfig | Pc15kConfig, Field(discriminator="kind")]
