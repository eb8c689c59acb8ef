"""Tables: a top of three outlines on four legs, a pedestal or a trestle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pointgen.datasets.procedural.solids import (
    Mesh,
    beam,
    box,
    lathe,
    merge,
    outline,
    rod,
    slab,
)

__all__ = ["Support", "Table", "Top"]


class Top(IntEnum):
    """The outline of the top."""

    RECTANGLE = 0
    ROUNDED = 1
    ELLIPSE = 2


class Support(IntEnum):
    """What carries the top."""

    SQUARE_LEGS = 0
    ROUND_LEGS = 1
    PEDESTAL = 2
    TRESTLE = 3


@dataclass(frozen=True)
class Table:
    """The attributes of a table: lengths in data units, angles in radians."""

    length: float
    depth: float
    height: float  # of the legs
    top_thickness: float
    top: Top
    support: Support
    leg_thickness: float
    leg_taper: float
    leg_splay: float
    apron: bool
    shelf: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Table:
        """Draw a table at random."""
        length = rng.uniform(0.55, 0.95)
        top = Top(rng.choice(3, p=[0.5, 0.25, 0.25]))
        support = Support(rng.choice(4, p=[0.4, 0.25, 0.2, 0.15]))
        return cls(
            length=length,
            depth=length * rng.uniform(0.45, 1.0) * (0.9 if support == Support.TRESTLE else 1.0),
            height=rng.uniform(0.28, 0.52),
            top_thickness=rng.uniform(0.02, 0.05),
            top=top,
            support=support,
            leg_thickness=rng.uniform(0.03, 0.065),
            leg_taper=rng.uniform(0.5, 1.0),
            leg_splay=rng.uniform(0.0, 0.2) * rng.integers(2),
            apron=bool(rng.random() < 0.4 and top == Top.RECTANGLE),
            shelf=bool(rng.random() < 0.2),
        )

    def mesh(self) -> Mesh:
        """Build the table, standing on y = 0."""
        exponent = {Top.RECTANGLE: 40.0, Top.ROUNDED: 5.0, Top.ELLIPSE: 2.0}[self.top]
        shape = outline(self.length, self.depth, exponent=exponent, sides=40)
        parts = [slab(shape, self.height, self.height + self.top_thickness)]
        if self.support == Support.PEDESTAL:
            return merge([*parts, self._pedestal()])
        if self.support == Support.TRESTLE:
            return merge([*parts, *self._trestle()])
        parts += self._legs()
        parts += self._apron_parts() if self.apron else []
        return merge(parts + ([self._shelf_part()] if self.shelf else []))

    @property
    def _corner(self) -> tuple[float, float]:
        """The (x, z) of the middle of a leg under the top."""
        inset = 0.7 if self.top == Top.ELLIPSE else 0.94
        margin = 0.6 * self.leg_thickness
        return inset * self.length / 2 - margin, inset * self.depth / 2 - margin

    def _legs(self) -> list[Mesh]:
        x, z = self._corner
        out = 0.7 * self.height * np.tan(self.leg_splay)
        ends = [
            ((i * x, self.height, j * z), (i * (x + out), 0.0, j * (z + out)))
            for i in (-1, 1)
            for j in (-1, 1)
        ]
        thick, taper = self.leg_thickness, self.leg_taper
        if self.support == Support.ROUND_LEGS:
            return [rod(top, foot, thick / 2, taper=taper) for top, foot in ends]
        return [beam(top, foot, thick, thick, taper=taper) for top, foot in ends]

    def _apron_parts(self) -> list[Mesh]:
        """Four boards under the edge of the top."""
        x, z = self._corner
        low, thin = 0.84 * self.height, 0.15 * self.leg_thickness
        long = [box((-x, low, j * z - thin), (x, self.height, j * z + thin)) for j in (-1, 1)]
        short = [box((i * x - thin, low, -z), (i * x + thin, self.height, z)) for i in (-1, 1)]
        return long + short

    def _shelf_part(self) -> Mesh:
        x, z = self._corner
        y = 0.3 * self.height
        return box((-x, y, -z), (x, y + 0.6 * self.top_thickness, z))

    def _pedestal(self) -> Mesh:
        """A turned column that widens to a foot; the top hides its upper end."""
        waist, foot = 0.7 * self.leg_thickness, 0.26 * min(self.length, self.depth)
        heights = [(foot, 0), (foot, 0.04), (1.5 * waist, 0.14), (waist, 0.3), (waist, 0.8)]
        profile = [(r, y * self.height) for r, y in [*heights, (2 * waist, 1.0)]]
        return lathe(profile)

    def _trestle(self) -> list[Mesh]:
        """Two panels and a rail between them."""
        x, z, thin = 0.38 * self.length, 0.4 * self.depth, 0.35 * self.leg_thickness
        panels = [box((i * x - thin, 0, -z), (i * x + thin, self.height, z)) for i in (-1, 1)]
        low = 0.35 * self.height
        rail = box((-x + thin, low, -thin), (x - thin, low + 0.15 * self.height, thin))
        return [*panels, rail]
