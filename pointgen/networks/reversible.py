"""Reversible layers: a deep network whose training keeps the activations of one layer.

Two streams change each other in turn, each step can be undone, and the backward pass recomputes
what it needs from the outputs. Memory does not grow with depth, for the time of one more forward.

Source: Gomez et al. 2017 (The Reversible Residual Network).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = [
    "AdditiveBlock",
    "DriftError",
    "DriftWatch",
    "Gradients",
    "ReversibleSequence",
    "ReversibleStep",
    "Streams",
]

Streams = tuple[Tensor, Tensor]
Gradients = dict[nn.Parameter, Tensor]

PROBES = 256  # entries of each stream that are kept, to see whether they are found again
WATCH_EVERY = 50  # backward passes: reading the number makes the CPU wait for a GPU
MOST_DRIFT = 0.05  # relative; gradients are then about as coarse as half precision makes them


class DriftError(ArithmeticError):
    """Activations could not be recomputed from the outputs; the message says by how much."""


class ReversibleStep(nn.Module, ABC):
    """A bijection of two streams.

    Its networks give the same answer each time: no dropout, no statistics that a pass updates.
    """

    @abstractmethod
    def forward(self, x1: Tensor, x2: Tensor) -> Streams:
        """Map the streams on."""

    @abstractmethod
    def inverse(self, y1: Tensor, y2: Tensor) -> Streams:
        """Map the streams back."""

    @abstractmethod
    def pull_back(self, y: Streams, grad: Streams, into: Gradients) -> tuple[Streams, Streams]:
        """Map outputs and their gradients to inputs and theirs.

        Args:
            y: what `forward` returned.
            grad: gradients of those.
            into: gradients of parameters are added here.
        """


class AdditiveBlock(ReversibleStep):
    """y1 = x1 + s F(x2), y2 = x2 + s G(y1).

    With s = 1 / sqrt(depth) the streams keep their size however deep the network is, and what is
    recomputed stays at rounding; with s = 1, and networks without a norm, a fifth of it was lost
    after 256 blocks.

    Source: Gomez et al. 2017, eq. 6 and algorithm 1.
    """

    def __init__(self, f: nn.Module, g: nn.Module, scale: float) -> None:
        super().__init__()
        self.f, self.g, self.scale = f, g, scale

    def forward(self, x1: Tensor, x2: Tensor) -> Streams:
        """Map the streams on; where F and G answer in half precision, the streams stay."""
        y1 = torch.add(x1, self.f(x2), alpha=self.scale)
        return y1, torch.add(x2, self.g(y1), alpha=self.scale)

    def inverse(self, y1: Tensor, y2: Tensor) -> Streams:
        """Map the streams back."""
        x2 = torch.sub(y2, self.g(y1), alpha=self.scale)
        return torch.sub(y1, self.f(x2), alpha=self.scale), x2

    def pull_back(self, y: Streams, grad: Streams, into: Gradients) -> tuple[Streams, Streams]:
        """Map outputs and their gradients to inputs and theirs; F and G are called once each."""
        (y1, y2), (grad1, grad2) = y, grad
        answer, back = _recomputed(self.g, y1, self.scale * grad2, into)
        x2, grad1 = torch.sub(y2, answer, alpha=self.scale), grad1 + back
        answer, back = _recomputed(self.f, x2, self.scale * grad1, into)
        return (torch.sub(y1, answer, alpha=self.scale), x2), (grad1, grad2 + back)


@dataclass
class DriftWatch:
    """Looks now and then whether backward passes find the inputs again.

    Attributes:
        drift: how far those that were last looked at came back from those that went in: the root
            mean square of the difference, relative to that of the inputs.
        passes: how many backward passes there were.
    """

    drift: float = 0.0
    passes: int = 0

    def look(self, found: Tensor, expected: Tensor, steps: int) -> None:
        """Note how far probes of the recomputed inputs are from those that went in.

        It is done in the first backward pass and every 50th from there: drift grows slowly, with
        the weights.

        Raises:
            DriftError: Too far for the gradient to be used.
        """
        self.passes += 1
        if self.passes % WATCH_EVERY != 1:
            return
        size = expected.norm().clamp_min(torch.finfo(expected.dtype).tiny)
        self.drift = ((found - expected).norm() / size).item()
        if self.drift > MOST_DRIFT:  # not where it is NaN: then the loss is, which is said by it
            raise DriftError(
                f"reversible network of {steps} steps: recomputed activations are "
                f"{self.drift:.0%} off, at most {MOST_DRIFT:.0%} is allowed: use fewer layers, a "
                "lower learning rate, or fp32"
            )


class ReversibleSequence(nn.Module):
    """Reversible steps, one after another."""

    def __init__(self, steps: Iterable[ReversibleStep], watch: DriftWatch | None = None) -> None:
        """Join steps, whose `watch` is that of other sequences too where it is given."""
        super().__init__()
        self.steps = nn.ModuleList(steps)
        self.watch = watch or DriftWatch()

    @torch.compiler.disable
    def forward(self, x1: Tensor, x2: Tensor) -> Streams:
        """Map the streams on; a backward pass recomputes activations, and watches their drift.

        Under autocast the streams are fp32, as what half precision drops cannot be recomputed.

        Raises:
            DriftError: In the backward pass: the recomputed inputs are not those that went in.
        """
        x1, x2 = (x.float() if x.dtype in (torch.half, torch.bfloat16) else x for x in (x1, x2))
        if not torch.is_grad_enabled():
            return self.plain(x1, x2)
        outputs: Streams = _Recomputing.apply(self, x1, x2, *self.parameters())
        return outputs

    def plain(self, x1: Tensor, x2: Tensor) -> Streams:
        """Map the streams on, and let autograd keep every activation."""
        for step in self.steps:
            x1, x2 = step(x1, x2)
        return x1, x2

    def inverse(self, y1: Tensor, y2: Tensor) -> Streams:
        """Map the streams back."""
        for step in reversed(self.steps):
            assert isinstance(step, ReversibleStep)
            y1, y2 = step.inverse(y1, y2)
        return y1, y2


@dataclass(frozen=True)
class _Autocast:
    """The automatic mixed precision of a forward pass, for its recomputation."""

    device: str
    enabled: bool
    dtype: torch.dtype

    @classmethod
    def of(cls, device: str) -> _Autocast:
        return cls(device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))

    def again(self) -> torch.autocast:
        # Without the cache, in which a weight that was cast where there are no gradients is found
        # later by those who need its gradient (torch issue 158232, mended in late 2025).
        return torch.autocast(
            self.device, dtype=self.dtype, enabled=self.enabled, cache_enabled=False
        )


class _Recomputing(torch.autograd.Function):
    """The whole sequence as one operation, which keeps its outputs and a few numbers.

    Parameters are inputs, so that their gradients take autograd's usual way, on which DDP waits
    for them.
    """

    @staticmethod
    def forward(
        ctx: Any, sequence: ReversibleSequence, x1: Tensor, x2: Tensor, *parameters: Tensor
    ) -> Streams:
        ctx.sequence, ctx.autocast = sequence, _Autocast.of(x1.device.type)
        with ctx.autocast.again():
            y1, y2 = sequence.plain(x1, x2)
        # The parameters take no memory here; autograd sees if they are changed before backward.
        ctx.save_for_backward(y1, y2, _probes(x1, x2), *parameters)
        return y1, y2

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        y1, y2, expected, *_ = ctx.saved_tensors
        y, grad = (y1, y2), (grads[0], grads[1])
        into: Gradients = {}
        with ctx.autocast.again():
            for step in reversed(ctx.sequence.steps):
                y, grad = step.pull_back(y, grad, into)
        ctx.sequence.watch.look(_probes(*y), expected, len(ctx.sequence.steps))
        return None, *grad, *(into.get(parameter) for parameter in ctx.sequence.parameters())


def _recomputed(
    network: nn.Module, x: Tensor, grad: Tensor, into: Gradients
) -> tuple[Tensor, Tensor]:
    """Return a network's answer and the gradient of its input, given that of its answer."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        answer = network(x)
    grad_x, *found = torch.autograd.grad(
        answer, [x, *parameters], grad.to(answer.dtype), allow_unused=True
    )
    for parameter, part in zip(parameters, found, strict=True):
        if part is not None:
            into[parameter] = into[parameter] + part if parameter in into else part
    return answer.detach(), torch.zeros_like(x) if grad_x is None else grad_x


def _probes(x1: Tensor, x2: Tensor) -> Tensor:
    """Return some entries of both streams, evenly spread."""
    flat = (x.detach().reshape(-1) for x in (x1, x2))
    return torch.cat([x[:: -(-x.numel() // PROBES)] for x in flat])
