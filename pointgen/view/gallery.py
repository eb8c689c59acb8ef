"""A gallery of clouds: where each stands and how large, and its picture from any side."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pointgen.devices import cores
from pointgen.view.camera import Camera, Lens
from pointgen.view.clouds import bounds, check_captions, grid_shape
from pointgen.view.light import lamp, sky, visibility
from pointgen.view.splat import sphere_radius, splat

__all__ = ["Fit", "Gallery", "caption"]

Fit = Literal["all", "each"]

MARGIN = 0.09  # free on each side of a cell, as a share of the cell
SUPERSAMPLING = 2
LAMP = np.array([-0.25, 0.80, 0.55])  # in view axes: high, and from the left behind the camera
FLOOR_CELLS = 96
FLOOR_REACH = 1.8  # half side of the piece of floor that can lie in shadow


class Gallery:
    """Cells in rows, one for each cloud, that stand still while clouds move or are turned."""

    def __init__(
        self,
        clouds: Sequence[np.ndarray],
        cameras: Sequence[Camera],
        *,
        captions: Sequence[str] | None,
        columns: int | None,
        size: int,
        fit: Fit,
    ) -> None:
        """Find the places.

        Args:
            clouds: (N_i, 3) each; what decides the places.
            cameras: from all of which the clouds must be in sight.
            captions: one for each cloud, drawn below it; None leaves no room for them.
            columns: of the gallery; as square as possible by default.
            size: width and height of a cell without its caption, pixels.
            fit: "all" shows every cloud at the same scale; "each" fills its cell.

        Raises:
            ValueError: An option has no such value.
        """
        if size < 16:
            raise ValueError(f"size: expected at least 16 pixels, got {size}")
        if fit not in ("all", "each"):
            raise ValueError(f"fit: expected all or each, got {fit!r}")
        self._lines = check_captions(captions, len(clouds))
        self._rows, self._columns = grid_shape(len(clouds), columns)
        self._size, self._strip = size, max(14, size // 9) if captions is not None else 0
        boxes = [bounds(points) for points in clouds]
        largest = max(side for _, side in boxes)
        self._boxes = [(centre, largest if fit == "all" else side) for centre, side in boxes]
        self._lenses = self._found_lenses(clouds, cameras, fit)

    def picture(
        self, clouds: Sequence[np.ndarray], colours: Sequence[np.ndarray], camera: Camera
    ) -> Image.Image:
        """Return the gallery with these clouds (N_i, 3) of these colours (N_i, 3) in its cells."""
        size, strip = self._size, self._strip
        whole = Image.new("RGB", (self._columns * size, self._rows * (size + strip)), "white")
        with ThreadPoolExecutor(cores()) as pool:
            places = range(len(clouds))
            cells = pool.map(
                lambda i: _cell(self._placed(i, clouds[i]), colours[i], camera, self._lenses[i]),
                places,
            )
            for index, cell in enumerate(cells):
                corner = index % self._columns * size, index // self._columns * (size + strip)
                whole.paste(Image.fromarray(cell), corner)
                if strip:
                    below = (corner[0], corner[1] + size)
                    caption(whole, self._lines[index], below, (size, strip))
        return whole

    def _placed(self, index: int, points: np.ndarray) -> np.ndarray:
        """Centre the box of a cloud on the origin and scale it into the unit cube."""
        centre, side = self._boxes[index]
        return (points.astype(float) - centre) / side

    def _found_lenses(
        self, clouds: Sequence[np.ndarray], cameras: Sequence[Camera], fit: Fit
    ) -> list[Lens]:
        rims = []
        for index, points in enumerate(clouds):
            around = _with_rim(self._placed(index, points))
            rims.append(np.concatenate([camera.project(around)[0] for camera in cameras]))
        if fit == "each":
            return [Lens.around(rim, self._size, MARGIN) for rim in rims]
        return [Lens.around(np.concatenate(rims), self._size, MARGIN)] * len(clouds)


def _with_rim(points: np.ndarray) -> np.ndarray:
    """Add the corners of the cubes around the lowest and highest spheres, so that none is cut."""
    radius = sphere_radius(len(points))
    return np.concatenate([points + radius, points - radius])


def _cell(points: np.ndarray, colours: np.ndarray, camera: Camera, lens: Lens) -> np.ndarray:
    """Return the picture (size, size, 3), uint8, of one placed cloud over its floor."""
    radius = sphere_radius(len(points))
    toward = camera.axes.T @ (LAMP / np.linalg.norm(LAMP))
    toward[1] = max(toward[1], 0.5)  # seen from above or below: the lamp stays over the floor
    toward /= np.linalg.norm(toward)
    ambient = visibility(points, points, sky(64), radius)
    lit = visibility(points, points, lamp(toward, 16, 0.25), radius)

    cover, shaded = splat(
        points,
        colours * (0.48 + 0.52 * ambient[:, None] ** 0.8),
        0.25 + 0.75 * lit,
        radius,
        toward,
        camera,
        lens.scaled(SUPERSAMPLING),
    )
    cover, shaded = _pool(cover), _pool(shaded)
    floor = _floor(points, radius, toward, camera, lens)[..., None]
    return np.round(255 * np.clip(shaded + (1 - cover) * floor, 0, 1)).astype(np.uint8)


def _pool(picture: np.ndarray) -> np.ndarray:
    """Average (size * s, size * s, C) over squares of s = SUPERSAMPLING pixels."""
    parts = range(SUPERSAMPLING)
    each = [picture[i::SUPERSAMPLING, j::SUPERSAMPLING] for i in parts for j in parts]
    return sum(each[1:], start=each[0]) / len(each)


def _floor(
    points: np.ndarray, radius: float, toward: np.ndarray, camera: Camera, lens: Lens
) -> np.ndarray:
    """Return the brightness (size, size) in [0, 1] of the floor under the cloud; 1 is no shadow."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    height = float(points[:, 1].min()) - radius
    across = np.linspace(-FLOOR_REACH, FLOOR_REACH, FLOOR_CELLS)
    x, z = np.meshgrid(across, across, indexing="ij")
    probes = np.stack([x.ravel(), np.full(x.size, height - radius), z.ravel()], axis=1)
    blocker = max(radius, 0.02)  # below that, the floor's own cells are coarser than the spheres
    ambient = visibility(probes, points, sky(96), blocker)
    lit = visibility(probes, points, lamp(toward, 32, 0.3), blocker)
    light = gaussian_filter((0.7 * ambient + 0.3 * lit).reshape(x.shape), 0.8)

    place = camera.floor(lens.screen(), height)  # (size * size, 2)
    at = (place + FLOOR_REACH) * (FLOOR_CELLS - 1) / (2 * FLOOR_REACH)
    at = np.nan_to_num(at, nan=-9.0)  # above the horizon: beside the lit piece
    seen = map_coordinates(light, at.T, order=1, cval=1.0)
    shadow = (1 - seen) * _ramp(2 - 2 * np.hypot(*place.T) / FLOOR_REACH)
    return 1 - 0.8 * shadow.reshape(lens.size, lens.size) * _fade(lens.size)


def _fade(size: int) -> np.ndarray:
    """Return (size, size): 1 inside, falling to 0 at the edge, so that cells join without seams."""
    edge = np.minimum(np.arange(size) + 0.5, size - np.arange(size) - 0.5)
    ramp = _ramp(edge / (0.15 * size))
    return ramp[:, None] * ramp


def _ramp(values: np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 (at 0 and below) to 1 (at 1 and above)."""
    values = np.clip(np.nan_to_num(values), 0, 1)
    return values * values * (3 - 2 * values)


def caption(
    gallery: Image.Image, text: str, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """Write one line in the middle of a strip, shortened until it fits."""
    brush = ImageDraw.Draw(gallery)
    font = ImageFont.load_default(size=max(10, round(0.52 * size[1])))
    text = " ".join(text.split())
    shown = text
    while shown and brush.textlength(shown, font=font) > 0.94 * size[0]:
        text = text[:-1]
        shown = text.rstrip() + "…" if text else ""
    middle = (corner[0] + size[0] / 2, corner[1] + size[1] / 2)
    brush.text(middle, shown, fill=(70, 74, 82), font=font, anchor="mm")
