"""q(z | X): what a cloud says of its code."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Generator, Tensor

from pointgen.flows.base import Transform
from pointgen.geometry.draws import standard_noise

__all__ = ["Posterior"]


@dataclass(frozen=True)
class Posterior:
    """A diagonal Gaussian over codes, or what a flow makes of one, or one code and no other.

    Attributes:
        mean: (B, C), of the Gaussian; the code itself where there is no variance.
        log_var: (B, C), of the Gaussian, or None.
        flow: carries draws of the Gaussian to codes, by its inverse; or None.
        context: (B, C), what the flow is given.
    """

    mean: Tensor
    log_var: Tensor | None
    flow: Transform | None = None
    context: Tensor | None = None

    def centre(self) -> Tensor:
        """Return the codes (B, C) without noise."""
        return self.mean if self.flow is None else self.flow.inverse(self.mean, self.context)

    def draw(self, generator: Generator | None = None) -> tuple[Tensor, Tensor | None]:
        """Draw codes (B, C), with log q(z | X) (B,), nats; None where there is no density."""
        if self.log_var is None:
            return self.centre(), None
        noise = standard_noise(self.mean.shape, self.mean, generator)
        drawn = self.mean + (0.5 * self.log_var).exp() * noise
        log_q = -0.5 * (noise.square() + self.log_var + math.log(2 * math.pi)).sum(-1)
        if self.flow is None:
            return drawn, log_q
        code, ladj = self.flow.inverse_and_ladj(drawn, self.context)
        return code, log_q - ladj

    def entropy(self, log_q: Tensor) -> Tensor:
        """Return the entropy (B,), nats; under a flow the estimate by the draw of `log_q` (B,)."""
        if self.flow is not None:
            return -log_q
        assert self.log_var is not None
        return 0.5 * (self.log_var + 1 + math.log(2 * math.pi)).sum(-1)

    def divergence(self, code: Tensor, log_q: Tensor) -> Tensor:
        """Return KL(q || N(0, I)) (B,), nats; under a flow the estimate by one draw."""
        if self.flow is not None:
            return log_q + 0.5 * (code.square() + math.log(2 * math.pi)).sum(-1)
        assert self.log_var is not None
        return 0.5 * (self.mean.square() + self.log_var.exp() - 1 - self.log_var).sum(-1)

    def fixed(self, times: int) -> Posterior:
        """Return it without a gradient, each row so many times: (times B, C)."""
        mean, log_var, context = (
            None if part is None else part.detach().repeat(times, 1)
            for part in (self.mean, self.log_var, self.context)
        )
        assert mean is not None
        return Posterior(mean, log_var, self.flow, context)
