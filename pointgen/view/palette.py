"""Colours of points: each palette is a function of the place of a point in its cloud's box."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

__all__ = ["HEIGHT_STOPS", "PALETTES", "PLAIN", "Palette", "colour"]

Palette = Literal["position", "height", "plain"]

HEIGHT_STOPS = ((0.20, 0.25, 0.55), (0.16, 0.55, 0.66), (0.48, 0.76, 0.52), (0.97, 0.80, 0.36))
"""Colours of "height" from the lowest point to the highest, evenly spaced, RGB in [0, 1]."""

PLAIN = (0.42, 0.58, 0.78)


def colour(points: np.ndarray, palette: Palette) -> np.ndarray:
    """Return the colour (N, 3) of each point, RGB in [0, 1].

    Args:
        points: (N, 3), data units.
        palette: "position": red, green and blue grow along x, y and z; "height": along y; "plain":
            one colour.

    Raises:
        ValueError: There is no such palette.
    """
    if palette not in PALETTES:
        raise ValueError(f"colors: expected one of {', '.join(PALETTES)}, got {palette!r}")
    low, high = points.min(axis=0).astype(float), points.max(axis=0).astype(float)
    return PALETTES[palette](points.astype(float), low, high)


def _position(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Colour by the place in the cube around the box, at constant brightness, a little muted."""
    side = max(float((high - low).max()), np.finfo(float).tiny)
    place = np.clip((points - (low + high) / 2) / side + 0.5, 0.08, 1)
    return 0.18 + 0.82 * place / np.linalg.norm(place, axis=1, keepdims=True)


def _height(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    share = (points[:, 1] - low[1]) / max(float(high[1] - low[1]), np.finfo(float).tiny)
    stops = np.array(HEIGHT_STOPS)
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(share, at, stops[:, channel]) for channel in range(3)], axis=1)


def _plain(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.array(PLAIN), points.shape)


PALETTES: dict[Palette, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "position": _position,
    "height": _height,
    "plain": _plain,
}
