"""Cars: one lofted body with bonnet, cabin and boot, on four wheels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointgen.datasets.procedural.solids import Mesh, lathe, loft, merge, mirror, move

__all__ = ["Car"]


@dataclass(frozen=True)
class Car:
    """The attributes of a car, lengths in data units; it looks towards -z."""

    length: float
    width: float
    belt_height: float  # of the body without the cabin, above its underside
    roof_height: float  # of the cabin above the belt
    bonnet: float  # length relative to the car
    boot: float  # length relative to the car: near 0 is a hatchback
    windscreen: float  # length of its slope relative to the car
    rear_slope: float
    tumblehome: float  # width of the roof relative to the body
    wheel_radius: float
    wheel_base: float  # between the axles, relative to the car
    clearance: float  # of the underside above the floor, relative to the wheels' radius
    pickup: bool  # an open bed behind the cabin

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Car:
        """Draw a car at random."""
        pickup = bool(rng.random() < 0.15)
        return cls(
            length=rng.uniform(0.8, 0.98),
            width=rng.uniform(0.34, 0.42),
            belt_height=rng.uniform(0.12, 0.17),
            roof_height=rng.uniform(0.08, 0.15),
            bonnet=rng.uniform(0.2, 0.3),
            boot=0.4 if pickup else rng.uniform(0.02, 0.2),
            windscreen=rng.uniform(0.08, 0.15),
            rear_slope=0.03 if pickup else rng.uniform(0.04, 0.15),
            tumblehome=rng.uniform(0.7, 0.88),
            wheel_radius=rng.uniform(0.065, 0.09),
            wheel_base=rng.uniform(0.58, 0.66),
            clearance=rng.uniform(0.5, 0.9),
            pickup=pickup,
        )

    def mesh(self) -> Mesh:
        """Build the car, standing on y = 0."""
        right = [self._wheel(end) for end in (-0.5, 0.5)]
        return merge([self._body(), *right, *(mirror(wheel) for wheel in right)])

    def _stations(self) -> np.ndarray:
        """Rows (z by length, underside, belt, roof, relative width) along the car, (R, 5)."""
        belt, roof = self.belt_height, self.belt_height + self.roof_height
        cabin = self.bonnet + self.windscreen
        rear = 1 - self.boot
        top = rear - self.rear_slope
        bed = 0.45 * belt if self.pickup else 0.95 * belt
        deck = 0.75 * belt if self.pickup else bed
        return np.array(
            [
                [0.0, 0.3 * belt, 0.55 * belt, 0.55 * belt, 0.86],
                [0.02, 0.1 * belt, 0.7 * belt, 0.7 * belt, 0.92],
                [0.1, 0.0, 0.84 * belt, 0.86 * belt, 1.0],
                [self.bonnet, 0.0, belt, belt, 1.0],
                [cabin, 0.0, belt, 0.96 * roof, 1.0],
                [(cabin + top) / 2, 0.0, belt, roof, 1.0],
                [top, 0.0, belt, 0.97 * roof, 1.0],
                [rear, 0.0, deck, deck, 1.0],
                [0.975, 0.05 * belt, deck, deck, 0.97],
                [1.0, 0.25 * belt, 0.85 * deck, 0.85 * deck, 0.9],
            ]
        )

    def _body(self) -> Mesh:
        along, under, belt, roof, width = self._stations().T
        half = width * self.width / 2
        # the roof is narrower the higher it stands above the belt
        narrow = half * (
            1 - (1 - self.tumblehome) * np.clip((roof - belt) / self.roof_height, 0, 1)
        )
        waist = under + 0.55 * (belt - under)
        x = np.stack([0.94 * half, half, 0.97 * half, narrow], axis=-1)
        y = np.stack([under, waist, belt, roof], axis=-1)
        x = np.concatenate([x, -x[:, ::-1]], axis=1)
        y = np.concatenate([y, y[:, ::-1]], axis=1)
        z = np.broadcast_to(((along - 0.5) * self.length)[:, None], x.shape)
        return move(loft(np.stack([x, y, z], axis=-1)), y=self.clearance * self.wheel_radius)

    def _wheel(self, end: float) -> Mesh:
        """The right wheel of the axle at `end` (-0.5 front, 0.5 rear), with a sunken hub."""
        r, tyre = self.wheel_radius, 0.14 * self.width
        profile = [(r, 0), (r, tyre), (0.85 * r, 1.08 * tyre), (0.55 * r, 0.9 * tyre)]
        upright = lathe(profile, sides=24)
        x, y, z = upright.vertices.T
        turned = Mesh(np.stack([y, z, x], axis=-1), upright.faces)
        return move(turned, self.width / 2 - 0.9 * tyre, r, end * self.wheel_base * self.length)
