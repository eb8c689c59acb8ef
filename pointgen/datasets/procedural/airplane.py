"""Airplanes: a fuselage, swept wings, a tail of two kinds, and engines under the wings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointgen.datasets.procedural.solids import Mesh, lathe, loft, merge, mirror, move, tilt

__all__ = ["Airplane"]


@dataclass(frozen=True)
class Airplane:
    """The attributes of an airplane: lengths in data units, angles in radians; nose at -z."""

    length: float
    radius: float  # of the fuselage
    nose: float  # length of the nose relative to the fuselage
    wing_span: float
    wing_chord: float  # at the root
    wing_taper: float  # chord at the tip relative to the root
    wing_sweep: float
    wing_dihedral: float
    wing_position: float  # of the root's middle along the fuselage: 0 nose, 1 tail
    high_wing: bool
    tail_span: float
    fin_height: float
    t_tail: bool
    engines: int  # 0, 2 or 4

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Airplane:
        """Draw an airplane at random."""
        span = rng.uniform(0.6, 0.98)
        return cls(
            length=rng.uniform(0.7, 0.98),
            radius=rng.uniform(0.035, 0.065),
            nose=rng.uniform(0.1, 0.22),
            wing_span=span,
            wing_chord=rng.uniform(0.13, 0.23),
            wing_taper=rng.uniform(0.25, 0.75),
            wing_sweep=rng.uniform(0.0, 0.65),
            wing_dihedral=rng.uniform(0.0, 0.12),
            wing_position=rng.uniform(0.38, 0.48),
            high_wing=bool(rng.random() < 0.25),
            tail_span=span * rng.uniform(0.3, 0.42),
            fin_height=rng.uniform(0.11, 0.19),
            t_tail=bool(rng.random() < 0.25),
            engines=int(rng.choice([0, 2, 4], p=[0.25, 0.5, 0.25])),
        )

    def mesh(self) -> Mesh:
        """Build the airplane; the axis of its fuselage is y = 0."""
        right = [self._wing(), self._stabiliser()] + [
            self._engine(out) for out in ((0.35,), (0.28, 0.55))[self.engines // 4][: self.engines]
        ]
        return merge([self._fuselage(), self._fin(), *right, *(mirror(part) for part in right)])

    def _fuselage(self) -> Mesh:
        """A turned body, its tail end drawn up as in real airplanes."""
        along = np.linspace(0, 1, 28)
        front = np.sqrt(1 - np.clip(1 - along / self.nose, 0, 1) ** 2)
        back = 1 - 0.85 * np.clip((along - 0.62) / 0.38, 0, 1) ** 1.6
        radius = self.radius * np.minimum(front, back)
        body = tilt(lathe(list(zip(radius.tolist(), along * self.length, strict=True))), np.pi / 2)
        lift = np.where(body.vertices[:, 2] > 0.62 * self.length, 1.0, 0.0)
        rise = self.radius * 0.6 * ((body.vertices[:, 2] / self.length - 0.62) / 0.38) ** 2 * lift
        shift = np.stack([0 * rise, rise, 0 * rise - self.length / 2], axis=-1)
        return Mesh(body.vertices + shift, body.faces)

    def _wing(self) -> Mesh:
        z = (self.wing_position - 0.5) * self.length
        height = (0.75 if self.high_wing else -0.45) * self.radius
        root = np.array([0.6 * self.radius, height, z])
        reach = self.wing_span / 2 - root[0]
        step = (1.0, float(np.tan(self.wing_dihedral)), float(np.tan(self.wing_sweep)))
        tip = root + reach * np.array(step)
        return blade(root, tip, self.wing_chord, self.wing_chord * self.wing_taper)

    def _stabiliser(self) -> Mesh:
        chord = 0.6 * self.wing_chord
        rear = self.length / 2 - 0.55 * chord
        if self.t_tail:
            root = np.array([0.0, 0.97 * self.fin_height + 0.4 * self.radius, rear + 0.06])
        else:
            root = np.array([0.1 * self.radius, 0.5 * self.radius, rear])
        reach = self.tail_span / 2
        tip = root + reach * np.array([1.0, 0.0, np.tan(0.8 * self.wing_sweep)])
        return blade(root, tip, chord, 0.55 * chord)

    def _fin(self) -> Mesh:
        chord = 0.75 * self.wing_chord
        root = np.array([0.0, 0.6 * self.radius, self.length / 2 - 0.6 * chord])
        top = np.array([0.0, self.fin_height + 0.4 * self.radius, root[2] + 0.07])
        return blade(root, top, chord, 0.55 * chord)

    def _engine(self, out: float) -> Mesh:
        """A nacelle in front of and under the wing, `out` of the way to its tip."""
        x = out * self.wing_span / 2
        sag = x * np.tan(self.wing_dihedral) + (0.75 if self.high_wing else -0.45) * self.radius
        z = (self.wing_position - 0.5) * self.length + x * np.tan(self.wing_sweep)
        size = 0.5 * self.radius
        profile = [(0.75, 0.0), (1.0, 0.6), (1.0, 2.4), (0.6, 3.6)]
        nacelle = tilt(lathe([(size * r, size * y) for r, y in profile], sides=20), np.pi / 2)
        return move(nacelle, x, sag - 1.1 * size, z - 0.5 * self.wing_chord - 1.4 * size)


def blade(root: np.ndarray, tip: np.ndarray, root_chord: float, tip_chord: float) -> Mesh:
    """Loft a thin wing between the middles of its root and tip chords; chords run along z."""
    angle = np.arange(16) * 2 * np.pi / 16
    along = tip - root
    across = np.cross(along / np.linalg.norm(along), [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    # a lens with its thickest part a little forward; an eighth of the chord thick
    lens = np.cos(angle)[:, None] * np.array([0, 0, 0.5])
    lens = lens + (np.sin(angle) * (1 - 0.5 * np.cos(angle)))[:, None] * across / 18
    return loft(np.stack([root + root_chord * lens, tip + tip_chord * lens]))
