"""The table of built-in categories, and one random shape of one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np

from pointgen.datasets.procedural.airplane import Airplane
from pointgen.datasets.procedural.car import Car
from pointgen.datasets.procedural.chair import Chair
from pointgen.datasets.procedural.lamp import Lamp
from pointgen.datasets.procedural.mug import Mug
from pointgen.datasets.procedural.simple import Box, Cone, Cylinder, Sphere, Torus
from pointgen.datasets.procedural.solids import Mesh
from pointgen.datasets.procedural.table import Table

__all__ = ["CATEGORIES", "Recipe", "Shape", "build_shape", "make_shape"]

Recipe = Airplane | Box | Car | Chair | Cone | Cylinder | Lamp | Mug | Sphere | Table | Torus

CATEGORIES: MappingProxyType[str, Callable[[np.random.Generator], Recipe]] = MappingProxyType(
    {
        "airplane": Airplane.draw,
        "box": Box.draw,
        "car": Car.draw,
        "chair": Chair.draw,
        "cone": Cone.draw,
        "cylinder": Cylinder.draw,
        "lamp": Lamp.draw,
        "mug": Mug.draw,
        "sphere": Sphere.draw,
        "table": Table.draw,
        "torus": Torus.draw,
    }
)


@dataclass(frozen=True)
class Shape:
    """One built-in shape, its bounding box centred at the origin.

    Attributes:
        vertices: (V, 3) float64, within about 0.5 of the origin on each axis; y is up.
        faces: (F, 3) int64.
        attributes: what it was built from: lengths in data units, angles in radians, counts,
            and discrete choices as 0, 1, 2, ...
    """

    vertices: np.ndarray
    faces: np.ndarray
    attributes: dict[str, float]


def make_shape(category: str, rng: np.random.Generator) -> Shape:
    """Draw one shape of a category of `CATEGORIES`.

    Raises:
        ValueError: There is no such category.
    """
    if category not in CATEGORIES:
        raise ValueError(f"category: expected one of {', '.join(CATEGORIES)}, got {category!r}")
    return build_shape(CATEGORIES[category](rng))


def build_shape(recipe: Recipe) -> Shape:
    """Build the centred shape of given attributes."""
    mesh = recipe.mesh()
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    attributes = {name: float(value) for name, value in asdict(recipe).items()}
    return Shape(mesh.vertices - middle, _without_slivers(mesh), attributes)


def _without_slivers(mesh: Mesh) -> np.ndarray:
    """Leave out the triangles without area, where a ring of a loft is a single point."""
    a, b, c = mesh.vertices[mesh.faces].swapaxes(0, 1)
    return mesh.faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]
