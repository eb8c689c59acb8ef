"""A camera that looks at the origin from outside the unit cube, y up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Camera", "Lens"]

DISTANCE = 5.2  # of the camera from the origin, in sides of the cube: (3, 3, 3)
SMALLEST = 0.5 / DISTANCE  # what a picture shows at least: no single point fills it


@dataclass(frozen=True)
class Camera:
    """Where the camera stands.

    Attributes:
        azimuth: degrees around y; 0 looks from +z, 90 from +x.
        elevation: degrees above the floor.
    """

    azimuth: float
    elevation: float

    @property
    def axes(self) -> np.ndarray:
        """Rows (3, 3): unit vectors to the right, up, and from the origin towards the camera."""
        turn, lift = np.radians(self.azimuth), np.radians(self.elevation)
        right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
        back = np.array([np.sin(turn) * np.cos(lift), np.sin(lift), np.cos(turn) * np.cos(lift)])
        return np.stack([right, np.cross(back, right), back])

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the places (N, 2) in the image plane at distance 1, y up, and the depths (N,)."""
        view = points @ self.axes.T
        depth = DISTANCE - view[:, 2]
        return view[:, :2] / depth[:, None], depth

    def floor(self, screen: np.ndarray, height: float) -> np.ndarray:
        """Return where the rays through `screen` (M, 2) meet the floor y = `height`.

        Returns:
            (M, 2): x and z; NaN where a ray never meets the floor.
        """
        axes = self.axes
        ray = screen @ axes[:2] - axes[2]  # (M, 3)
        eye = DISTANCE * axes[2]
        down = np.where(ray[:, 1] < 0, ray[:, 1], np.nan)
        return (eye + ((height - eye[1]) / down)[:, None] * ray)[:, [0, 2]]


@dataclass(frozen=True)
class Lens:
    """How the image plane becomes pixels.

    Attributes:
        focal: pixels per unit of the image plane at distance 1.
        middle: (2,) the place in the image plane that is shown in the middle.
        size: width and height of the picture in pixels.
    """

    focal: float
    middle: np.ndarray
    size: int

    @classmethod
    def around(cls, screen: np.ndarray, size: int, margin: float) -> Lens:
        """Return the lens that shows all of `screen` (N, 2).

        Args:
            screen: places in the image plane.
            size: of the picture, pixels.
            margin: share of the picture that is left free on each side.
        """
        low, high = screen.min(axis=0), screen.max(axis=0)
        span = max(float((high - low).max()), SMALLEST)
        return cls((1 - 2 * margin) * size / span, (low + high) / 2, size)

    def scaled(self, factor: int) -> Lens:
        """Return the same view in a picture `factor` times as large."""
        return Lens(self.focal * factor, self.middle, self.size * factor)

    def pixels(self, screen: np.ndarray) -> np.ndarray:
        """Return the pixel coordinates (N, 2), x to the right and y down, of `screen` (N, 2)."""
        return self.size / 2 + self.focal * (screen - self.middle) * (1, -1)

    def screen(self) -> np.ndarray:
        """Return the places (size * size, 2) of all pixel centres in the image plane."""
        across = (np.arange(self.size) + 0.5 - self.size / 2) / self.focal
        x, y = np.meshgrid(across, -across)
        return np.stack([x.ravel(), y.ravel()], axis=1) + self.middle
