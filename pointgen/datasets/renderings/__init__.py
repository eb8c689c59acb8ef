"""Pictures of shapes: 3D-R2N2's layout written from meshes, and read beside any clouds."""

from pointgen.datasets.renderings.config import RenderingsConfig

__all__ = ["RenderingsConfig"]
