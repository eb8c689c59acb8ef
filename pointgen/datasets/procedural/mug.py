"""Mugs: a thick-walled cup with a bent handle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointgen.datasets.procedural.solids import Mesh, lathe, merge, tube

__all__ = ["Mug"]


@dataclass(frozen=True)
class Mug:
    """The attributes of a mug, lengths in data units; the handle is on the side of +x."""

    radius: float  # of the rim
    height: float
    taper: float  # radius of the foot relative to the rim
    belly: float  # how far the wall bulges between them, relative to the rim
    wall: float
    handle_reach: float
    handle_height: float  # relative to the mug
    handle_radius: float
    handle_squareness: float  # exponent of the superellipse: 2 is round

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Mug:
        """Draw a mug at random."""
        return cls(
            radius=rng.uniform(0.2, 0.32),
            height=rng.uniform(0.42, 0.85),
            taper=rng.uniform(0.7, 1.05),
            belly=rng.uniform(0.0, 0.15) * rng.integers(2),
            wall=rng.uniform(0.02, 0.04),
            handle_reach=rng.uniform(0.12, 0.24),
            handle_height=rng.uniform(0.45, 0.75),
            handle_radius=rng.uniform(0.02, 0.04),
            handle_squareness=rng.uniform(2.0, 5.0),
        )

    def mesh(self) -> Mesh:
        """Build the mug, standing on y = 0."""
        return merge([self._cup(), self._handle()])

    def _radius_at(self, rise: np.ndarray) -> np.ndarray:
        """The outer radius at heights given relative to the mug."""
        straight = self.radius * (self.taper + (1 - self.taper) * rise)
        return straight + self.radius * self.belly * np.sin(np.pi * rise)

    def _cup(self) -> Mesh:
        """One skin: up the outside, over the rim, down the inside to the floor."""
        rise = np.linspace(0, 1, 9)
        floor = 1.5 * self.wall
        outside = np.stack([self._radius_at(rise), rise * self.height], axis=-1)
        depth = np.linspace(1, floor / self.height, 9)
        inside = np.stack([self._radius_at(depth) - self.wall, depth * self.height], axis=-1)
        return lathe(np.concatenate([outside, inside]).tolist(), sides=40)

    def _handle(self) -> Mesh:
        turn = np.linspace(-np.pi / 2, np.pi / 2, 17)
        power = 2 / self.handle_squareness
        up = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
        out = np.abs(np.cos(turn)) ** power
        y = self.height * (0.52 + 0.5 * self.handle_height * up)
        wall = self._radius_at(y / self.height) - 0.5 * self.wall  # its ends meet the wall
        x = wall + self.handle_reach * out
        return tube(np.stack([x, y, np.zeros_like(x)], axis=-1), self.handle_radius)
