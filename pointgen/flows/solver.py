"""How an ODE is integrated and differentiated, as one frozen value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, model_validator
from torch import Tensor
from torchdiffeq import odeint_adjoint

from pointgen.flows.runge_kutta import (
    MAX_STEPS,
    TABLEAUS,
    Derivative,
    SolveError,
    State,
    Tolerance,
    integrate,
)

__all__ = ["SolveError", "Solver"]

FIXED_STEP = {"euler": "euler", "midpoint": "midpoint", "heun": "heun2", "rk4": "rk4"}
# What the graph of one solve may take before the adjoint takes over. Fixed numbers, not what is
# free at the time: a resumed training must decide as the uninterrupted one did.
CPU_GRAPH = 4 * 2**30
CUDA_SHARE = 3  # of a card's memory: the graphs of both levels, and a third for all else
FEW = 20  # evaluations of an easy solve by dopri5, to foresee what a graph will take


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
    gradient: Literal["auto", "steps", "adjoint"] = "auto"
    """steps: backpropagate through the steps, which is faster and exact, but remembers them all;
    adjoint: solve the adjoint ODE, in constant memory; auto: through the steps while that takes
    less than a third of a CUDA device's memory, or 4 GiB on a CPU."""

    @model_validator(mode="after")
    def _steps_belong_to_fixed_step_methods(self) -> Solver:
        if (self.steps is not None) != (self.method in FIXED_STEP):
            wanted = "steps" if self.method in FIXED_STEP else "rtol and atol, not steps"
            raise ValueError(f"method {self.method!r} takes {wanted}")
        return self

    @torch.compiler.disable  # forward tangents and a solver's own control flow do not trace
    def solve(
        self,
        derivative: Derivative,
        state: State,
        span: tuple[float, float],
        parameters: tuple[Tensor, ...],
    ) -> State:
        """Integrate a state, and the rate along it, over a span of t.

        Autocast is off inside: half precision would make the error control ask for ever more
        steps, and the adjoint's backward solve, which autocast does not reach, would solve
        another ODE.

        Args:
            derivative: gives velocity and rate; see `runge_kutta`.
            state: (x,), or (x, integral of the rate); the error control covers both.
            span: start and end in [0, 1].
            parameters: all that the derivative depends on beside t and x, and that gradients must
                reach. None of them may be computed from another one.

        Raises:
            SolveError: The step size underflowed, or, where gradients are wanted or the method
                chooses its steps, the state became non-finite.
        """
        wants_grad = torch.is_grad_enabled() and any(
            tensor.requires_grad for tensor in (*state, *parameters)
        )
        with torch.autocast(state[0].device.type, enabled=False):
            if not wants_grad or self.gradient == "steps":
                result = self._through_steps(derivative, state, span)
            elif self.gradient == "adjoint":
                result = self._by_adjoint(derivative, state, span, parameters)
            else:
                found = self._within_budget(derivative, state, span)
                result = found or self._by_adjoint(derivative, state, span, parameters)
        if wants_grad and not torch.stack([x.isfinite().all() for x in result]).all():
            raise SolveError(f"{self.method}: the state became non-finite")
        return result

    def _within_budget(
        self, derivative: Derivative, state: State, span: tuple[float, float]
    ) -> State | None:
        """Integrate through the steps; None if their graph grows too large."""
        expected = FEW if self.steps is None else self.steps * len(TABLEAUS[self.method].nodes)
        try:
            with _graph_within(_graph_budget(state[0].device), expected) as watched:
                return self._through_steps(watched(derivative), state, span)
        except GraphTooLarge:  # whose traceback holds that graph, and must be gone before another
            return None

    def _through_steps(
        self, derivative: Derivative, state: State, span: tuple[float, float]
    ) -> State:
        steps = self.steps or Tolerance(self.rtol, self.atol)
        try:
            return integrate(derivative, state, span, TABLEAUS[self.method], steps)
        except SolveError as error:
            raise SolveError(f"{self.method}: {error}") from error

    def _by_adjoint(
        self,
        derivative: Derivative,
        state: State,
        span: tuple[float, float],
        parameters: tuple[Tensor, ...],
    ) -> State:
        """Integrate by torchdiffeq, whose backward pass solves the adjoint ODE.

        The backward solve's error control leaves out the parameters' gradients: they are plain
        integrals, which need no finer steps than the states that they integrate. Source: Kidger et
        al. 2021 ("Hey, that's not an ODE").
        """

        def whole(t: Tensor, parts: State) -> tuple[Tensor | None, ...]:
            return derivative(t, parts[0], len(state) > 1)[: len(state)]

        times = torch.tensor(span, dtype=state[0].dtype, device=state[0].device)
        options: dict[str, object] = {"max_num_steps": MAX_STEPS}
        if self.steps is not None:
            options = {"grid_constructor": _equal_steps(self.steps)}
        try:
            path = odeint_adjoint(
                whole, state, times,
                rtol=self.rtol, atol=self.atol,
                method=FIXED_STEP.get(self.method, self.method), options=options,
                adjoint_params=tuple(p for p in parameters if p.requires_grad),
                adjoint_options=options | ({} if self.steps else {"norm": "seminorm"}),
            )  # fmt: skip
        except AssertionError as error:  # how torchdiffeq says that a step failed
            raise SolveError(f"{self.method}: {error}") from error
        return tuple(values[-1] for values in path)


def _equal_steps(steps: int) -> Callable[[object, object, Tensor], Tensor]:
    # torchdiffeq's own step_size adds a tiny last step where 1 / steps is not exact.
    return lambda function, state, times: torch.linspace(
        times[0].item(), times[-1].item(), steps + 1, dtype=times.dtype, device=times.device
    )


class GraphTooLarge(Exception):
    """Backpropagation through the steps would take more memory than it may."""


def _graph_budget(device: torch.device) -> int:
    if device.type != "cuda":
        return CPU_GRAPH
    return torch.cuda.get_device_properties(device).total_memory // CUDA_SHARE


@contextmanager
def _graph_within(budget: int, expected: int) -> Iterator[Callable[[Derivative], Derivative]]:
    """Give what watches a derivative, and raise `GraphTooLarge` if the graph outgrows the budget.

    What a graph takes are the tensors that it saves for the backward pass, each storage once. It
    is foreseen from the first evaluations, of so many expected.
    """
    storages: set[int] = set()
    taken, calls = 0, 0

    def saved(tensor: Tensor) -> Tensor:
        nonlocal taken
        try:
            place = tensor.untyped_storage().data_ptr()
            if place not in storages:
                storages.add(place)
                taken += tensor.untyped_storage().nbytes()
        except RuntimeError:  # a tensor inside torch.func has none: count it each time
            taken += tensor.nbytes
        # A node that kept its own output as it is would be part of a cycle through C++, which no
        # garbage collector sees: a graph without a backward pass would stay for ever.
        return tensor.detach()

    def watched(derivative: Derivative) -> Derivative:
        def call(t: Tensor, x: Tensor, rate: bool) -> tuple[Tensor | None, ...]:
            nonlocal calls
            slope, calls = derivative(t, x, rate), calls + 1
            if taken * max(1, expected // calls) > budget:
                raise GraphTooLarge
            return slope

        return call

    with torch.autograd.graph.saved_tensors_hooks(saved, lambda tensor: tensor):
        yield watched
