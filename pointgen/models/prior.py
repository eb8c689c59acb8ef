"""Draw codes of a flow that may be conditioned: at random, their mean, or the likeliest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from pointgen.flows.base import Flow
from pointgen.flows.continuous import cnfs, inverse_each
from pointgen.flows.guidance import guided
from pointgen.models.base import Condition

__all__ = ["CODE_DRAWS", "choose_codes"]

CODE_DRAWS = 16  # whose mean, or likeliest, is taken where one code is wanted for a condition

Context = Callable[[Condition, int], Tensor | None]
"""From a condition, and how many rows are wanted, to what the flow is given (B, W)."""


def choose_codes(prior: Flow, noise: Tensor, condition: Condition, context: Context) -> Tensor:
    """Turn noise (B, draws, C) into one code each (B, C), as `condition.code` wants it.

    Raises:
        ValueError: Guidance is asked for that the flow cannot give.
    """
    count, draws, _ = noise.shape
    if condition.code == "mode":
        noise = torch.cat([torch.zeros_like(noise[:, :1]), noise[:, 1:]], dim=1)
    codes = _decoded(prior, noise, condition, context)  # (B, draws, C)
    if condition.code != "mode":
        return codes.nanmean(1)  # of those that could be solved
    given = context(condition, count)
    given = None if given is None else given.repeat_interleave(draws, 0)
    solved = codes.isfinite().all(-1)  # what could not be solved is no candidate
    likely = prior.log_prob(codes.nan_to_num().flatten(0, 1), given).unflatten(0, (count, draws))
    likely = likely.masked_fill(~solved, -torch.inf)
    best = likely.argmax(1).view(count, 1, 1).expand(-1, 1, codes.shape[-1])
    return codes.gather(1, best).squeeze(1)


def _decoded(prior: Flow, noise: Tensor, condition: Condition, context: Context) -> Tensor:
    """Turn noise (B, draws, C) into codes of the same shape."""
    count, draws, _ = noise.shape
    given = context(condition, count)
    weight = condition.guidance
    if weight != 1:
        if given is None:
            raise ValueError("guidance: this model has no condition to be guided by")
        if not cnfs(prior):
            raise ValueError("guidance: only a continuous flow over codes (kind cnf) can be guided")
        nothing = context(replace(condition, image=None, label=None), count)
        assert nothing is not None
        given = torch.stack([given, nothing], dim=1)  # (B, 2, W)
    given = None if given is None else given.repeat_interleave(draws, 0)
    with guided(weight, prior) if weight != 1 else nullcontext():
        return inverse_each(prior.transform, noise.flatten(0, 1), given).view_as(noise)
