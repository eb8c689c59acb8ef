"""How probable clouds are under a model with codes: an importance-weighted bound and its parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pointgen.models.posterior import Posterior

__all__ = ["Evidence", "weighed"]


@dataclass(frozen=True)
class Evidence:
    """What is known of log p(X) of each of B clouds, nats, for all of a cloud's points together.

    Attributes:
        log_prob: (B,), a lower bound in expectation, tight for many draws.
        error: (B,), its standard error; NaN for a single draw.
        points: (B,), the mean of log p(X | z) over the draws.
        code: (B,), the mean of log p(z) - log q(z | X): minus what the code costs.
    """

    log_prob: Tensor
    error: Tensor
    points: Tensor
    code: Tensor


def weighed(
    posterior: Posterior,
    log_px: Callable[[Tensor], Tensor],
    log_pz: Callable[[Tensor], Tensor],
    *,
    draws: int,
    generator: Generator | None = None,
) -> Evidence:
    """Weigh draws of z from q(z | X), given log p(X | z) (B,) and log p(z) (B,) of codes (B, C).

    The error is that of the delta method: of the mean weight, relative to it. Source: Burda et al.
    2016, eq. 8.

    Raises:
        ValueError: The posterior is one code and has no density.
    """
    points, codes = [], []
    for _ in range(draws):
        code, log_q = posterior.draw(generator)
        if log_q is None:
            raise ValueError("log p(X): posterior = 'deterministic' gives no density of codes")
        points.append(log_px(code))
        codes.append(log_pz(code) - log_q)
    of_points, of_code = torch.stack(points), torch.stack(codes)  # (K, B)
    log_w = of_points + of_code
    log_mean = log_w.logsumexp(0) - math.log(draws)
    error = (log_w - log_mean).exp().std(0) / math.sqrt(draws) if draws > 1 else log_mean * math.nan
    return Evidence(log_mean, error, of_points.mean(0), of_code.mean(0))
