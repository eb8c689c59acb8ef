import numpy as np
import pytest


@pytest.fixture
def disc():
    """A function that draws a disc on a transparent ground of another, hidden colour."""

    def draw(height=137, width=137, centre=(68.0, 68.0), radius=30.0, hidden=(0, 0, 0)):
        rows, columns = np.mgrid[:height, :width] + 0.5
        distance = np.hypot(rows - centre[0], columns - centre[1])
        rgba = np.zeros((height, width, 4), np.uint8)
        rgba[..., :3] = hidden
        rgba[..., 3] = np.round(255 * np.clip(radius - distance + 0.5, 0, 1))
        rgba[distance < radius + 1, :3] = (200, 20, 20)
        return rgba

    return draw


@pytest.fixture
def photo():
    """A function that draws a brown stool with an opening on ground of one colour, with noise."""

    def draw(ground=(238, 240, 242), noise=0.0, size=200):
        rgb = np.full((size, size, 3), ground, np.float64)
        parts = [(60, 80, 50, 150), (80, 170, 55, 65), (80, 170, 135, 145), (150, 160, 65, 135)]
        for top, bottom, left, right in parts:
            rgb[top:bottom, left:right] = (110, 70, 30)
        rgb += np.random.default_rng(0).normal(0, 1, rgb.shape) * noise
        return np.clip(rgb, 0, 255).astype(np.uint8)

    return draw
