"""Clouds with pictures: any source of clouds, joined by name with a folder of renderings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pointgen.datasets.around import Around
from pointgen.datasets.base import CloudDataset, Source
from pointgen.datasets.detect import splits_of
from pointgen.datasets.folders import existing_folder
from pointgen.datasets.renderings.pictures import Look, Pictures, pictures_of
from pointgen.datasets.settings import Folder, Progress, Split

__all__ = ["RenderingsConfig"]

LAYOUT = "pictures (<category>/<id>/rendering/00.png, or <id>.png, ...)"
Channel = Annotated[float, Field(ge=0, le=1)]


class RenderingsConfig(Around):
    """Shapes of another source with the pictures that bear their names.

    Training draws a random view of a shape, evaluation a fixed one. Pictures are found in 3D-R2N2's
    layout, `<images>/<category or synset>/<id>/rendering/00.png`; the category and `rendering` may
    be missing, and `<id>.png` alone does too; pointgen data render makes them of meshes. With
    on_error "skip", shapes without pictures are left out with a warning.
    """

    kind: Literal["renderings"] = "renderings"

    images: Folder
    """the folder of the pictures"""

    size: int = Field(default=64, ge=8)
    """width and height that pictures are brought to, pixels; the model's image_size"""

    split: Literal["clouds", "r2n2"] = "clouds"
    """clouds: as the clouds are divided; r2n2: of each category the first four fifths of the sorted
    names for training, the rest for val and test alike"""

    frame: Literal["object", "viewer"] = "object"
    """object: shapes stand as they do in their source; viewer: turned as the camera sees them"""

    crop: bool = True
    """cut out the square around the object, so that its place and size in a photo do not matter"""

    background: tuple[Channel, Channel, Channel] | Literal["random"] = (1.0, 1.0, 1.0)
    """red, green, blue behind what is transparent, or another colour at every draw of training"""

    augment: bool = True
    """vary colours, light, noise and place in training; never mirrored, as that is another shape"""

    def source(self, split: Split, *, progress: Progress | None = None) -> Source:
        """Find the clouds of a split that have pictures.

        Raises:
            ValueError: Clouds or pictures are not there.
        """
        return self._joined(split, progress)[0]

    def build(self, split: Split, *, progress: Progress | None = None) -> CloudDataset:
        """Build the dataset of a split; see `CloudConfig.build`."""
        source, views = self._joined(split, progress)
        return CloudDataset(
            source, num_points=self.num_points, normalize=self.normalize, views=views
        )

    @property
    def look(self) -> Look:
        """How pictures are prepared."""
        background = None if self.background == "random" else self.background
        return Look(self.size, self.crop, background, self.augment, self.frame == "viewer")

    def _joined(self, split: Split, progress: Progress | None) -> tuple[Source, Pictures]:
        root = existing_folder(self.images, LAYOUT, key="data.images")
        clouds = self.shapes
        splits = [split] if self.split == "clouds" else splits_of(clouds)
        whole = _Together([clouds.source(part, progress=progress) for part in splits])
        paths = [
            pictures_of(root, whole.categories[label], id)
            for id, label in zip(whole.ids, whole.labels, strict=True)
        ]
        places = self._usable(paths, whole)
        if self.split == "r2n2":
            places = _portion(places, whole, split)
        return _Part(whole, places), Pictures([paths[place] for place in places], self.look)

    def _usable(self, paths: list[list], whole: Source) -> list[int]:
        places = [place for place, found in enumerate(paths) if found]
        lacking = len(paths) - len(places)
        if not lacking:
            return places
        missing = next(id for id, found in zip(whole.ids, paths, strict=True) if not found)
        message = (
            f"data.images: {lacking} of {len(paths)} shapes have no pictures in {self.images}, "
            f"such as {missing}"
        )
        if not places or self.on_error == "raise":
            hint = "" if not places else "; on_error = 'skip' leaves them out"
            raise ValueError(f"{message}{hint}; pointgen data render makes them from meshes")
        warnings.warn(f"{message}; left out", stacklevel=2)
        return places


class _Together:
    """Several splits of one source as one."""

    def __init__(self, parts: Sequence[Source]) -> None:
        self.categories = parts[0].categories
        self.ids = [id for part in parts for id in part.ids]
        self.labels = [label for part in parts for label in part.labels]
        self._places = [(part, index) for part in parts for index in range(len(part.ids))]

    def pools(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part, place = self._places[index]
        return part.pools(place)


class _Part:
    """Some shapes of a source."""

    def __init__(self, whole: Source, places: Sequence[int]) -> None:
        self.categories = whole.categories
        self.ids = [whole.ids[place] for place in places]
        self.labels = [whole.labels[place] for place in places]
        self._whole, self._places = whole, places

    def pools(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self._whole.pools(self._places[index])


def _portion(places: Sequence[int], whole: Source, split: Split) -> list[int]:
    """Return the first four fifths of each category's sorted names, or the rest.

    Source: Choy et al. 2016, whose code takes [0, 0.8] and [0.8, 1] of each category's names.
    """
    order = sorted(places, key=lambda place: (whole.labels[place], whole.ids[place]))
    chosen: list[int] = []
    for _, group in groupby(order, key=lambda place: whole.labels[place]):
        names = list(group)
        cut = int(0.8 * len(names))
        chosen += names[:cut] if split == "train" else names[cut:]
    return chosen
