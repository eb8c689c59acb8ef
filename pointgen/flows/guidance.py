"""Classifier-free guidance: a sampled flow is pushed further towards its condition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pointgen.flows.continuous import cnfs

__all__ = ["guided"]


class GuidedField(nn.Module):
    """v = v(nothing) + weight (v(condition) - v(nothing)).

    The context (..., 2, C) holds the condition and the one that stands for nothing.
    Source: Ho and Salimans 2022; for velocities Zheng et al. 2023 (guided flows), eq. 6.
    """

    def __init__(self, field: nn.Module, weight: float) -> None:
        super().__init__()
        self.field = field
        self.weight = weight

    def forward(self, t: Tensor, x: Tensor, context: Tensor) -> Tensor:
        """Return the guided velocity (..., D) of x (..., D), given a context (..., 2, C)."""
        both = x.unsqueeze(-2).expand(*x.shape[:-1], 2, x.shape[-1])
        given, nothing = self.field(t, both, context).unbind(-2)
        return torch.lerp(nothing, given, self.weight)


@contextmanager
def guided(weight: float, module: nn.Module) -> Iterator[None]:
    """Let every CNF inside `module` sample under guidance for a while."""
    flows = cnfs(module)
    before = [flow.field for flow in flows]
    for flow in flows:
        flow.field = GuidedField(flow.field, weight)
    try:
        yield
    finally:
        for flow, field in zip(flows, before, strict=True):
            flow.field = field
