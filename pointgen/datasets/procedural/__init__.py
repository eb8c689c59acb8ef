"""Built-in shapes: parametric meshes with named attributes."""

from pointgen.datasets.procedural.config import ProceduralConfig
from pointgen.datasets.procedural.shapes import CATEGORIES, Shape, make_shape
from pointgen.datasets.procedural.write import write_procedural

__all__ = ["CATEGORIES", "ProceduralConfig", "Shape", "make_shape", "write_procedural"]
