"""Parameters of a transform: free numbers, or what a context makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["AT_FIRST", "Amortised"]

AT_FIRST = 0.1  # what a usual context changes at first: little, so that flows start tame


class Amortised(nn.Module):
    """Some parameters of given shapes; with a context they are linear in it.

    Source: Rezende and Mohamed 2015, section 4.2 (amortised flow parameters).
    """

    def __init__(
        self, shapes: Sequence[Sequence[int]], context_dim: int, *, spread: Sequence[float]
    ) -> None:
        """Draw each parameter, or what it is for a context of zeros, from N(0, spread^2)."""
        super().__init__()
        self.shapes = [tuple(shape) for shape in shapes]
        drawn = torch.randn(sum(map(math.prod, self.shapes)))
        pieces = drawn.split(list(map(math.prod, self.shapes)))
        self.free = nn.Parameter(torch.cat([a * b for a, b in zip(spread, pieces, strict=True)]))
        self.given = nn.Linear(context_dim, len(self.free), bias=False) if context_dim else None
        if self.given is not None:
            nn.init.normal_(self.given.weight, std=AT_FIRST / math.sqrt(context_dim))

    def forward(self, context: Tensor | None, like: Tensor) -> list[Tensor]:
        """Return each parameter (*context batch, *shape), in the type of `like`."""
        numbers = self.free
        if self.given is not None:
            assert context is not None, "this transform was built for a context"
            # Under autocast the product has half precision, which is too coarse for densities.
            numbers = numbers + self.given(context).to(like.dtype)
        pieces = numbers.split([math.prod(shape) for shape in self.shapes], dim=-1)
        return [
            piece.unflatten(-1, shape) if shape else piece.squeeze(-1)
            for piece, shape in zip(pieces, self.shapes, strict=True)
        ]
