"""The camera of a rendering of an object: 3D-R2N2's convention, written down here once.

A line of `rendering_metadata.txt` is `azimuth elevation in-plane distance fov`, angles in degrees,
and describes one picture. The object is centred at the origin, y is up. The camera stands at

    d * (cos(elevation) cos(azimuth), sin(elevation), cos(elevation) sin(azimuth)),

d in data units (the box diagonal of the object is 1), and looks at the origin with +y up. The
in-plane angle then rolls the camera about its line of sight, anticlockwise as it sees the world.

The viewer's frame is x right, y up, z back: the camera stands at its origin and looks along -z.
The focal length is in half widths of the picture: a point (x, y, -depth) of that frame is seen at
focal * (x, y) / depth, where the picture is the square from -1 to 1. Pixels count from the upper
left corner of the picture, y down; the centre of the first pixel is (0.5, 0.5).

3D-R2N2's files have a ratio of at most 1 in place of the distance, d = 1.75 * ratio, and say fov
25, although the pictures were made with a lens of 35 mm before a sensor 32 mm wide. Others write
the distance itself, and mean their fov. So a number up to 1 is a ratio, and a larger one a
distance.

Source: Choy et al. 2016 (3D-R2N2) for the file and its numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["R2N2_FOCAL", "ViewCamera", "random_camera"]

R2N2_DISTANCE = 1.75  # data units, of the ratio 1
R2N2_FOCAL = 2 * 35 / 32  # half widths of the picture: lens over half the sensor, in mm
R2N2_FOV = 25.0  # degrees; what the files say, whatever the lens
FIELDS = "azimuth elevation in-plane distance fov"


@dataclass(frozen=True)
class ViewCamera:
    """A camera that looks at the origin; see the top of this file for the convention.

    Attributes:
        azimuth: degrees.
        elevation: degrees, within [-90, 90].
        roll: degrees.
        distance: of the camera from the origin, data units.
        focal: half widths of the picture.
    """

    azimuth: float
    elevation: float
    roll: float = 0.0
    distance: float = 1.4
    focal: float = R2N2_FOCAL

    def __post_init__(self) -> None:
        numbers = (self.azimuth, self.elevation, self.roll, self.distance, self.focal)
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"camera: expected finite numbers, got {numbers}")
        if not -90 <= self.elevation <= 90:
            raise ValueError(f"elevation: expected -90 to 90 degrees, got {self.elevation:g}")
        if self.distance <= 0 or self.focal <= 0:
            raise ValueError(
                "camera: expected distance and focal length above 0, got "
                f"{self.distance:g} and {self.focal:g}"
            )

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3): right, up and back of the camera in rows; world @ rotation.T is the viewer's."""
        azimuth, roll = np.radians([self.azimuth, self.roll])
        back = self.centre / self.distance
        # up x back without its length, so that it is there also straight above the object
        right = np.array([np.sin(azimuth), 0.0, -np.cos(azimuth)])
        up = np.cross(back, right)
        cos, sin = np.cos(roll), np.sin(roll)
        return np.stack([cos * right + sin * up, cos * up - sin * right, back])

    @property
    def centre(self) -> np.ndarray:
        """(3,): where the camera stands, data units."""
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        flat = np.cos(elevation)
        direction = [flat * np.cos(azimuth), np.sin(elevation), flat * np.sin(azimuth)]
        return self.distance * np.array(direction)

    def project(self, points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """See points in a picture of `size` by `size` pixels.

        Args:
            points: (N, 3), data units.
            size: pixels.

        Returns:
            (N, 2): pixels, x to the right and y down; not finite or mirrored where depth <= 0.
            (N,): depth before the camera, data units.
        """
        x, y, z = ((points - self.centre) @ self.rotation.T).T
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = self.focal * np.stack([x, -y], axis=-1) / -z[:, None]
        return (seen + 1) * size / 2, -z

    def rays(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what the pixels look along: origin (3,) and unit directions (size, size, 3).

        The first axis of the directions is the row of the pixel, counted from above.
        """
        middles = (np.arange(size) + 0.5) * 2 / size - 1
        x, y = np.meshgrid(middles, -middles)
        viewer = np.stack([x, y, np.full_like(x, -self.focal)], axis=-1)
        world = viewer @ self.rotation
        return self.centre, world / np.linalg.norm(world, axis=-1, keepdims=True)

    def line(self) -> str:
        """Return the camera as a line of `rendering_metadata.txt`, in 3D-R2N2's form if it fits.

        Raises:
            ValueError: Neither form holds it: another lens than 3D-R2N2's, at most 1 away.
        """
        distance, fov = self.distance / R2N2_DISTANCE, R2N2_FOV
        if self.focal != R2N2_FOCAL or distance > 1:
            distance, fov = self.distance, 2 * math.degrees(math.atan(1 / self.focal))
            if distance <= 1:
                raise ValueError(
                    "distance: expected above 1 with another lens than 3D-R2N2's, as a number up "
                    f"to 1 is read as a ratio, got {distance:g}"
                )
        numbers = (self.azimuth, self.elevation, self.roll, distance, fov)
        return " ".join(f"{number:.12g}" for number in numbers)

    @classmethod
    def parse(cls, line: str) -> ViewCamera:
        """Read a line of `rendering_metadata.txt`.

        Raises:
            ValueError: It is not five finite numbers that can be a camera's.
        """
        words = line.split()
        if len(words) != 5:
            raise ValueError(f"expected 5 numbers ({FIELDS}), got {len(words)}")
        try:
            azimuth, elevation, roll, distance, fov = map(float, words)
        except ValueError as error:
            raise ValueError(f"expected 5 numbers ({FIELDS}), got {line.strip()!r}") from error
        if distance <= 1:
            return cls(azimuth, elevation, roll, R2N2_DISTANCE * distance)
        if not 0 < fov < 180:
            raise ValueError(f"fov: expected above 0 and below 180 degrees, got {fov:g}")
        return cls(azimuth, elevation, roll, distance, 1 / math.tan(math.radians(fov / 2)))


def random_camera(rng: np.random.Generator) -> ViewCamera:
    """Draw a camera from the ranges of 3D-R2N2's pictures: it looks down from all around."""
    azimuth, elevation = rng.uniform(0, 360), rng.uniform(25, 30)
    return ViewCamera(azimuth, elevation, 0.0, R2N2_DISTANCE * rng.uniform(0.65, 0.95))
