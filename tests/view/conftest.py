"""Shapes to look at."""

import numpy as np
import pytest


@pytest.fixture
def torus():
    """2048 points of a torus that lies on the floor, radii 1 and 0.35."""
    around, across = np.random.default_rng(0).random((2, 2048)) * 2 * np.pi
    ring = 1 + 0.35 * np.cos(across)
    return np.stack(
        [ring * np.cos(around), 0.35 * np.sin(across), ring * np.sin(around)], axis=1
    ).astype(np.float32)


@pytest.fixture
def chair():
    """2048 points in the boxes of a seat, a back and four legs; 1 high, 0.5 wide."""
    generator = np.random.default_rng(1)
    boxes = [((0, 0.45, 0), (0.5, 0.05, 0.5), 700), ((0, 0.75, -0.22), (0.5, 0.5, 0.05), 700)]
    legs = [(x, z) for x in (-0.22, 0.22) for z in (-0.22, 0.22)]
    boxes += [((x, 0.21, z), (0.05, 0.42, 0.05), 162) for x, z in legs]
    parts = [
        np.array(middle) + (generator.random((count, 3)) - 0.5) * sides
        for middle, sides, count in boxes
    ]
    return np.concatenate(parts).astype(np.float32)
