"""What the configs of all datasets have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from pointgen.datasets.base import CloudDataset, Normalize, Source

__all__ = ["SPLITS", "Categories", "CloudConfig", "Folder", "Fractions", "Progress", "Split"]

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, Split, Split] = ("train", "val", "test")
Progress = Callable[[int, int], None]  # called with (done, total)


def _several(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _named(value: Any) -> Any:
    """Refuse the empty path, which would silently be the current folder; that one is "."."""
    if isinstance(value, str) and not value.strip():
        raise ValueError(f"expected the path of a folder, got {value!r}")
    return value


def _whole(fractions: tuple[float, float, float]) -> tuple[float, float, float]:
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6 or fractions[0] == 0:
        raise ValueError(f"expected fractions that add up to 1, of train above 0, got {fractions}")
    return fractions


Categories = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]
Folder = Annotated[Path, BeforeValidator(_named)]
Fractions = Annotated[tuple[float, float, float], AfterValidator(_whole)]  # of SPLITS


class CloudConfig(BaseModel, ABC):
    """The settings that every dataset has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_points: int = Field(default=2048, ge=1)
    """points of a cloud, and of its second draw"""

    normalize: Normalize = "global"
    """global: mean per axis and one scalar std of the training set; per_axis: both per axis;
    shape_unit, shape_bbox, shape_std: each shape into its unit sphere, its bounding box or to
    standard deviation 1; none: the points as they are"""

    on_error: Literal["raise", "skip"] = "raise"
    """what to do with a shape that cannot be used: stop, or leave it out and warn with a count"""

    @abstractmethod
    def source(self, split: Split, *, progress: Progress | None = None) -> Source:
        """Find the shapes of a split."""

    def build(self, split: Split, *, progress: Progress | None = None) -> CloudDataset:
        """Build the dataset of a split.

        Args:
            split: which part of the data.
            progress: called with (done, total) while shapes are made or sampled.

        Raises:
            ValueError: The data are not there, or a shape cannot be used.
        """
        source = self.source(split, progress=progress)
        return CloudDataset(source, num_points=self.num_points, normalize=self.normalize)
