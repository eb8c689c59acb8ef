"""An invertible recurrent inference machine on clouds.

Two streams of channels of each point are the whole state; the first three channels of the second
are the estimate of the points. In a step the first stream hears where the observed cloud pulls the
estimate (the gradient of a data term), and the second, with the estimate, is moved by the first: an
additive coupling, so that training remembers the end alone, however many steps there are.

Nothing can be forgotten by such steps, and what was heard of earlier estimates would blur what is
heard now. So the channels of the first stream move on by one slot before each step, and a step
hears into the one that was longest ago: the orthogonal map around each step of the paper.

Source: Putzky & Welling 2019 (Invert to learn to invert).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pointgen.geometry.pulls import means_near, pulled, towards
from pointgen.networks.reversible import (
    AdditiveBlock,
    DriftWatch,
    Gradients,
    ReversibleSequence,
    ReversibleStep,
    Streams,
)
from pointgen.networks.revnet import SetLayers

__all__ = ["InferenceMachine"]

SPACING = 3.0  # neighbours of N points on a surface, in standardised units: about 3 / sqrt(N) apart
SLOTS = 3  # of the first stream: for so many steps what was heard is kept apart
NEAR = 1.0  # width of a neighbourhood, in spacings
SEEN_AT, OWN_AT, PULLED_AT = 3, 2, 2  # numbers of kernels, from one spacing wide, doubling
PULLS = 7 * (SEEN_AT + OWN_AT) + 4 * PULLED_AT


class InferenceMachine(nn.Module):
    """Restores clouds step by step.

    Each step has weights of its own, as in the authors' code: the first ones go far, the last ones
    set points right. Whoever wants more steps gets the last one again.

    Args:
        width: channels of the second stream, and of a slot of the first one.
        hidden: channels inside the networks of a step.
        facts: numbers that are known of each point of a start.
        steps: how many differ.
    """

    def __init__(self, *, width: int, hidden: int, facts: int, steps: int) -> None:
        super().__init__()
        self.width = width
        self.memory = SLOTS * width
        self.look = nn.Sequential(
            nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, hidden),
        )  # fmt: skip
        self.inlet = nn.Linear(hidden + facts, width - 3)
        self.watch = DriftWatch()  # of all chains: each lives for one step of a training
        self.listen = nn.ModuleList(_Listening(width, hidden) for _ in range(steps))
        self.move = nn.ModuleList(_Moving(self.memory, hidden, width) for _ in range(steps))

    def forward(self, points: Tensor, seen: Tensor, facts: Tensor, steps: int) -> Tensor:
        """Return the estimate (B, N, 3) after so many steps; the memory does not grow with them.

        Args:
            points: (B, N, 3), where to start, standardised units.
            seen: (B, M, 3), the observed cloud, standardised units; it gets no gradient.
            facts: (B, N, F), known of each point of the start.
            steps: any number.
        """
        _, second = self.chain(seen, steps)(*self.start(points, seen, facts))
        # In training every process waits for a gradient of every parameter: zero, if not taken.
        others = [
            p.sum()
            for step in (*self.listen[steps:], *self.move[steps:])
            for p in step.parameters()
        ]
        return second[..., :3] + 0 * sum(others)

    def start(self, points: Tensor, seen: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two streams, (B, N, S W) and (B, N, W), before the first step."""
        glance = self.look(seen).amax(dim=1, keepdim=True)  # (B, 1, H)
        known = torch.cat([glance.expand(-1, points.shape[1], -1), facts], dim=-1)
        memory = points.new_zeros(*points.shape[:2], self.memory)
        return memory, torch.cat([points, self.inlet(known)], dim=-1)

    def chain(self, seen: Tensor, steps: int) -> ReversibleSequence:
        """Return the steps towards an observed cloud (B, M, 3)."""
        seen, last, chain = seen.detach(), len(self.listen) - 1, list[ReversibleStep]()
        for number in range(steps):
            told = _Told(self.listen[min(number, last)], seen, self.memory)
            chain += [
                _Onward(self.width),
                AdditiveBlock(told, self.move[min(number, last)], 1.0),
            ]
        return ReversibleSequence(chain, self.watch)

    @torch.no_grad()
    def path(self, points: Tensor, seen: Tensor, facts: Tensor, steps: int) -> Tensor:
        """Return the estimates (B, steps + 1, N, 3) from the start on; arguments as above."""
        streams, found = self.start(points, seen, facts), [points]
        for step in self.chain(seen, steps).steps:
            streams = step(*streams)
            if isinstance(step, AdditiveBlock):
                found.append(streams[1][..., :3])
        return torch.stack(found, dim=1)


class _Onward(ReversibleStep):
    """Moves the channels of the first stream on, the last ones to the front."""

    def __init__(self, slot: int) -> None:
        super().__init__()
        self.slot = slot

    def forward(self, x1: Tensor, x2: Tensor) -> Streams:
        return x1.roll(self.slot, -1), x2

    def inverse(self, y1: Tensor, y2: Tensor) -> Streams:
        return y1.roll(-self.slot, -1), y2

    def pull_back(self, y: Streams, grad: Streams, into: Gradients) -> tuple[Streams, Streams]:
        return self.inverse(*y), self.inverse(*grad)


class _Told(nn.Module):
    """A network that is told of an observed cloud whenever it is called, in recomputation too.

    What it says is for the first channels of a stream; the others are left alone.
    """

    def __init__(self, network: nn.Module, seen: Tensor, width: int) -> None:
        super().__init__()
        self.network, self.seen, self.width = network, seen, width

    def forward(self, x: Tensor) -> Tensor:
        said = self.network(x, self.seen)
        return functional.pad(said, (0, self.width - said.shape[-1]))


class _Listening(nn.Module):
    """What the first stream hears: of the second one, of its neighbours, and of the pulls.

    Two layers on each point, which are told the maximum over the cloud and the mean nearby.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(width + PULLS, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.whole = nn.Linear(hidden, hidden, bias=False)
        self.near = nn.Linear(hidden, hidden, bias=False)
        self.second = nn.Linear(hidden, width)
        self.straight = nn.Linear(PULLS, width, bias=False)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        points = x[..., :3]
        heard = pulls(points, seen)
        h = self.norm(self.first(torch.cat([x, heard], dim=-1)))
        told = self.whole(h.max(dim=1, keepdim=True).values)  # (B, 1, H)
        nearby = self.near(means_near(points, h, NEAR * SPACING / math.sqrt(x.shape[1])))
        return self.second(functional.relu(h + told + nearby)) + self.straight(heard)


class _Moving(nn.Module):
    """How the second stream is moved by the first: at the beginning of a training, not at all."""

    def __init__(self, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.layers = SetLayers(width, hidden, out)
        self.straight = nn.Linear(width, out, bias=False)
        for last in (self.layers.second, self.straight):
            nn.init.zeros_(last.weight)
        nn.init.zeros_(self.layers.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.straight(x)


def pulls(points: Tensor, seen: Tensor) -> Tensor:
    """Return where an observed cloud and the points' own density pull (B, N, P).

    They are gradients of log p_h(x | y), log p_h(y | x) and log p_h(x | x) at several widths h.

    Args:
        points: (B, N, 3), standardised units.
        seen: (B, M, 3), standardised units.
    """
    theirs, own = (SPACING / math.sqrt(cloud.shape[1]) for cloud in (seen, points))
    with torch.autocast(points.device.type, enabled=False):  # half precision is too coarse for it
        found = towards(points, seen, theirs, SEEN_AT)
        found += towards(points.detach(), points.detach(), own, OWN_AT)
        found += pulled(points, seen, max(own, theirs), PULLED_AT)
    return torch.cat(found, dim=-1)
