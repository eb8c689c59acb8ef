"""i-RevNet: a deep network on clouds that loses nothing, in which pairs of points become one.

Source: Jacobsen et al. 2018 (i-RevNet: Deep Invertible Networks).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pointgen.networks.reversible import (
    AdditiveBlock,
    Gradients,
    ReversibleSequence,
    ReversibleStep,
    Streams,
)

__all__ = ["IRevNet", "PairSqueeze", "SequenceLayers"]


class IRevNet(nn.Module):
    """A bijection of sequences (B, N, 3) and features (B, N / 2^(levels + 1), 3 2^(levels + 1)).

    The places of even and of odd number are the two streams. Each level joins pairs of places in
    both, which takes the part of pooling, and then lets reversible blocks change them.
    """

    def __init__(self, *, levels: int, blocks: int, width: int) -> None:
        """Build the network.

        Args:
            levels: how often pairs of places are joined.
            blocks: reversible blocks before that and after each time.
            width: channels inside the networks of the blocks.
        """
        super().__init__()
        scale = 1 / math.sqrt(blocks * (levels + 1))
        steps: list[ReversibleStep] = []
        for level in range(levels + 1):
            channels = 3 * 2**level
            steps += [PairSqueeze()] if level else []
            steps += [
                AdditiveBlock(
                    SequenceLayers(channels, width), SequenceLayers(channels, width), scale
                )
                for _ in range(blocks)
            ]
        self.sequence = ReversibleSequence(steps)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (B, N, 3) to features (B, M, C), as many numbers."""
        even, odd = x.unflatten(1, (-1, 2)).unbind(2)
        return torch.cat(self.sequence(even, odd), dim=-1)

    def inverse(self, features: Tensor) -> Tensor:
        """Map features (B, M, C) back to sequences (B, N, 3)."""
        even, odd = self.sequence.inverse(*features.chunk(2, dim=-1))
        return torch.stack([even, odd], dim=2).flatten(1, 2)


class PairSqueeze(ReversibleStep):
    """Each two neighbouring places (B, N, C) become one (B, N / 2, 2 C), in both streams."""

    def forward(self, x1: Tensor, x2: Tensor) -> Streams:
        """Join pairs of places."""
        return _joined(x1), _joined(x2)

    def inverse(self, y1: Tensor, y2: Tensor) -> Streams:
        """Part them again."""
        return _parted(y1), _parted(y2)

    def pull_back(self, y: Streams, grad: Streams, into: Gradients) -> tuple[Streams, Streams]:
        """Part outputs, and gradients alike, as these are the same numbers at other places."""
        return self.inverse(*y), self.inverse(*grad)


class SequenceLayers(nn.Module):
    """Two layers on each place and its two neighbours, which are told the mean of all places."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(3 * channels, width)
        self.norm = nn.LayerNorm(width)  # not on the input: of 3 numbers it would leave an angle
        self.whole = nn.Linear(width, width, bias=False)
        self.second = nn.Linear(width, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (B, N, C) to (B, N, C)."""
        padded = functional.pad(x, (0, 0, 1, 1))
        around = torch.cat([padded[:, :-2], x, padded[:, 2:]], dim=-1)  # (B, N, 3 C)
        h = self.norm(self.first(around))
        told = self.whole(h.mean(dim=1, keepdim=True))  # (B, 1, W)
        return self.second(functional.silu(h + told))


def _joined(x: Tensor) -> Tensor:
    return x.unflatten(1, (-1, 2)).flatten(2)


def _parted(x: Tensor) -> Tensor:
    return x.unflatten(2, (2, -1)).flatten(1, 2)
