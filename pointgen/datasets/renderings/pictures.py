"""The pictures of each shape: found by the shape's name, prepared as a network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pointgen.datasets.base import View
from pointgen.datasets.renderings.layout import (
    METADATA,
    category_folders,
    folder_of,
    read_cameras,
)
from pointgen.files.mark import Mark, mark_of
from pointgen.images import (
    Window,
    augmented,
    framed,
    is_image,
    random_background,
    random_window,
    read_image,
)

__all__ = ["Look", "Pictures", "pictures_of"]


@dataclass(frozen=True)
class Look:
    """How pictures are prepared.

    Attributes:
        size: width and height, pixels.
        crop: cut out the square around the object.
        background: red, green and blue in [0, 1]; None is random in training, else white.
        augment: vary colours, noise and place in training.
        viewer: turn the shapes as the camera sees them.
    """

    size: int
    crop: bool
    background: tuple[float, float, float] | None
    augment: bool
    viewer: bool


def pictures_of(root: Path, category: str, id: str) -> list[Path]:
    """Return the pictures of a shape in the order of their names; none if there are none.

    They lie in `<category>/<id>/rendering` (3D-R2N2), or with the category or `rendering` left
    out, or are one file `<id>.png`, `.jpg`, ...
    """
    places = [folder_of(name, id) for name in category_folders(category)]
    places += [folder_of("-", id).relative_to("-")]
    for place in places:
        for folder in (root / place, (root / place).parent):
            if folder.is_dir() and (found := sorted(filter(is_image, folder.iterdir()))):
                return found
        found = sorted(
            path for path in (root / place).parent.parent.glob(f"{_literal(place.parent.name)}.*")
            if is_image(path)
        )  # fmt: skip
        if found:
            return found[:1]
    return []


class Pictures:
    """The views of the shapes of a source, in the source's order."""

    def __init__(self, paths: list[list[Path]], look: Look) -> None:
        """Keep the paths; pictures are read when they are asked for."""
        self._paths = paths
        self._look = look

    def fixed(self, index: int) -> View:
        """Return the picture of a shape for evaluation: another view from shape to shape."""
        place = self._place(index)
        background = self._look.background or (1.0, 1.0, 1.0)
        rgba = read_image(self._paths[index][place])
        image = framed(rgba, self._look.size, crop=self._look.crop, background=background)
        return View(image, self._rotation(index, place))

    def drawn(self, index: int, rng: np.random.Generator) -> View:
        """Return a random view, with random colours and background where the look says so."""
        look, paths = self._look, self._paths[index]
        place = int(rng.integers(len(paths)))
        rgba, window = read_image(paths[place]), Window()
        if look.augment:
            rgba, window = augmented(rgba, rng), random_window(rng)
        image = framed(
            rgba,
            look.size,
            crop=look.crop,
            margin=window.margin,
            background=look.background or random_background(rng),
            shift=window.shift,
        )
        return View(image, self._rotation(index, place))

    def rotation(self, index: int) -> np.ndarray | None:
        """Return the rotation of the fixed picture."""
        return self._rotation(index, self._place(index))

    def _place(self, index: int) -> int:
        return index % len(self._paths[index])

    def _rotation(self, index: int, place: int) -> np.ndarray | None:
        if not self._look.viewer:
            return None
        path = self._paths[index][place]
        cameras = _rotations(mark_of(path.parent / METADATA))
        if place >= len(cameras):
            raise ValueError(
                f"{path.parent / METADATA}: expected a camera for each of "
                f"{len(self._paths[index])} pictures, got {len(cameras)}"
            )
        return cameras[place]


@lru_cache(maxsize=4096)
def _rotations(file: Mark) -> tuple[np.ndarray, ...]:
    return tuple(camera.rotation.astype(np.float32) for camera in read_cameras(file[0]))


def _literal(name: str) -> str:
    """Return a name in which a glob finds nothing but itself."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
