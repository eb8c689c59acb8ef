"""Soft light without a renderer: how much of the sky, or of a lamp, each point can see.

Along every direction of light the blockers are dropped into a grid of square cells, of which each
remembers the one nearest to the light; whatever lies clearly behind it is in its shadow. Averaged
over some dozens of directions this is the soft shading of an overcast sky.
"""

from __future__ import annotations

import numpy as np

from pointgen.geometry.directions import at_heights

__all__ = ["lamp", "sky", "visibility"]


def sky(count: int) -> np.ndarray:
    """Return directions (count, 3) above the floor, denser towards the zenith (cosine)."""
    return at_heights(np.sqrt(1 - (np.arange(count) + 0.5) / count))


def lamp(direction: np.ndarray, count: int, spread: float) -> np.ndarray:
    """Return directions (count, 3) within a cone around `direction` (3,).

    Args:
        direction: unit vector towards the middle of the lamp.
        count: number of directions.
        spread: half opening of the cone, radians.
    """
    cap = at_heights(1 - (1 - np.cos(spread)) * (np.arange(count) + 0.5) / count)
    right, forward = _across(direction[None])[0]
    return cap[:, [0]] * right + cap[:, [1]] * direction + cap[:, [2]] * forward


def visibility(
    probes: np.ndarray, blockers: np.ndarray, directions: np.ndarray, radius: float
) -> np.ndarray:
    """Return the share (M,) of the directions in which nothing stands before each probe.

    Args:
        probes: (M, 3) places that are lit.
        blockers: (N, 3) centres of spheres that throw shadows.
        directions: (D, 3) unit vectors towards the light.
        radius: of the spheres, in the units of the places.
    """
    from pointgen.view.kernels import add_visible

    seen = np.zeros(len(probes))
    across = _across(directions)
    add_visible(seen, probes.astype(float), blockers.astype(float), directions, across, radius)
    return seen / len(directions)


def _across(directions: np.ndarray) -> np.ndarray:
    """Return (D, 2, 3): two unit vectors that span the plane across each of (D, 3)."""
    helper = np.eye(3)[np.abs(directions).argmin(axis=1)]
    right = np.cross(directions, helper)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(right, directions)], axis=1)
