"""A dataset of clouds: two pools of points for every shape, from which items are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pointgen.batch import Item
from pointgen.geometry.frames import Frame, FrameKind, per_shape_frame

__all__ = [
    "CloudDataset",
    "Normalize",
    "Partner",
    "Partners",
    "Source",
    "Standardization",
    "View",
    "Views",
    "split_pools",
]

Normalize = Literal["global", "per_axis", "shape_unit", "shape_bbox", "shape_std", "none"]


class Source(Protocol):
    """Where shapes come from; one implementation for each way of storing them."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories; a label is an index into them."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """Names of the shapes."""
        ...

    @property
    def labels(self) -> Sequence[int]:
        """The category of each shape."""
        ...

    def pools(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return two independent draws of one surface, (P, 3) and (Q, 3) float32, finite.

        Where there are too few points for that, both are the same draw.
        """
        ...


@dataclass(frozen=True, eq=False)
class View:
    """A picture of a shape, and how the shape is turned to suit it.

    Attributes:
        image: (3, S, S) float32, values in [0, 1].
        rotation: (3, 3), applied to the shape's points as x @ rotation.T; None leaves them.
    """

    image: np.ndarray
    rotation: np.ndarray | None = None


class Views(Protocol):
    """Pictures of the shapes of a source."""

    def fixed(self, index: int) -> View:
        """Return the picture of a shape that evaluation uses."""
        ...

    def drawn(self, index: int, rng: np.random.Generator) -> View:
        """Return a random picture of a shape, for training."""
        ...

    def rotation(self, index: int) -> np.ndarray | None:
        """Return the rotation of the fixed picture, which is not read."""
        ...


@dataclass(frozen=True, eq=False)
class Partner:
    """Another shape that has one factor in common with a shape.

    Attributes:
        points: (P, 3) float32, in the units of the source.
        factor: index of what they share.
        place: of a shape of the source, its index there, so that it has one frame everywhere;
            None for any other, whose frame is that of the points.
    """

    points: np.ndarray
    factor: int
    place: int | None = None


class Partners(Protocol):
    """Shapes that share a factor with the shapes of a source."""

    def fixed(self, index: int) -> Partner:
        """Return the partner of a shape that evaluation uses."""
        ...

    def drawn(self, index: int, rng: np.random.Generator) -> Partner:
        """Return a random partner of a shape, for training."""
        ...

    def attributes(self, index: int) -> np.ndarray:
        """Return what the factors of a shape are measured by, (A,) float32."""
        ...


@dataclass(frozen=True, eq=False)
class Standardization:
    """The affine map between data units and standardised points: (x - mean) / std.

    Attributes:
        mean: (3,) float64, data units.
        std: (3,) float64, data units, positive.
    """

    mean: np.ndarray
    std: np.ndarray


class CloudDataset(Dataset[Item]):
    """Shapes as clouds of `num_points` points, with a second draw of the same size as `target`.

    Items are in data units: those of the source, or of the frame of each shape where `normalize`
    is one of the shape_* kinds. `dataset[i]` is the fixed subset for evaluation, the first points
    of each pool (PointFlow's convention); `draw` is a fresh one for training.
    """

    def __init__(
        self,
        source: Source,
        *,
        num_points: int,
        normalize: Normalize = "global",
        views: Views | None = None,
        partners: Partners | None = None,
    ) -> None:
        """Wrap a source.

        Args:
            source: the shapes.
            num_points: how many points an item's `points` and `target` have.
            normalize: "shape_unit", "shape_bbox" and "shape_std" move each shape into its own
                frame (see `per_shape_frame`); all kinds decide what `standardization` returns.
            views: pictures of the shapes, which items then have too.
            partners: shapes that share a factor with each, likewise.

        Raises:
            ValueError: `num_points` is not positive.
        """
        if num_points < 1:
            raise ValueError(f"num_points: expected at least 1, got {num_points}")
        self._source = source
        self._num_points = num_points
        self._normalize: Normalize = normalize
        self._views = views
        self._partners = partners
        self._frames: dict[int, Frame] = {}  # found when first needed: they take all the points

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories; a label is an index into them."""
        return self._source.categories

    @property
    def ids(self) -> Sequence[str]:
        """Names of the shapes."""
        return self._source.ids

    @property
    def labels(self) -> Sequence[int]:
        """The category of each shape, an index into `categories`."""
        return self._source.labels

    def __len__(self) -> int:
        """Return the number of shapes."""
        return len(self._source.ids)

    def __getitem__(self, index: int) -> Item:
        """Return the fixed subset of a shape: the first points of each pool."""
        first, second = self._pools(index)
        view = None if self._views is None else self._views.fixed(_checked(index, len(self)))
        item = self._item(index, first[: self._num_points], second[: self._num_points], view)
        if self._partners is None:
            return item
        partner = self._partners.fixed(_checked(index, len(self)))
        return self._beside(item, index, partner, slice(self._num_points))

    def __iter__(self) -> Iterator[Item]:
        """Yield the fixed subset of every shape, in order."""
        return (self[index] for index in range(len(self)))

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        """Return two random subsets of a shape's first pool.

        They share no point where the pool has 2 * num_points, and else are independent of each
        other. The second pool is for evaluation. The same rng state gives the same item.
        """
        first, _ = self._pools(index)
        count = self._num_points
        if len(first) < 2 * count:
            one, other = (rng.choice(len(first), count, replace=False) for _ in range(2))
        else:
            one, other = np.split(rng.choice(len(first), 2 * count, replace=False), 2)
        view = None if self._views is None else self._views.drawn(_checked(index, len(self)), rng)
        item = self._item(index, first[one], first[other], view)
        if self._partners is None:
            return item
        partner = self._partners.drawn(_checked(index, len(self)), rng)
        return self._beside(item, index, partner, rng.choice(len(partner.points), count, False))

    def points(self, count: int | None = None) -> Tensor:
        """Return the fixed targets of all shapes, (S, num_points, 3): what metrics compare with.

        Args:
            count: of the first so many shapes only; the others are not read.
        """
        return self.points_of(range(len(self))[:count])

    def points_of(self, shapes: Sequence[int]) -> Tensor:
        """Return the fixed targets of the shapes at these places, (S, num_points, 3)."""
        return torch.stack(
            [
                self._cloud(index, self._pools(index)[1][: self._num_points], self._turn(index))
                for index in shapes
            ]
        )

    def standardization(self) -> Standardization:
        """Return mean and standard deviation of all points of both pools, by `normalize`.

        "global" and the shape_* kinds: the mean of each axis and one standard deviation of all
        coordinates around their common mean (PointFlow's). "per_axis": both of each axis.
        "none": 0 and 1. Where there is no extent (a planar data set in "per_axis"), the standard
        deviation is 1. Shapes are read one at a time and summed in float64.

        Raises:
            ValueError: A shape cannot be read.
        """
        if self._normalize == "none":
            return Standardization(np.zeros(3), np.ones(3))
        mean, variance = self._moments()
        if self._normalize == "per_axis":
            return Standardization(mean, _deviation(variance))
        whole = np.mean(variance + (mean - mean.mean()) ** 2, keepdims=True)
        return Standardization(mean, np.repeat(_deviation(whole), 3))

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of each axis over all points, by merging those of the shapes."""
        count, mean, squares = 0, np.zeros(3), np.zeros(3)
        for index in range(len(self)):
            points = self._framed(index, np.concatenate(self._pools(index)))
            points = _turned(points, self._turn(index)).astype(np.float64)
            gap = points.mean(axis=0) - mean
            total = count + len(points)
            mean = mean + gap * len(points) / total
            squares = squares + points.var(axis=0) * len(points)
            squares = squares + gap**2 * (count * len(points) / total)
            count = total
        return mean, squares / count

    def _pools(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        first, second = self._source.pools(_checked(index, len(self)))
        if min(len(first), len(second)) < self._num_points:
            raise ValueError(
                f"{self.ids[index]}: expected two pools of at least num_points = "
                f"{self._num_points}, got {len(first)} and {len(second)} points"
            )
        return first, second

    def _framed(self, index: int, points: np.ndarray) -> np.ndarray:
        """Move points of a shape into its frame, where it has one."""
        match self._normalize:
            case "shape_unit" | "shape_bbox" | "shape_std" as kind:
                if index not in self._frames:
                    self._frames[index] = self._frame(index, kind)
                return self._frames[index].apply(points)
            case _:
                return points

    def _frame(self, index: int, kind: FrameKind) -> Frame:
        """The one frame of both pools of a shape."""
        try:
            return per_shape_frame(np.concatenate(self._pools(index)), kind)
        except ValueError as error:
            raise ValueError(f"{self.ids[index]}: {error}") from error

    def _turn(self, index: int) -> np.ndarray | None:
        """The rotation of a shape in evaluation."""
        return None if self._views is None else self._views.rotation(_checked(index, len(self)))

    def _item(self, index: int, points: np.ndarray, target: np.ndarray, view: View | None) -> Item:
        rotation = None if view is None else view.rotation
        return Item(
            points=self._cloud(index, points, rotation),
            target=self._cloud(index, target, rotation),
            image=None if view is None else torch.from_numpy(view.image),
            label=self._source.labels[index],
            id=self._source.ids[index],
        )

    def _beside(self, item: Item, index: int, partner: Partner, chosen: np.ndarray | slice) -> Item:
        """Add some points of a partner, in its own frame, to an item."""
        assert self._partners is not None
        points = partner.points[chosen]
        if partner.place is not None:
            points = self._framed(partner.place, points)
        else:
            match self._normalize:
                case "shape_unit" | "shape_bbox" | "shape_std" as kind:
                    points = per_shape_frame(partner.points, kind).apply(points)
        return replace(
            item,
            partner=torch.from_numpy(np.array(points, dtype=np.float32)),
            factor=partner.factor,
            attributes=torch.from_numpy(self._partners.attributes(_checked(index, len(self)))),
        )

    def _cloud(self, index: int, points: np.ndarray, rotation: np.ndarray | None) -> Tensor:
        """A copy, so that an item neither holds its whole pool in memory nor shares it."""
        framed = _turned(self._framed(index, points), rotation)
        return torch.from_numpy(np.array(framed, dtype=np.float32))


def split_pools(points: np.ndarray, *, shared: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Cut a cloud into its two pools: the first two thirds, the last third; or all of it twice.

    Of the 15,000 points of a PC15k file these are the 10,000 and 5,000 that PointFlow uses.
    """
    if shared:
        return points, points
    cut = 2 * len(points) // 3
    return points[:cut], points[cut:]


def _checked(index: int, size: int) -> int:
    if not -size <= index < size:
        raise IndexError(f"index: expected less than {size} shapes, got {index}")
    return index % size


def _turned(points: np.ndarray, rotation: np.ndarray | None) -> np.ndarray:
    return points if rotation is None else points @ rotation.T


def _deviation(variance: np.ndarray) -> np.ndarray:
    """The root of a variance, and 1 where it is 0.

    Equal coordinates give exactly 0: float64 adds half a billion float32 numbers without rounding.
    """
    return np.where(variance > 0, np.sqrt(variance), 1.0)
