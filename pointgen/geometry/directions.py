"""Directions spread evenly over a sphere, or over a part of it between two heights.

Source: Gonzalez 2010 (Measurement of Areas on a Sphere Using Fibonacci and Latitude-Longitude
Lattices), the Fibonacci lattice.
"""

from __future__ import annotations

import numpy as np

__all__ = ["all_around", "at_heights"]

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))  # radians


def all_around(count: int) -> np.ndarray:
    """Return unit vectors (count, 3), evenly over the whole sphere, from the top down."""
    return at_heights(1 - (2 * np.arange(count) + 1) / count)


def at_heights(heights: np.ndarray) -> np.ndarray:
    """Return unit vectors (N, 3) whose y are heights (N,); evenly spread where those are."""
    angle = GOLDEN_ANGLE * np.arange(len(heights))
    ring = np.sqrt(1 - heights**2)
    return np.stack([ring * np.cos(angle), heights, ring * np.sin(angle)], axis=1)
