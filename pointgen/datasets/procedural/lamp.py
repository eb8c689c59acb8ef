"""Lamps: a shade on a stand, on a jointed arm, or hanging from a cord."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pointgen.datasets.procedural.solids import Mesh, ball, lathe, merge, move, rod, tilt

__all__ = ["Lamp", "Mount"]


class Mount(IntEnum):
    """What holds the shade."""

    STAND = 0
    ARM = 1
    CORD = 2


@dataclass(frozen=True)
class Lamp:
    """The attributes of a lamp: lengths in data units, angles in radians."""

    mount: Mount
    height: float
    base_radius: float
    stem_radius: float
    vase: float  # how far the stem of a stand bulges, relative to the base
    shade_height: float
    shade_radius: float  # of its lower, wider rim
    shade_taper: float  # the upper rim relative to the lower
    arm_angle: float  # of the lower arm from upright

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Lamp:
        """Draw a lamp at random."""
        mount = Mount(rng.choice(3, p=[0.6, 0.2, 0.2]))
        small = 0.6 if mount == Mount.ARM else 1.0
        return cls(
            mount=mount,
            height=rng.uniform(0.6, 0.98),
            base_radius=rng.uniform(0.1, 0.18),
            stem_radius=rng.uniform(0.012, 0.025),
            vase=rng.uniform(0.3, 0.9) * rng.integers(2) if mount == Mount.STAND else 0.0,
            shade_height=rng.uniform(0.16, 0.34) * small,
            shade_radius=rng.uniform(0.16, 0.28) * small,
            shade_taper=rng.uniform(0.35, 0.95),
            arm_angle=rng.uniform(0.2, 0.6),
        )

    def mesh(self) -> Mesh:
        """Build the lamp; its lowest point is at y = 0."""
        build = {Mount.STAND: self._stand, Mount.ARM: self._arm, Mount.CORD: self._cord}
        return merge(build[self.mount]())

    def _shade(self) -> Mesh:
        """A sheet, open above and below; its lower rim at y = 0."""
        upper = self.shade_radius * self.shade_taper
        return lathe([(self.shade_radius, 0), (upper, self.shade_height)], caps=False)

    def _base(self) -> Mesh:
        edge = self.base_radius
        return lathe([(edge, 0), (edge, 0.02), (0.6 * edge, 0.035), (self.stem_radius, 0.05)])

    def _stand(self) -> list[Mesh]:
        below = self.height - self.shade_height
        stem = lathe([(self.stem_radius, 0.05), (self.stem_radius, below + 0.04)], sides=12)
        parts = [self._base(), stem, move(self._shade(), y=below)]
        return [*parts, self._vase_part(below)] if self.vase > 0 else parts

    def _vase_part(self, below: float) -> Mesh:
        top = 0.04 + 0.75 * below
        rise = np.linspace(0, 1, 12)
        swell = self.stem_radius + self.vase * self.base_radius * np.sin(np.pi * rise**0.7) ** 0.8
        heights = 0.04 + rise * (top - 0.04)
        return lathe(list(zip(swell.tolist(), heights.tolist(), strict=True)))

    def _arm(self) -> list[Mesh]:
        """Two rods with a joint between them, and a shade that looks down and forwards."""
        reach = 0.55 * self.height
        sway = reach * np.sin(self.arm_angle)
        joint = (0.0, 0.04 + reach * np.cos(self.arm_angle), sway)
        head = (0.0, self.height - 0.6 * self.shade_height, sway - 0.8 * reach)
        thin = 0.8 * self.stem_radius
        shade = tilt(move(self._shade(), y=-0.8 * self.shade_height), 0.5)
        return [
            self._base(),
            rod((0.0, 0.03, 0.0), joint, thin),
            rod(joint, head, thin),
            ball(joint, (2 * thin, 2 * thin, 2 * thin), sides=12),
            move(shade, *head),
        ]

    def _cord(self) -> list[Mesh]:
        cord = rod((0, self.shade_height, 0), (0, self.height - 0.02, 0), 0.4 * self.stem_radius)
        bulb = 0.3 * self.shade_radius
        plate = lathe([(0.35 * self.base_radius, 0), (0.6 * self.base_radius, 0.02)], sides=24)
        lid = lathe([(self.shade_radius * self.shade_taper, 0), (0.01, 0.02)], caps=False)
        return [
            cord,
            move(plate, y=self.height - 0.02),
            move(lid, y=self.shade_height),
            self._shade(),
            ball((0, 0.45 * self.shade_height, 0), (bulb, bulb, bulb), sides=16),
        ]
