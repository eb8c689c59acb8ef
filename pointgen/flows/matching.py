"""Flow matching: train a velocity field by regression, without solving its ODE."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pointgen.flows.base import Chain, Transform
from pointgen.flows.continuous import CNF

__all__ = ["around_cnf", "matching_loss", "stratified_times"]

Pairing = Callable[[Tensor, Tensor], Tensor]


def around_cnf(transform: Transform) -> tuple[list[Transform], CNF, list[Transform]]:
    """Split a chain into what stands before its one CNF, the CNF, and what stands after.

    Raises:
        ValueError: The chain holds no CNF or several: between two, no path is prescribed.
    """
    parts = list(transform) if isinstance(transform, Chain) else [transform]
    places = [place for place, part in enumerate(parts) if isinstance(part, CNF)]
    if len(places) != 1:
        raise ValueError(f"matching: expected a chain with one CNF, got {len(places)}")
    (place,) = places
    cnf = parts[place]
    assert isinstance(cnf, CNF)
    return parts[:place], cnf, parts[place + 1 :]


def stratified_times(count: int, like: Tensor) -> Tensor:
    """Draw `count` times in [0, 1], one in each of `count` equal strata, in random order.

    Each time alone is uniform; together they cover the interval, which lowers the variance of
    the loss.
    """
    strata = torch.randperm(count, device=like.device).to(like.dtype)
    return (strata + torch.rand(count, dtype=like.dtype, device=like.device)) / count


def matching_loss(
    transform: Transform,
    x: Tensor,
    context: Tensor | None = None,
    *,
    pairing: Pairing | None = None,
    times: int = 1,
) -> Tensor:
    """Return the conditional flow matching loss of the chain's CNF, one value per time.

    With y1 the data and y0 the noise in the space of the CNF, y_t = (1 - t) y0 + t y1, the loss is
    the mean over coordinates and events of |field(t, y_t) - (y1 - y0)|^2, in squared standardised
    units. Source: Lipman et al. 2023, eq. 23 with sigma_min = 0; Liu et al. 2023, eq. 1.

    Args:
        transform: a chain around one CNF; its other parts are crossed, not trained.
        x: data (B, ..., D); each entry of the first axis is seen at times of its own.
        context: broadcasts against x's batch dimensions.
        pairing: reorders noise (B, N, D) to suit the data (B, N, D); exchangeable points stay
            independent N(0, I) under it. None pairs at random.
        times: the second axis is cut into this many equal parts, each at a time of its own. More
            times lower the variance of the loss for no more evaluations of the field.

    Returns:
        (B, times) losses.
    """
    before, cnf, after = around_cnf(transform)
    # Trained by this loss, a transform beside the CNF would only shrink what is to be matched.
    with torch.no_grad():
        y1 = x
        for part in before:
            y1, _ = part(y1, context)
        y0 = torch.randn_like(y1)
        for part in reversed(after):
            y0 = part.inverse(y0, context)
    if pairing is not None:
        y0 = pairing(y0, y1)
    if times > 1:
        y0, y1 = y0.unflatten(1, (times, -1)), y1.unflatten(1, (times, -1))  # (B, T, N / T, D)
        context = None if context is None else context.unsqueeze(1)
    t = stratified_times(len(x) * times, y1)
    t = t.view(len(x), *([times] if times > 1 else []), *[1] * (x.ndim - 1))
    v = cnf.field(t, torch.lerp(y0, y1, t), context)
    return (v - (y1 - y0)).square().reshape(len(x), times, -1).mean(-1)
