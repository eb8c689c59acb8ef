"""Continuous normalizing flows: a velocity field, a solver, and the divergence along the way.

A velocity field is any module v = field(t, x, context): t in [0, 1] broadcasts against x[..., :1],
noise is at t = 0 and data at t = 1. Source: Chen et al. 2018; Grathwohl et al. 2019 (FFJORD).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torchdiffeq import odeint, odeint_adjoint

from pointgen.flows.base import Transform

__all__ = [
    "CNF",
    "Divergence",
    "SolveError",
    "Solver",
    "exact_divergence",
    "hutchinson_divergence",
    "sampling_with",
]

Divergence = Literal["exact", "hutchinson"]
Velocity = Callable[[Tensor], Tensor]

FIXED_STEP = {"euler": "euler", "midpoint": "midpoint", "heun": "heun2", "rk4": "rk4"}
# A solve of a trained field takes 3 to 50 steps. A thousand times that is a field that blows up,
# and stopping there turns an endless solve into an error.
MAX_STEPS = 20_000


class SolveError(ArithmeticError):
    """An ODE could not be solved: the step underflowed, or the state is not finite."""


class Solver(BaseModel):
    """How an ODE is integrated over t in [0, 1] and differentiated: one frozen value."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    method: Literal["dopri5", "bosh3", "euler", "midpoint", "heun", "rk4"] = "dopri5"
    """dopri5 and bosh3 choose their steps by the tolerances; the others take `steps` equal ones."""
    steps: PositiveInt | None = None
    """Number of equal steps, for euler, midpoint, heun and rk4 only."""
    rtol: PositiveFloat = 1e-5
    """Relative tolerance, for dopri5 and bosh3 only."""
    atol: PositiveFloat = 1e-5
    """Absolute tolerance, in standardised units, for dopri5 and bosh3 only."""
    adjoint: bool = True
    """Gradients by the adjoint ODE (constant memory); false: backpropagate through the steps."""

    @model_validator(mode="after")
    def _steps_belong_to_fixed_step_methods(self) -> Solver:
        if (self.steps is not None) != (self.method in FIXED_STEP):
            wanted = "steps" if self.method in FIXED_STEP else "rtol and atol, not steps"
            raise ValueError(f"method {self.method!r} takes {wanted}")
        return self

    @torch.compiler.disable  # forward tangents and a solver's own control flow do not trace
    def solve(
        self,
        function: Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]],
        state: tuple[Tensor, ...],
        start: float,
        end: float,
        parameters: tuple[Tensor, ...],
    ) -> tuple[Tensor, ...]:
        """Integrate d state / dt = function(t, state) from `start` to `end`.

        Args:
            function: the derivative, given t () and the state.
            state: initial values; the solver's error control covers all of them.
            start: time of the initial values, in [0, 1].
            end: time of the result, in [0, 1].
            parameters: everything outside the state that gradients must reach.

        The backward solve's error control leaves out the parameters' gradients: they are plain
        integrals, which need no finer steps than the states that they integrate. Source: Kidger et
        al. 2021 ("Hey, that's not an ODE").

        Autocast is off inside: half precision would make the error control ask for ever more
        steps, and the adjoint's backward solve, which autocast does not reach, would solve
        another ODE.

        Raises:
            SolveError: The step size underflowed, or, where gradients are wanted or the method
                chooses its steps, the state became non-finite.
        """
        times = torch.tensor([start, end], dtype=state[0].dtype, device=state[0].device)
        wants_grad = torch.is_grad_enabled() and any(
            tensor.requires_grad for tensor in (*state, *parameters)
        )
        options: dict[str, object] = {"max_num_steps": MAX_STEPS}
        if self.steps is not None:
            options = {"grid_constructor": _equal_steps(self.steps)}
        method = FIXED_STEP.get(self.method, self.method)
        try:
            with torch.autocast(state[0].device.type, enabled=False):
                if wants_grad and self.adjoint:
                    path = odeint_adjoint(
                        function, state, times,
                        rtol=self.rtol, atol=self.atol, method=method, options=options,
                        adjoint_params=tuple(p for p in parameters if p.requires_grad),
                        adjoint_options=options | ({} if self.steps else {"norm": "seminorm"}),
                    )  # fmt: skip
                else:
                    path = odeint(
                        function, state, times,
                        rtol=self.rtol, atol=self.atol, method=method, options=options,
                    )  # fmt: skip
        except AssertionError as error:  # how torchdiffeq says that a step failed
            raise SolveError(f"{self.method}: {error}") from error
        result = tuple(values[-1] for values in path)
        if wants_grad and not all(bool(values.isfinite().all()) for values in result):
            raise SolveError(f"{self.method}: the state became non-finite")
        return result


def _equal_steps(steps: int) -> Callable[[object, object, Tensor], Tensor]:
    # torchdiffeq's own step_size adds a tiny last step where 1 / steps is not exact.
    return lambda function, state, times: torch.linspace(
        times[0].item(), times[-1].item(), steps + 1, dtype=times.dtype, device=times.device
    )


def exact_divergence(velocity: Velocity, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return v = velocity(x) (..., D) and its divergence (...,), by D forward tangents.

    Each vector of x must depend on itself alone, as the points of a cloud do given its code.
    """
    basis = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        v, dv = _tangent(velocity, x, direction.expand_as(x))
        return v, (dv * direction).sum(-1)

    v, diagonal = torch.func.vmap(along)(basis)  # (D, ..., D), (D, ...)
    return v[0], diagonal.sum(0)


def hutchinson_divergence(velocity: Velocity, x: Tensor, probe: Tensor) -> tuple[Tensor, Tensor]:
    """Return v = velocity(x) and the estimate e' (dv/dx) e (...,) of its divergence.

    Source: Grathwohl et al. 2019, eq. 7. The estimate is unbiased for a probe e (of the shape
    of x) of zero mean and unit covariance; a forward tangent costs less than a second backward.
    """
    v, dv = _tangent(velocity, x, probe)
    return v, (dv * probe).sum(-1)


def _tangent(velocity: Velocity, x: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    v, dv = torch.func.jvp(velocity, (x,), (direction,))  # type: ignore[misc]
    return v, dv


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
        return self._with_ladj(x, context, start=1.0, end=0.0)

    def inverse_and_ladj(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Carry noise (t = 0) to data (t = 1), with log|det dx/dz|."""
        return self._with_ladj(z, context, start=0.0, end=1.0)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Carry noise (t = 0) to data (t = 1)."""

        def derivative(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (self._velocity(t, state[0], context),)

        (x,) = self.sampler.solve(derivative, (z,), 0.0, 1.0, self._dependencies(context))
        return x

    def _with_ladj(
        self, x: Tensor, context: Tensor | None, *, start: float, end: float
    ) -> tuple[Tensor, Tensor]:
        exact = self.divergence == "exact" or not self.training
        # One probe for a whole solve and its backward solve: the integrand must be a function.
        probe = None if exact else torch.randn_like(x)

        def derivative(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            def velocity(y: Tensor) -> Tensor:
                return self._velocity(t, y, context)

            if probe is None:
                return exact_divergence(velocity, state[0])
            return hutchinson_divergence(velocity, state[0], probe)

        state = (x, x.new_zeros(x.shape[:-1]))
        y, ladj = self.solver.solve(derivative, state, start, end, self._dependencies(context))
        return y, ladj

    def _velocity(self, t: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        self.evaluations += 1
        return self.field(t, x, context)

    def _dependencies(self, context: Tensor | None) -> tuple[Tensor, ...]:
        parameters = tuple(self.field.parameters())
        return parameters if context is None else (*parameters, context)


@contextmanager
def sampling_with(solver: Solver | None, module: nn.Module) -> Iterator[None]:
    """Let every CNF inside `module` sample by `solver` for a while; None changes nothing."""
    flows = [part for part in module.modules() if isinstance(part, CNF)]
    before = [flow.sampler for flow in flows]
    for flow in flows:
        flow.sampler = solver or flow.sampler
    try:
        yield
    finally:
        for flow, sampler in zip(flows, before, strict=True):
            flow.sampler = sampler
