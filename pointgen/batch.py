"""One shape, and a batch of shapes: what a dataset yields and a model takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["Batch", "Item", "collate"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Item:
    """One shape of a dataset.

    Attributes:
        points: (N, 3), data units.
        target: (M, 3), data units: a second, independent draw of the same surface.
        image: (C, H, W), values in [0, 1].
        label: index of the category.
        id: the shape's name in its dataset.
        partner: (N, 3), data units: another shape, which has one factor in common with this one.
        factor: index of that factor.
        attributes: (A,), what the shape was built from, in their own units.
    """

    points: Tensor
    target: Tensor | None = None
    image: Tensor | None = None
    label: int | None = None
    id: str = ""
    partner: Tensor | None = None
    factor: int | None = None
    attributes: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """Several shapes of equal size; the fields are those of `Item` with a leading batch axis."""

    points: Tensor  # (B, N, 3)
    target: Tensor | None = None  # (B, M, 3)
    image: Tensor | None = None  # (B, C, H, W)
    label: Tensor | None = None  # (B,), int64
    id: tuple[str, ...] = ()
    partner: Tensor | None = None  # (B, N, 3)
    factor: Tensor | None = None  # (B,), int64
    attributes: Tensor | None = None  # (B, A)

    def __post_init__(self) -> None:
        """Check the shape of the points.

        Raises:
            ValueError: The points are not of shape (B, N, 3).
        """
        if self.points.ndim != 3 or self.points.shape[-1] != 3:
            raise ValueError(f"points: expected (B, N, 3), got {tuple(self.points.shape)}")

    def __len__(self) -> int:
        """Return the number of shapes."""
        return self.points.shape[0]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """Return the batch with every tensor on `device`."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory; `torch.utils.data.DataLoader` calls this."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        def mapped(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else function(tensor)

        return replace(
            self,
            points=function(self.points),
            target=mapped(self.target),
            image=mapped(self.image),
            label=mapped(self.label),
            partner=mapped(self.partner),
            factor=mapped(self.factor),
            attributes=mapped(self.attributes),
        )


def collate(items: Sequence[Item]) -> Batch:
    """Stack shapes into a batch.

    Raises:
        ValueError: An optional field is there in some of them only.
    """
    return Batch(
        points=torch.stack([item.points for item in items]),
        target=_stack([item.target for item in items]),
        image=_stack([item.image for item in items]),
        label=_numbers([item.label for item in items]),
        id=tuple(item.id for item in items),
        partner=_stack([item.partner for item in items]),
        factor=_numbers([item.factor for item in items]),
        attributes=_stack([item.attributes for item in items]),
    )


def _numbers(numbers: Sequence[int | None]) -> Tensor | None:
    present = _all_or_none(numbers)
    return torch.tensor(present, dtype=torch.int64) if present else None


def _stack(tensors: Sequence[Tensor | None]) -> Tensor | None:
    present = _all_or_none(tensors)
    return torch.stack(present) if present else None


def _all_or_none(values: Sequence[_T | None]) -> list[_T]:
    present = [value for value in values if value is not None]
    if present and len(present) < len(values):
        raise ValueError(
            f"items of a batch: {len(present)} of {len(values)} have a field that others lack"
        )
    return present
