"""Which shapes a damaged cloud may be of: the likeliest codes of a PointFlow, found by ascent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.optim import Adam

from pointgen.models.base import Condition
from pointgen.models.pointflow import PointFlow

__all__ = ["Likely", "likely_codes"]

RATE = 0.05  # of Adam, in the noise of the prior, whose numbers are about 1


@dataclass(frozen=True)
class Likely:
    """Codes that a cloud may be of, the likeliest first.

    Attributes:
        codes: (S, C).
        log_points: (S,), log p(y | z), nats, data units.
        log_noise: (S,), log N(u) of the prior's noise u that becomes the code, nats.
    """

    codes: Tensor
    log_points: Tensor
    log_noise: Tensor

    @property
    def log_prob(self) -> Tensor:
        """What they are ranked by (S,): log N(u) + log p(y | z), nats."""
        return self.log_noise + self.log_points


def likely_codes(
    model: PointFlow,
    points: Tensor,
    *,
    starts: int = 8,
    steps: int = 200,
    weight: float = 1.0,
    generator: Generator | None = None,
) -> Likely:
    """Climb log N(u) + weight log p(y | z(u)) from several starts, by Adam.

    One start is what the encoder says of the damaged cloud, and the others are drawn from the
    prior. The noise u of the prior is climbed in rather than the code, as it is round: the maxima
    of both densities differ by the prior's Jacobian. A part of a cloud is explained as if it were
    a whole one.

    Args:
        model: a PointFlow with a prior; in eval mode.
        points: (1, M, 3), damaged, data units.
        starts: how many codes are found.
        steps: of Adam.
        weight: of what the points say.
        generator: of the starts.

    Raises:
        ValueError: The model has no prior.
    """
    prior = model.prior
    if prior is None:
        raise ValueError("this model has no prior over codes (prior.kind = 'none')")
    context = None if model.conditioner is None else model.conditioner(Condition(), starts)
    context = None if context is None else context.detach()
    points = points.expand(starts, -1, -1)

    def judged(noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        codes = prior.transform.inverse(noise, context)
        return codes, model.log_prob(points, codes), prior.base.log_prob(noise)

    with torch.no_grad():
        first = model.noise(model.encode(points[:1]))
        others = prior.base.sample((starts,), generator)[1:]
    noise = torch.cat([first, others]).requires_grad_()
    adam = Adam([noise], lr=RATE)
    for _ in range(steps):
        with torch.enable_grad():
            _, log_points, log_noise = judged(noise)
            total = -(log_noise + weight * log_points).sum() / points.shape[1]
        (noise.grad,) = torch.autograd.grad(total, [noise])
        adam.step()
    with torch.no_grad():
        found = Likely(*judged(noise))
    order = found.log_prob.nan_to_num(nan=-torch.inf).argsort(descending=True)
    return Likely(found.codes[order], found.log_points[order], found.log_noise[order])
