"""Bootstrap intervals of the scores of sets, from who is nearest to whom.

If both sets were drawn anew from what they came from, in the same numbers, the scores would differ.
An interval of level 0.95 covers the mean score of such draws about 95 times in 100. It knows of no
other uncertainty: not of another training, nor of other points on the same shapes. And it holds for
these numbers of shapes only, since the mean scores of larger sets are others.

Drawing shapes anew and scoring the resampled tables would go wrong: a shape drawn twice is its own
nearest neighbour at distance zero, and a set drawn with replacement lacks a third of its shapes, so
that it covers less. Here the sets stay as they are, and the outcomes are drawn: the distance of
each reference, whether it is covered, the vote of each shape. They depend on each other, and each
score allows for that in a way of its own. Intervals of 1-NNA that took votes as independent would
be a quarter too narrow.

Source: Efron and Tibshirani 1993, chapters 8 and 13 (groups of outcomes, percentiles); Henze 1988
(two-sample tests by nearest neighbours, and what mutual ones do to their variance); Agresti and
Coull 1998 (adding an outcome of each kind).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

__all__ = ["intervals"]

ROWS_AT_ONCE = 2**22

# Takes rows (K, C) and returns, for each draw of K of them with replacement, their sums: (D, C).
Draw = Callable[[Tensor], Tensor]


def intervals(
    minima: Tensor,
    nearest_sample: Tensor,
    nearest_reference: Tensor,
    votes: Tensor,
    nearest_other: Tensor,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Return intervals of MMD, COV and 1-NNA; the top of this file says what they mean.

    With fewer than some 30 shapes a set they are a rough hint. That of MMD is too narrow where a
    few far references make up most of the mean, or few samples are nearest to most references.

    Args:
        minima: (R,), the distance of each reference to the nearest sample.
        nearest_sample: (R,) int64, which sample that is, from 0 to S - 1.
        nearest_reference: (S,) int64, the reference nearest to each sample, from 0 to R - 1.
        votes: (S + R,), samples first: is a shape's nearest other shape of its own set? From 0 to
            1, the share if several are equally near.
        nearest_other: (S + R,) int64, which shape that is (any of the equally near), from 0 to
            S + R - 1, samples first.
        draws: How often the outcomes are drawn.
        level: Between 0 and 1.
        seed: Seed of the draws.

    Returns:
        Lower and upper limit of "MMD", in the units of the distances, and of "COV" and "1-NNA",
        from 0 to 1. The scores themselves lie between them.

    Raises:
        ValueError: The lengths do not fit or are zero, an index is out of range, a distance or a
            vote is not finite, or there are no draws or no such level.
    """
    samples, references = nearest_reference.numel(), minima.numel()
    if samples == 0 or references == 0:
        raise ValueError(f"expected samples and references, got {samples} and {references}")
    _check_values("minima", minima, references)
    _check_indices("nearest_sample", nearest_sample, references, samples)
    _check_indices("nearest_reference", nearest_reference, samples, references)
    _check_values("votes", votes, samples + references)
    _check_indices("nearest_other", nearest_other, samples + references, samples + references)
    if draws < 1:
        raise ValueError(f"draws: expected at least 1, got {draws}")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    draw = partial(_sums, draws=draws, generator=torch.Generator().manual_seed(seed))
    minima, votes = (values.detach().cpu().double() for values in (minima, votes))
    means = {
        "MMD": _matching(minima, nearest_sample.cpu(), draw),
        "COV": _coverage(nearest_reference.cpu(), references, draw),
        "1-NNA": _accuracy(votes, nearest_other.cpu(), samples, draw),
    }
    return {name: _limits(score, drawn, level) for name, (score, drawn) in means.items()}


def _matching(minima: Tensor, nearest_sample: Tensor, draw: Draw) -> tuple[float, Tensor]:
    """Return MMD and means (2, D): of references drawn singly, and in groups of one nearest sample.

    Those with the same nearest sample share its luck: another sample in its place would be nearer
    to all of them, or farther. Groups alone are not enough, for with a single one nothing varies.
    """
    rows = torch.stack([minima, torch.ones_like(minima)], dim=1)
    groups = rows.new_zeros(int(nearest_sample.max()) + 1, 2).index_add(0, nearest_sample, rows)
    sums = torch.stack([draw(rows), draw(groups[groups[:, 1] > 0])])  # (2, D, 2)
    return minima.mean().item(), sums[:, :, 0] / sums[:, :, 1]


def _coverage(nearest_reference: Tensor, references: int, draw: Draw) -> tuple[float, Tensor]:
    """Return COV and means (1, D) of references drawn singly.

    There is a fixed number of samples, so that where many meet, others are missing. What of an
    outcome is linear in the number of samples that a reference got can therefore not vary in the
    mean, and is left out; with it intervals would be up to twice as wide.
    """
    got = torch.bincount(nearest_reference, minlength=references).double()
    covered = (got > 0).double()
    score = covered.mean().item()
    excess = got - got.mean()
    variance = excess.square().mean()
    slope = (excess * covered).mean() / variance if variance > 0 else 0.0
    means = _shares(score, covered - score - slope * excess, references, draw)
    samples = len(nearest_reference)
    return score, means.clamp(1 / references, min(1.0, samples / references))


def _accuracy(
    votes: Tensor, nearest_other: Tensor, samples: int, draw: Draw
) -> tuple[float, Tensor]:
    """Return 1-NNA and means (1, D) of shapes drawn in groups joined by nearest neighbours.

    Two shapes that are each other's nearest cast the same vote, and those with the same nearest
    shape similar ones. The numbers of samples and of references are fixed, so each vote counts by
    its difference from the mean of its own set.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(votes)
    links = (torch.ones(count).numpy(), (torch.arange(count).numpy(), nearest_other.numpy()))
    number, group = connected_components(coo_array(links, shape=(count, count)), directed=False)
    shifts = torch.cat([own - own.mean() for own in votes.split([samples, count - samples])])
    sums = shifts.new_zeros(number).index_add(0, torch.from_numpy(group).long(), shifts)
    score = votes.mean().item()
    return score, _shares(score, sums, count, draw).clamp(0, 1)


def _shares(score: float, shifts: Tensor, count: int, draw: Draw) -> Tensor:
    """Return means (1, D) of outcomes from 0 to 1 that are drawn in groups.

    Two made-up groups are added, one of ones and one of zeros: also where all outcomes agree, the
    opposite one has been possible.

    Args:
        score: The mean of the outcomes.
        shifts: (K,), the sum over each group of what its outcomes differ from their mean.
        count: Number of outcomes.
        draw: See `Draw`.
    """
    size = count / len(shifts)
    rows = torch.cat([shifts, size * torch.tensor([1 - score, -score]).to(shifts)])
    return score + draw(rows.unsqueeze(1)).mT / (size * len(rows))


def _limits(score: float, means: Tensor, level: float) -> tuple[float, float]:
    """Return the widest of the percentile intervals of means (I, D), with the score within."""
    tails = means.new_tensor([(1 - level) / 2, (1 + level) / 2])
    lower, upper = means.quantile(tails, dim=1)
    return min(score, lower.min().item()), max(score, upper.max().item())


def _sums(rows: Tensor, *, draws: int, generator: torch.Generator) -> Tensor:
    sums = rows.new_empty(draws, rows.shape[1])
    for part in sums.split(max(1, ROWS_AT_ONCE // len(rows))):
        chosen = torch.randint(len(rows), (len(part), len(rows)), generator=generator)
        torch.sum(rows[chosen], dim=1, out=part)
    return sums


def _check_values(name: str, values: Tensor, count: int) -> None:
    _check_length(name, values, count)
    if not bool(values.isfinite().all()):
        raise ValueError(f"{name}: expected finite values, got others")


def _check_indices(name: str, index: Tensor, count: int, end: int) -> None:
    _check_length(name, index, count)
    if index.dtype != torch.int64 or not bool(((index >= 0) & (index < end)).all()):
        raise ValueError(f"{name}: expected int64 from 0 to {end - 1}, got others")


def _check_length(name: str, values: Tensor, count: int) -> None:
    if values.shape != (count,):
        raise ValueError(f"{name}: expected ({count},), got {tuple(values.shape)}")
