"""Chairs: a seat, a back of three kinds, four legs or a pedestal, with or without arms."""

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
    move,
    outline,
    rod,
    slab,
    tilt,
)

__all__ = ["Back", "Chair", "Legs"]


class Back(IntEnum):
    """How the back is filled."""

    SOLID = 0
    SLATS = 1
    LADDER = 2


class Legs(IntEnum):
    """What carries the seat."""

    SQUARE = 0
    ROUND = 1
    PEDESTAL = 2


@dataclass(frozen=True)
class Chair:
    """The attributes of a chair: lengths in data units, angles in radians; it looks towards -z."""

    seat_width: float
    seat_depth: float
    seat_thickness: float
    seat_height: float  # of its underside: the height of the legs
    back_height: float  # along the back, from the top of the seat
    back_tilt: float
    back: Back
    slats: int
    legs: Legs
    leg_thickness: float
    leg_taper: float  # thickness at the floor relative to the seat
    leg_splay: float
    round_seat: bool
    stretchers: bool
    arms: bool
    arm_height: float  # above the top of the seat

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Chair:
        """Draw a chair at random."""
        width = rng.uniform(0.36, 0.52)
        return cls(
            seat_width=width,
            seat_depth=width * rng.uniform(0.85, 1.05),
            seat_thickness=rng.uniform(0.025, 0.07),
            seat_height=rng.uniform(0.32, 0.46),
            back_height=rng.uniform(0.32, 0.48),
            back_tilt=rng.uniform(0.0, 0.25),
            back=Back(rng.choice(3, p=[0.5, 0.25, 0.25])),
            slats=int(rng.integers(3, 6)),
            legs=Legs(rng.choice(3, p=[0.5, 0.4, 0.1])),
            leg_thickness=rng.uniform(0.03, 0.055),
            leg_taper=rng.uniform(0.55, 1.0),
            leg_splay=rng.uniform(0.0, 0.2) * rng.integers(2),
            round_seat=bool(rng.random() < 0.2),
            stretchers=bool(rng.random() < 0.25),
            arms=bool(rng.random() < 0.35),
            arm_height=rng.uniform(0.16, 0.23),
        )

    def mesh(self) -> Mesh:
        """Build the chair, standing on y = 0."""
        parts = [self._seat(), *self._back_parts()]
        parts += self._pedestal() if self.legs == Legs.PEDESTAL else self._four_legs()
        return merge(parts + (self._arm_parts() if self.arms else []))

    @property
    def _top(self) -> float:
        return self.seat_height + self.seat_thickness

    @property
    def _rear(self) -> float:
        """The z at which the middle of the back's foot stands."""
        return self.seat_depth / 2 - self._bar / 2

    @property
    def _bar(self) -> float:
        """The thickness of posts, rails and arms."""
        return 0.85 * self.leg_thickness

    @property
    def _back_width(self) -> float:
        return self.seat_width * (0.72 if self.round_seat else 0.96)

    def _seat(self) -> Mesh:
        exponent = 2.2 if self.round_seat else 9.0
        shape = outline(self.seat_width, self.seat_depth, exponent=exponent)
        return slab(shape, self.seat_height, self._top)

    def _back_parts(self) -> list[Mesh]:
        build = {Back.SOLID: self._panel, Back.SLATS: self._slats, Back.LADDER: self._ladder}
        # the posts start a little inside a round seat, where its edge curves away
        z = self._rear - (0.06 * self.seat_depth if self.round_seat else 0.0)
        return [move(tilt(part, self.back_tilt), y=self._top, z=z) for part in build[self.back]()]

    def _panel(self) -> list[Mesh]:
        half, depth = self._back_width / 2, 0.7 * self._bar
        return [box((-half, 0, -depth / 2), (half, self.back_height, depth / 2))]

    def _posts(self) -> list[Mesh]:
        x = self._back_width / 2 - self._bar / 2
        ends = [((side, 0.0, 0.0), (side, self.back_height, 0.0)) for side in (-x, x)]
        return [beam(low, high, self._bar, self._bar) for low, high in ends]

    def _rail(self, low: float, high: float) -> Mesh:
        x, z = self._back_width / 2 - self._bar, 0.3 * self._bar
        return box((-x, low, -z), (x, high, z))

    def _slats(self) -> list[Mesh]:
        rail = 0.16 * self.back_height
        x = self._back_width / 2 - self._bar
        centres = np.linspace(-x, x, self.slats + 2)[1:-1]
        half, z = 0.28 * (centres[1] - centres[0]), 0.2 * self._bar
        top = self.back_height - rail
        slats = [box((c - half, 0, -z), (c + half, top, z)) for c in centres.tolist()]
        return [*self._posts(), self._rail(top, self.back_height), *slats]

    def _ladder(self) -> list[Mesh]:
        count = self.slats - 1
        pitch = 0.92 * self.back_height / count
        tops = [self.back_height - pitch * step for step in range(count)]
        return [*self._posts(), *(self._rail(top - 0.5 * pitch, top) for top in tops)]

    def _leg_ends(self) -> list[tuple[tuple[float, float, float], tuple[float, float, float]]]:
        """The middle of each leg at the seat and at the floor, front left first."""
        inset = 0.72 if self.round_seat else 1.0
        x = inset * self.seat_width / 2 - self.leg_thickness * 0.6
        z = inset * self.seat_depth / 2 - self.leg_thickness * 0.6
        out = self.seat_height * np.tan(self.leg_splay)
        corners = [(-1, -1), (1, -1), (-1, 1), (1, 1)]
        return [
            ((i * x, self.seat_height, j * z), (i * (x + 0.7 * out), 0.0, j * (z + 0.7 * out)))
            for i, j in corners
        ]

    def _four_legs(self) -> list[Mesh]:
        thickness, taper = self.leg_thickness, self.leg_taper
        ends = self._leg_ends()
        if self.legs == Legs.ROUND:
            legs = [rod(top, foot, thickness / 2, taper=taper) for top, foot in ends]
        else:
            legs = [beam(top, foot, thickness, thickness, taper=taper) for top, foot in ends]
        return legs + (self._stretcher_parts() if self.stretchers else [])

    def _stretcher_parts(self) -> list[Mesh]:
        """An H between the legs at a third of their height."""
        at = [np.asarray(foot) + (np.asarray(top) - foot) / 3 for top, foot in self._leg_ends()]
        left, right = (at[0] + at[2]) / 2, (at[1] + at[3]) / 2
        radius = 0.3 * self.leg_thickness
        pairs = [(at[0], at[2]), (at[1], at[3]), (left, right)]
        return [rod(tuple(a), tuple(b), radius, sides=8) for a, b in pairs]

    def _pedestal(self) -> list[Mesh]:
        """A column on five feet."""
        radius, reach = 0.6 * self.leg_thickness, 0.47 * self.seat_width
        rise = 0.14 * self.seat_height
        column = move(lathe([(radius, 0), (radius, self.seat_height - rise)], sides=16), y=rise)
        feet = [
            rod((0, rise, 0), (reach * np.cos(a), 0.02, reach * np.sin(a)), radius, taper=0.6)
            for a in (np.arange(5) * 2 * np.pi / 5 + np.pi / 2).tolist()
        ]
        return [column, *feet]

    def _arm_parts(self) -> list[Mesh]:
        bar, height = self._bar, self.arm_height
        x = self.seat_width / 2 - bar / 2
        if self.round_seat:
            x *= 0.8
        front = -0.28 * self.seat_depth
        back = self._rear + height * np.tan(self.back_tilt)
        rest = box(
            (x - 0.65 * bar, self._top + height, front - bar),
            (x + 0.65 * bar, self._top + height + 0.7 * bar, back),
        )
        post = beam((x, self._top, front), (x, self._top + height, front), bar, bar)
        return [move(part, x=shift) for part in (rest, post) for shift in (0.0, -2 * x)]
