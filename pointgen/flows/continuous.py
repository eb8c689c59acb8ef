"""Continuous normalizing flows: a velocity field, a solver, and the divergence along the way.

A velocity field is any module v = field(t, x, context): t in [0, 1] broadcasts against x[..., :1],
noise is at t = 0 and data at t = 1. Source: Chen et al. 2018; Grathwohl et al. 2019 (FFJORD).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pointgen.flows.base import Transform
from pointgen.flows.runge_kutta import Derivative
from pointgen.flows.solver import SolveError, Solver

__all__ = [
    "CNF",
    "Divergence",
    "TangentField",
    "cnfs",
    "compile_fields",
    "inverse_each",
    "inverse_points",
    "refuse_solver",
    "solve_each",
    "solving_with",
    "with_divergence",
]

Divergence = Literal["exact", "hutchinson"]

POINTS_AT_ONCE = 2**18  # of clouds: about 1 GiB for a field of width 512


@runtime_checkable
class TangentField(Protocol):
    """A velocity field that knows its own derivatives, and what of it needs doing once a solve.

    Any module is a field; one that has these methods is several times faster to train by
    likelihood than by general forward differentiation.
    """

    def project(self, context: Tensor | None) -> tuple[Tensor, ...]:
        """Return all that depends on the context, but neither on t nor on x."""
        ...

    def direct_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that `push` uses beside the projection."""
        ...

    def push(
        self, t: Tensor, x: Tensor, directions: Tensor | None, projection: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor | None]:
        """Return v (..., D) at x (..., D), and its derivative along directions.

        Directions (K, ..., D), and the derivatives, have one axis more than x, in front; its other
        axes may be 1 where directions are shared.
        """
        ...


def with_divergence(
    velocity: Callable[[Tensor], Tensor], x: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    """Return v = velocity(x) (..., D) and sum_k d_k' (dv/dx) d_k (...,) over directions d.

    The directions (K, ..., D) decide what the sum is: the exact divergence if they are the D unit
    vectors, and an unbiased estimate of it if they are one random probe of zero mean and unit
    covariance (Grathwohl et al. 2019, eq. 7). Each vector of x must depend on itself alone, as the
    points of a cloud do given its code. A forward tangent costs less than a second backward.
    """

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        v, dv = torch.func.jvp(velocity, (x,), (direction.expand_as(x),))  # type: ignore[misc]
        return v, dv

    if len(directions) == 1:
        v, dv = along(directions[0])
        return v, (dv * directions[0]).sum(-1)
    v, dv = torch.func.vmap(along)(directions)
    return v[0], (dv * directions).sum((0, -1))


class CNF(Transform):
    """The flow of a velocity field over t in [0, 1].

    Attributes:
        solver: integrates densities.
        sampler: integrates samples, where no density is asked for.
        evaluations: how often solvers have evaluated the field so far.
        divergence: estimator used in training; in eval mode a likelihood is always exact.
    """

    def __init__(
        self,
        field: nn.Module,
        solver: Solver,
        *,
        sampler: Solver | None = None,
        divergence: Divergence = "hutchinson",
    ) -> None:
        super().__init__()
        self.field = field
        self.solver = solver
        self.sampler = sampler or solver
        self.divergence = divergence
        self.evaluations = 0

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Carry data (t = 1) to noise (t = 0), with log|det dz/dx|."""
        return self._with_ladj(x, context, (1.0, 0.0))

    def to_noise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Carry data (t = 1) to noise (t = 0)."""
        derivative, parameters = self._derivative(x.device.type, context, None)
        (z,) = self.solver.solve(derivative, (x,), (1.0, 0.0), parameters)
        return z

    def inverse_and_ladj(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Carry noise (t = 0) to data (t = 1), with log|det dx/dz|."""
        return self._with_ladj(z, context, (0.0, 1.0))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Carry noise (t = 0) to data (t = 1)."""
        derivative, parameters = self._derivative(z.device.type, context, None)
        (x,) = self.sampler.solve(derivative, (z,), (0.0, 1.0), parameters)
        return x

    def way(self, z: Tensor, context: Tensor | None, pieces: int) -> list[Tensor]:
        """Carry noise to data and return where it is after each of so many equal pieces of t.

        A sampler of fewer steps than pieces takes one for each, so its last state may be a little
        nearer to the truth than that of `inverse`.
        """
        derivative, parameters = self._derivative(z.device.type, context, None)
        solver, states = self.sampler, []
        if solver.steps is not None:
            solver = solver.model_copy(update={"steps": -(-solver.steps // pieces)})
        for piece in range(pieces):
            span = (piece / pieces, (piece + 1) / pieces)
            (z,) = solver.solve(derivative, (z,), span, parameters)
            states.append(z)
        return states

    def _with_ladj(
        self, x: Tensor, context: Tensor | None, span: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        derivative, parameters = self._derivative(x.device.type, context, self._directions(x))
        state = (x, x.new_zeros(x.shape[:-1]))
        y, ladj = self.solver.solve(derivative, state, span, parameters)
        return y, ladj

    def _directions(self, x: Tensor) -> Tensor:
        """Return what the divergence is taken along: all unit vectors, or one random probe.

        One probe for a whole solve and its backward solve: the integrand must be a function.
        """
        if self.training and self.divergence == "hutchinson":
            return torch.randn_like(x).unsqueeze(0)
        dim = x.shape[-1]
        basis = torch.eye(dim, dtype=x.dtype, device=x.device)
        return basis.view(dim, *[1] * (x.ndim - 1), dim)

    def _derivative(
        self, device: str, context: Tensor | None, directions: Tensor | None
    ) -> tuple[Derivative, tuple[Tensor, ...]]:
        """Return what a solver integrates, and the tensors that its gradients go to."""
        field = self.field
        if isinstance(field, TangentField):
            with torch.autocast(device, enabled=False):  # as in the solve
                projection = field.project(context)

            def evaluate(
                t: Tensor, x: Tensor, along: Tensor | None
            ) -> tuple[Tensor, Tensor | None]:
                v, dv = field.push(t, x, along, projection)
                return v, None if along is None or dv is None else (dv * along).sum((0, -1))

            parameters = (*field.direct_parameters(), *projection)
        else:

            def evaluate(
                t: Tensor, x: Tensor, along: Tensor | None
            ) -> tuple[Tensor, Tensor | None]:
                if along is None:
                    return field(t, x, context), None
                return with_divergence(lambda y: field(t, y, context), x, along)

            given = () if context is None else (context,)
            parameters = (*field.parameters(), *given)

        def derivative(t: Tensor, x: Tensor, rate: bool) -> tuple[Tensor, Tensor | None]:
            self.evaluations += 1
            return evaluate(t, x, directions if rate else None)

        return derivative, parameters


def cnfs(module: nn.Module) -> list[CNF]:
    """Return every CNF inside a module, itself included."""
    return [part for part in module.modules() if isinstance(part, CNF)]


def compile_fields(module: nn.Module, *, backend: str = "inductor") -> None:
    """Have every CNF's velocity field inside `module` compiled at its first call.

    What is around a field decides from numbers, or is another compiler's work, and would be
    compiled again and again. Parameters keep their names, and copies of the module are as before.
    """
    for cnf in cnfs(module):
        cnf.field.compile(backend=backend)


def refuse_solver(solver: Solver | None) -> None:
    """Raise a ValueError if a solver is given, of a model that solves no ODE."""
    if solver is not None:
        raise ValueError("steps: this model solves no ODE, so it has none")


@contextmanager
def solving_with(
    module: nn.Module, *, samples: Solver | None = None, densities: Solver | None = None
) -> Iterator[None]:
    """Let every CNF inside `module` be solved by other solvers for a while; None changes nothing.

    Raises:
        ValueError: A solver is given, and there is no CNF.
    """
    flows = cnfs(module)
    if not flows:
        refuse_solver(samples or densities)
    before = [(flow.sampler, flow.solver) for flow in flows]
    for flow in flows:
        flow.sampler, flow.solver = samples or flow.sampler, densities or flow.solver
    try:
        yield
    finally:
        for flow, (sampler, solver) in zip(flows, before, strict=True):
            flow.sampler, flow.solver = sampler, solver


def inverse_each(transform: Transform, noise: Tensor, context: Tensor | None) -> Tensor:
    """Invert the transform; where a batch cannot be solved, each entry alone, NaN if it fails.

    One step size serves a whole batch, so one bad entry would take its neighbours along.
    """
    return solve_each(transform.inverse, noise, context, noise.shape[1:])


def inverse_points(transform: Transform, noise: Tensor, context: Tensor | None) -> Tensor:
    """Invert points (B, N, D) of clouds, which are independent given the context, in pieces."""
    at_once = max(1, POINTS_AT_ONCE // max(1, len(noise)))
    pieces = [inverse_each(transform, part, context) for part in noise.split(at_once, dim=1)]
    return torch.cat(pieces, dim=1)


def solve_each(
    solve: Callable[[Tensor, Tensor | None], Tensor],
    noise: Tensor,
    context: Tensor | None,
    shape: Sequence[int],
) -> Tensor:
    """Solve a batch (B, ...) to (B, *shape); where that fails each entry alone, else NaN."""
    with suppress(SolveError):
        return solve(noise, context)
    if len(noise) <= 1:
        return noise.new_full((len(noise), *shape), math.nan)
    contexts = [None] * len(noise) if context is None else context.split(1)
    each = zip(noise.split(1), contexts, strict=True)
    return torch.cat([solve_each(solve, part, given, shape) for part, given in each])
