"""Simple solids: sphere, box, cylinder, cone and torus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointgen.datasets.procedural.solids import Mesh, ball, box, lathe, loft

__all__ = ["Box", "Cone", "Cylinder", "Sphere", "Torus"]


@dataclass(frozen=True)
class Sphere:
    """A sphere; data units."""

    radius: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Sphere:
        """Draw a sphere at random."""
        return cls(radius=rng.uniform(0.2, 0.5))

    def mesh(self) -> Mesh:
        """Build the sphere."""
        return ball((0, 0, 0), (self.radius, self.radius, self.radius), sides=48)


@dataclass(frozen=True)
class Box:
    """A box; data units."""

    width: float
    height: float
    depth: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Box:
        """Draw a box at random."""
        width, height, depth = rng.uniform(0.25, 0.9, size=3).tolist()
        return cls(width=width, height=height, depth=depth)

    def mesh(self) -> Mesh:
        """Build the box."""
        return box((0, 0, 0), (self.width, self.height, self.depth))


@dataclass(frozen=True)
class Cylinder:
    """An upright cylinder; data units."""

    radius: float
    height: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Cylinder:
        """Draw a cylinder at random."""
        return cls(radius=rng.uniform(0.12, 0.45), height=rng.uniform(0.3, 0.95))

    def mesh(self) -> Mesh:
        """Build the cylinder."""
        return lathe([(self.radius, 0), (self.radius, self.height)], sides=48)


@dataclass(frozen=True)
class Cone:
    """An upright cone; data units."""

    radius: float
    height: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Cone:
        """Draw a cone at random."""
        return cls(radius=rng.uniform(0.15, 0.45), height=rng.uniform(0.35, 0.95))

    def mesh(self) -> Mesh:
        """Build the cone."""
        return lathe([(self.radius, 0), (0, self.height)], sides=48)


@dataclass(frozen=True)
class Torus:
    """A torus lying flat; data units."""

    ring_radius: float
    tube_radius: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Torus:
        """Draw a torus at random."""
        ring = rng.uniform(0.2, 0.34)
        return cls(ring_radius=ring, tube_radius=ring * rng.uniform(0.18, 0.45))

    def mesh(self) -> Mesh:
        """Build the torus."""
        turn, around = np.meshgrid(_angles(48), _angles(24), indexing="ij")
        reach = self.ring_radius + self.tube_radius * np.cos(around)
        height = self.tube_radius * np.sin(around)
        rings = np.stack([reach * np.cos(turn), height, reach * np.sin(turn)], axis=-1)
        return loft(rings, closed=True)


def _angles(count: int) -> np.ndarray:
    return np.arange(count) * 2 * np.pi / count
