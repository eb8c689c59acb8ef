"""Colours of points: by where they are, by a value of each, or by the part that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from pointgen.view.clouds import Checked

__all__ = [
    "HEIGHT_STOPS",
    "PALETTES",
    "PLAIN",
    "Palette",
    "by_label",
    "by_value",
    "colour",
    "colours_of",
]

Palette = Literal["position", "height", "depth", "plain"]

HEIGHT_STOPS = ((0.20, 0.25, 0.55), (0.16, 0.55, 0.66), (0.48, 0.76, 0.52), (0.97, 0.80, 0.36))
"""Colours of "height" from the lowest point to the highest, evenly spaced, RGB in [0, 1]."""

PLAIN = (0.42, 0.58, 0.78)

PARTS = (
    (0.30, 0.48, 0.75), (0.93, 0.58, 0.26), (0.36, 0.66, 0.42), (0.82, 0.35, 0.36),
    (0.58, 0.46, 0.72), (0.60, 0.45, 0.38), (0.88, 0.55, 0.74), (0.55, 0.57, 0.60),
    (0.75, 0.74, 0.30), (0.30, 0.72, 0.78),
)  # fmt: skip


def colour(
    points: np.ndarray, palette: Palette, back: Sequence[float] | np.ndarray = (0, 0, 1)
) -> np.ndarray:
    """Return the colour (N, 3) of each point, RGB in [0, 1].

    Args:
        points: (N, 3), data units.
        palette: "position": red, green and blue grow along x, y and z; "height": along y; "depth":
            the brighter the nearer to the camera; "plain": one colour.
        back: direction from the shape to the camera, for "depth".

    Raises:
        ValueError: There is no such palette.
    """
    if palette not in PALETTES:
        raise ValueError(f"colors: expected one of {', '.join(PALETTES)}, got {palette!r}")
    return PALETTES[palette](points.astype(float), np.asarray(back, dtype=float))


def colours_of(
    shape: Checked, palette: Palette | None, back: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Return the colour (N, 3) of each point; None: the shape's own, "position" if it has none.

    `back` is the direction to the camera, as in `colour`.
    """
    if palette is None and shape.colours is not None:
        return shape.colours
    return colour(shape.points, palette or "position", back)


def by_value(
    values: Sequence[np.ndarray], limits: tuple[float, float] | None = None
) -> list[np.ndarray]:
    """Return colours (N_i, 3) of the values (N_i,) of each cloud's points, on one scale for all.

    Args:
        values: of the points of each cloud, finite.
        limits: values of the first and the last colour; least and greatest by default.
    """
    low, high = limits or (min(v.min() for v in values), max(v.max() for v in values))
    return [_ramp(each.astype(float), float(low), float(high)) for each in values]


def by_label(labels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return colours (N_i, 3): one for each label (N_i,); beyond ten labels they come again."""
    known = np.unique(np.concatenate(list(labels)))
    return [np.array(PARTS)[np.searchsorted(known, each) % len(PARTS)] for each in labels]


def _position(points: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Colour by the place in the cube around the box, at constant brightness, a little muted."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()), np.finfo(float).tiny)
    place = np.clip((points - (low + high) / 2) / side + 0.5, 0.08, 1)
    return 0.18 + 0.82 * place / np.linalg.norm(place, axis=1, keepdims=True)


def _along(points: np.ndarray, direction: np.ndarray) -> np.ndarray:
    share = points @ direction
    return _ramp(share, float(share.min()), float(share.max()))


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = (values - low) / max(high - low, np.finfo(float).tiny)
    stops = np.array(HEIGHT_STOPS)
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(share, at, stops[:, channel]) for channel in range(3)], axis=1)


PALETTES: dict[Palette, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "position": _position,
    "height": lambda points, _: _along(points, np.array([0.0, 1.0, 0.0])),
    "depth": _along,
    "plain": lambda points, _: np.broadcast_to(np.array(PLAIN), points.shape),
}
