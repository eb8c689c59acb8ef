"""Explicit Runge-Kutta integration of dx/dt = v(t, x), and of a rate along the way.

A flow's log-Jacobian is the integral of a divergence that the state itself never depends on. So its
rate, which costs more than the velocity, is asked for only at the stages that weigh in the result
or in the error, and no graph is recorded where no gradient can come from: in the error estimate and
at the very end. The first step that is tried is the whole way, rather than the usual cautious
guess: easy fields need no more, and a step too many is paid for in the backward pass too, a
rejected one is not; it tells which step would do.
Source: Hairer, Norsett & Wanner 1993, sections II.4 and II.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["TABLEAUS", "SolveError", "Tableau", "Tolerance", "integrate"]

# A solve of a trained field takes 3 to 50 steps. A thousand times that is a field that blows up,
# and stopping there turns an endless solve into an error.
MAX_STEPS = 20_000
SAFETY, SLOWEST, FASTEST = 0.9, 0.2, 10.0  # how a step may change, as in Hairer's code
UNDERFLOW = 1e-10  # of the width of a step in a span of length 1


class SolveError(ArithmeticError):
    """An ODE could not be solved: the step underflowed, or the state is not finite."""


State = tuple[Tensor, ...]
"""The state x, and the integral of the rate where there is one."""
Slope = tuple[Tensor | None, ...]
"""What the parts of a state change by: the velocity, and the rate or None."""
Derivative = Callable[[Tensor, Tensor, bool], Slope]
"""Called with t (), x and whether the rate is wanted."""


@dataclass(frozen=True)
class Tableau:
    """The coefficients of a method.

    Attributes:
        nodes: where in a step each stage is.
        stages: row i weighs the velocities before stage i.
        weights: of the velocities in the result.
        error: of the velocities in the error estimate; none for a method that has no estimate.
            Its last entry belongs to the velocity at the end of the step.
        order: of the result.
    """

    nodes: tuple[float, ...]
    stages: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    error: tuple[float, ...]
    order: int


@dataclass(frozen=True)
class Tolerance:
    """How far the error estimate of a step may go: atol + rtol |x|, root mean square."""

    rtol: float
    atol: float


EULER = Tableau((0.0,), ((),), (1.0,), (), 1)
MIDPOINT = Tableau((0.0, 1 / 2), ((), (1 / 2,)), (0.0, 1.0), (), 2)
HEUN = Tableau((0.0, 1.0), ((), (1.0,)), (1 / 2, 1 / 2), (), 2)
RK4 = Tableau(
    (0.0, 1 / 2, 1 / 2, 1.0),
    ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    (1 / 6, 1 / 3, 1 / 3, 1 / 6),
    (),
    4,
)
BOSH3 = Tableau(  # Bogacki & Shampine 1989
    (0.0, 1 / 2, 3 / 4),
    ((), (1 / 2,), (0.0, 3 / 4)),
    (2 / 9, 1 / 3, 4 / 9),
    (2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    3,
)
DOPRI5 = Tableau(  # Dormand & Prince 1980
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0),
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    (
        35 / 384 - 5179 / 57600,
        0.0,
        500 / 1113 - 7571 / 16695,
        125 / 192 - 393 / 640,
        -2187 / 6784 + 92097 / 339200,
        11 / 84 - 187 / 2100,
        -1 / 40,
    ),
    5,
)
TABLEAUS = {
    "euler": EULER,
    "midpoint": MIDPOINT,
    "heun": HEUN,
    "rk4": RK4,
    "bosh3": BOSH3,
    "dopri5": DOPRI5,
}


def integrate(
    derivative: Derivative,
    state: State,
    span: tuple[float, float],
    tableau: Tableau,
    steps: int | Tolerance,
) -> State:
    """Integrate a state over a span of time.

    Args:
        derivative: gives the velocity of x and, if wanted, the rate, each of the shape of its part.
        state: (x,), or (x, integral) to integrate the rate too.
        span: start and end; the end may be the smaller.
        tableau: the method.
        steps: a number of equal steps, or the tolerance by which the method chooses its own.

    Raises:
        SolveError: The step size underflowed, or there were more than `MAX_STEPS`.
    """
    if isinstance(steps, Tolerance):
        return _chosen_steps(derivative, state, span, tableau, steps)
    width = (span[1] - span[0]) / steps
    for step in range(steps):
        t = span[0] + step * width
        first = derivative(_time(t, state[0]), state[0], len(state) > 1 and tableau.weights[0] != 0)
        state, _ = _step(derivative, state, first, t, width, tableau)
    return state


def _chosen_steps(
    derivative: Derivative,
    state: State,
    span: tuple[float, float],
    tableau: Tableau,
    tolerance: Tolerance,
) -> State:
    t, end = span
    wants_rate, wants_grad = len(state) > 1, torch.is_grad_enabled()
    slope = derivative(_time(t, state[0]), state[0], wants_rate)
    width = end - t  # see the module's docstring
    for _ in range(MAX_STEPS):
        if not abs(width) >= UNDERFLOW:  # written so that NaN is an error too
            raise SolveError(f"underflow in the step size at t = {t:.6f}")
        left = end - t
        if abs(width) > abs(left) / 2:  # two equal steps, rather than one and a tiny one
            width = left if abs(width) >= abs(left) else left / 2
        after, slopes = _step(derivative, state, slope, t, width, tableau)
        # The velocity at the end begins the next step; after the last one only the error has it.
        with torch.set_grad_enabled(wants_grad and width != left):
            slopes.append(derivative(_time(t + width, after[0]), after[0], wants_rate))
        error = _error(state, after, slopes, width, tableau, tolerance)
        if error <= 1:
            if width == left:
                return after
            t, state, slope = t + width, after, slopes[-1]
        width *= _change(error, tableau.order)
    raise SolveError(f"no end after {MAX_STEPS} steps, at t = {t:.6f}")


def _step(
    derivative: Derivative,
    state: State,
    first: Slope,
    t: float,
    width: float,
    tableau: Tableau,
) -> tuple[State, list[Slope]]:
    """Take one step; return the state after it and the slopes at its stages."""
    slopes = [first]
    for stage in range(1, len(tableau.nodes)):
        x = _moved(state[0], [slope[0] for slope in slopes], tableau.stages[stage], width)
        weighs = tableau.weights[stage] != 0 or any(tableau.error[stage : stage + 1])
        time = _time(t + tableau.nodes[stage] * width, x)
        slopes.append(derivative(time, x, len(state) > 1 and weighs))
    parts = enumerate(state)
    return tuple(
        _moved(part, [slope[i] for slope in slopes], tableau.weights, width) for i, part in parts
    ), slopes


def _moved(
    start: Tensor, slopes: Sequence[Tensor | None], weights: Sequence[float], width: float
) -> Tensor:
    """Return start + width * sum_i weights_i slopes_i."""
    for slope, weight in zip(slopes, weights, strict=True):
        if weight != 0:
            assert slope is not None
            start = torch.add(start, slope, alpha=weight * width)
    return start


@torch.no_grad()
def _error(
    before: State,
    after: State,
    slopes: Sequence[Slope],
    width: float,
    tableau: Tableau,
    tolerance: Tolerance,
) -> float:
    """Return the error of a step as a share of the tolerance: the largest of the state's parts."""
    shares = []
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        error = _moved(torch.zeros_like(old), [s[i] for s in slopes], tableau.error, width)
        shares.append(_size(error, torch.maximum(old.abs(), new.abs()), tolerance))
    return float(torch.stack(shares).amax())


def _size(x: Tensor, scale: Tensor, tolerance: Tolerance) -> Tensor:
    """Return the root mean square () of x, in units of the tolerance at `scale`."""
    return (x / (tolerance.atol + tolerance.rtol * scale.abs())).square().mean().sqrt()


def _change(error: float, order: int) -> float:
    """Return the factor from one step's width to the next one's."""
    if not math.isfinite(error):
        return SLOWEST
    fastest = FASTEST if error <= 1 else 1.0
    return min(fastest, max(SLOWEST, SAFETY * max(error, 1e-10) ** (-1 / order)))


def _time(t: float, like: Tensor) -> Tensor:
    return torch.full((), t, dtype=like.dtype, device=like.device)
