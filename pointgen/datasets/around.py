"""What the configs of datasets around another one have in common."""

from __future__ import annotations

from abc import ABC
from typing import Annotated

from pydantic import Field

from pointgen.datasets.cloud_files import CloudFilesConfig
from pointgen.datasets.hdf5 import Hdf5Config
from pointgen.datasets.meshes import MeshesConfig
from pointgen.datasets.pc15k import Pc15kConfig
from pointgen.datasets.procedural.config import ProceduralConfig
from pointgen.datasets.settings import CloudConfig

__all__ = ["Around", "CloudsConfig", "clouds_of"]

CloudsConfig = Annotated[
    ProceduralConfig | MeshesConfig | Pc15kConfig | Hdf5Config | CloudFilesConfig,
    Field(discriminator="kind"),
]


class Around(CloudConfig, ABC):
    """A dataset of another's shapes, with more to each.

    What is said here of num_points, normalize and on_error holds for them.
    """

    clouds: CloudsConfig
    """where the clouds come from"""

    @property
    def shapes(self) -> CloudsConfig:
        """The dataset of the shapes alone."""
        shared = ("num_points", "normalize", "on_error")
        return self.clouds.model_copy(update={name: getattr(self, name) for name in shared})


def clouds_of(config: CloudsConfig | Around) -> CloudsConfig:
    """Return the config of the shapes alone, which it is already if it has nothing more."""
    return config.shapes if isinstance(config, Around) else config
