"""The published recipe for PointFlow's likelihood, as a plain baseline of the same networks.

Hutchinson's estimate by `autograd.grad(create_graph=True)`, the context carried along as a third
ODE state and multiplied again at every evaluation, the log-density integrated in sampling too, and
torchdiffeq's adjoint at equal tolerances. Source: Yang et al. 2019 and their published code's ways.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchdiffeq import odeint_adjoint

from pointgen.flows.base import Chain, Transform
from pointgen.flows.continuous import CNF
from pointgen.models.pointflow import PointFlow
from pointgen.networks.concatsquash import ConcatSquashField

__all__ = ["as_published"]


class Augmented(nn.Module):
    """The derivative of (points, log-density, context) in the paper's time."""

    def __init__(self, field: ConcatSquashField) -> None:
        super().__init__()
        self.field = field
        self.probe: Tensor | None = None

    def forward(self, t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the derivatives of all three."""
        x, _, context = state
        with torch.enable_grad():
            x.requires_grad_(True)
            condition = torch.cat([t.expand(*context.shape[:-1], 1), context], dim=-1)
            v = x
            for layer, last in self._layers():
                v = layer.linear(v) * layer.gate(condition).sigmoid() + layer.shift(condition)
                v = v if last else v.tanh()
            if self.probe is None:  # one for a whole solve
                self.probe = torch.randn_like(x)
            (product,) = torch.autograd.grad(v, x, self.probe, create_graph=True)
        return v, -(product * self.probe).sum(-1), torch.zeros_like(context)

    def _layers(self) -> list[tuple[nn.Module, bool]]:
        layers = list(self.field.layers)
        return [(layer, layer is layers[-1]) for layer in layers]


class PublishedCNF(Transform):
    """The flow of a CNF, solved as published."""

    def __init__(self, cnf: CNF) -> None:
        super().__init__()
        assert isinstance(cnf.field, ConcatSquashField)
        self.derivative = Augmented(cnf.field)
        self.solver = cnf.solver

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Carry data to noise."""
        z, change = self._solve(x, context, reverse=False)
        return z, -change

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Carry noise to data, and the log-density along, which nobody asked for."""
        return self._solve(z, context, reverse=True)[0]

    def _solve(self, x: Tensor, context: Tensor | None, *, reverse: bool) -> tuple[Tensor, Tensor]:
        context = x.new_zeros(*x.shape[:-1], 0) if context is None else context
        self.derivative.probe = None
        end = self.derivative.field.sqrt_end_time.square()
        times = torch.stack([torch.zeros_like(end), end])
        path = odeint_adjoint(
            self.derivative, (x, x.new_zeros(x.shape[:-1]), context),
            times.flip(0) if reverse else times,
            rtol=self.solver.rtol, atol=self.solver.atol, method="dopri5",
        )  # fmt: skip
        return path[0][-1], path[1][-1]


def as_published(model: PointFlow) -> PointFlow:
    """Let a model's CNFs be solved as published."""
    for flow in (model.points, model.prior):
        if flow is not None:
            assert isinstance(flow.transform, Chain)
            parts = flow.transform.transforms
            for place, part in enumerate(parts):
                if isinstance(part, CNF):
                    parts[place] = PublishedCNF(part)
    return model
