"""Pictures of one surface: a matt material of two colours under a sun and a sky, with shadows.

The sky is a few directions all around, brighter above; each casts its own shadow, so that hollows
are dark (ambient occlusion). They belong to the shape; the sun moves from picture to picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass

import numpy as np

from pointgen.datasets.renderings.raster import RADIUS, corner_normals, shade, visible
from pointgen.geometry.cameras import ViewCamera
from pointgen.geometry.directions import all_around

__all__ = ["framed", "render"]

SAMPLES = 3  # of a pixel in each direction: ten levels of alpha at an edge
SKY_LIGHTS, SKY_BUFFER = 32, 192  # directions; pixels of a shadow's side
SUN_BUFFER = 384
CREASE = np.cos(np.radians(40))  # sharper edges are seen
MOST_PARTS = 64  # of a surface in more pieces each would be a speck of colour
SUN, ZENITH, GROUND = (0.95, 0.9, 0.82), (0.40, 0.44, 0.50), (0.16, 0.145, 0.13)


@dataclass(frozen=True, eq=False)
class _Surface:
    """What is lit: triangles (F, 3, 3), unit normals (F, 3), of corners (F, 3, 3), colours."""

    triangles: np.ndarray
    normals: np.ndarray
    corners: np.ndarray
    colours: np.ndarray


def framed(vertices: np.ndarray) -> np.ndarray:
    """Move vertices (V, 3) into the frame of the cameras: box centre at 0, box diagonal 1.

    Raises:
        ValueError: They are not finite, or all in one place.
    """
    if not len(vertices) or not np.isfinite(vertices).all():
        raise ValueError(f"expected finite vertices, got {len(vertices)} with NaN or inf, or none")
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    diagonal = float(np.linalg.norm(high - low))
    if not 0 < diagonal < np.inf:
        raise ValueError(f"expected a box with a diagonal, got {diagonal:g}")
    return (vertices - (low + high) / 2) / diagonal


def render(
    vertices: np.ndarray,
    faces: np.ndarray,
    cameras: Sequence[ViewCamera],
    size: int,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yield a picture (size, size, 4) uint8 for each camera: sRGB and alpha, not premultiplied.

    Args:
        vertices: (V, 3), framed: within 0.5 of the origin.
        faces: (F, 3) int, indices of vertices.
        cameras: at least 0.5 from the origin.
        size: pixels of a side.
        rng: decides the colours and where the sun stands.
    """
    surface = _surface(vertices, faces, rng)
    directions = all_around(SKY_LIGHTS)
    sky = (*_lights(surface.triangles, directions, SKY_BUFFER), _sky_colours(directions))
    for camera in cameras:
        sun = _lights(surface.triangles, _sun(camera, rng)[None], SUN_BUFFER)
        face, near = visible(_seen(surface.triangles, camera, size * SAMPLES), size * SAMPLES)
        picture = shade(
            face,
            near,
            (camera.centre, camera.rotation, camera.focal),
            (surface.triangles, surface.normals, surface.corners, surface.colours),
            sky,
            (*sun, np.array([SUN])),
            SAMPLES,
        )
        yield _encoded(picture)


def _surface(vertices: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> _Surface:
    """Leave out faces without area, join vertices in one place, and choose colours."""
    triangles = vertices[faces].astype(np.float64)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    solid = lengths > 0
    if not solid.any():
        raise ValueError("expected a surface, got no face with an area")
    triangles, normals, lengths = triangles[solid], normals[solid], lengths[solid]
    # float32, so that what an exporter rounded apart is one vertex
    places = triangles.reshape(-1, 3).astype(np.float32)
    _, vertex = np.unique(places, axis=0, return_inverse=True)
    vertex = vertex.reshape(-1, 3).astype(np.int64)
    owners = np.argsort(vertex.ravel(), kind="stable") // 3
    starts = np.concatenate([[0], np.cumsum(np.bincount(vertex.ravel()))])
    corners = corner_normals(vertex, starts, owners, normals, float(CREASE))
    return _Surface(triangles, normals / lengths[:, None], corners, _colours(vertex, lengths, rng))


def _colours(vertex: np.ndarray, areas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each connected part of a surface one of two colours, the same to parts alike."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    palette = np.array([_material(rng), _material(rng)])
    count = int(vertex.max()) + 1
    pairs = (vertex[:, [0, 1]].ravel(), vertex[:, [1, 2]].ravel())
    links = coo_array((np.ones(len(pairs[0]), np.int8), pairs), shape=(count, count))
    parts, part = connected_components(links, directed=False)
    sizes = np.bincount(part[vertex[:, 0]], areas, minlength=parts)
    # four legs are alike if their areas are, to 1 %; the largest part has the first colour
    _, kind = np.unique(np.rint(100 * np.log(sizes.max() / sizes)), return_inverse=True)
    second = rng.random(MOST_PARTS) < 0.5
    second[0] = False
    chosen = second[kind] if parts <= MOST_PARTS else np.zeros(parts, bool)
    return palette[chosen[part[vertex[:, 0]]].astype(np.int64)]


def _material(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw a linear colour: wood, something grey, or any hue; neither black nor white."""
    kind = rng.choice(3, p=[0.35, 0.35, 0.3])
    hue = (rng.uniform(0.04, 0.11), rng.uniform(), rng.uniform())[kind]
    saturation = (rng.uniform(0.35, 0.7), rng.uniform(0, 0.08), rng.uniform(0.25, 0.7))[kind]
    return hsv_to_rgb(hue, saturation, rng.uniform(0.2, 0.8))


def _seen(triangles: np.ndarray, camera: ViewCamera, size: int) -> np.ndarray:
    """Return the corners (F, 3, 3) in pixels and nearness, as `visible` wants them."""
    pixels, depth = camera.project(triangles.reshape(-1, 3), size)
    if depth.min() <= 0:
        raise ValueError(f"camera: expected it outside of the object, got {camera}")
    return np.concatenate([pixels, 1 / depth[:, None]], axis=1).reshape(-1, 3, 3)


def _lights(
    triangles: np.ndarray, directions: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames (K, 3, 3) of lights and what they see, (K, size, size) nearness."""
    frames = np.stack([_frame(direction) for direction in directions])
    buffers = [visible(_from_afar(triangles, frame, size), size)[1] for frame in frames]
    return frames, np.stack(buffers)


def _from_afar(triangles: np.ndarray, frame: np.ndarray, size: int) -> np.ndarray:
    """Return the corners (F, 3, 3) in pixels and nearness to a light, as `visible` wants them."""
    scale = size / (2 * RADIUS)
    seen = triangles.reshape(-1, 3) @ (frame * [[scale], [-scale], [1]]).T
    return (seen + np.array([size / 2, size / 2, 0])).reshape(-1, 3, 3)


def _frame(direction: np.ndarray) -> np.ndarray:
    """Complete a unit direction to right, up, direction."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])


def _sky_colours(directions: np.ndarray) -> np.ndarray:
    """Return (K, 3) so that an open surface towards a sky of one colour would have that colour."""
    height = (1 + directions[:, 1:2]) / 2
    return (height * np.array(ZENITH) + (1 - height) * np.array(GROUND)) * 4 / len(directions)


def _sun(camera: ViewCamera, rng: np.random.Generator) -> np.ndarray:
    """Draw where the sun stands: high enough, and not behind the object."""
    azimuth = np.radians(camera.azimuth + rng.uniform(-100, 100))
    elevation = np.radians(rng.uniform(30, 75))
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), np.sin(elevation), flat * np.sin(azimuth)])


def _encoded(picture: np.ndarray) -> np.ndarray:
    """Turn linear colour into sRGB bytes; too bright is white.

    Source: IEC 61966-2-1, its transfer function.
    """
    seen = picture[..., 3] > 0
    linear = np.clip(picture[seen, :3], 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    encoded = np.zeros(picture.shape, np.uint8)
    encoded[seen] = np.rint(255 * np.concatenate([curve, picture[seen, 3:]], axis=-1))
    return encoded
