"""Our own steps against torchdiffeq's, and the choice of how to differentiate them."""

import gc
import weakref

import pytest
import torch
from torchdiffeq import odeint

from pointgen.flows import solver as solver_module
from pointgen.flows.continuous import CNF
from pointgen.flows.solver import Solver
from pointgen.networks import ConcatSquashConfig


def field():
    network = ConcatSquashConfig(dims=(16, 16), end_time=2.0).build(3, 5)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network


def gradients(cnf, x, context):
    torch.manual_seed(1)
    cnf.zero_grad()
    z, ladj = cnf(x, context)
    (z.square().sum() + ladj.sum()).backward()
    return [parameter.grad.clone() for parameter in cnf.parameters()]


@pytest.mark.parametrize("method", ["dopri5", "bosh3"])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
def test_adaptive_steps_are_as_accurate_as_those_of_torchdiffeq(method, tolerance):
    network, x, context = field(), torch.randn(2, 9, 3), torch.randn(2, 1, 5)
    with torch.no_grad():
        truth = CNF(network, Solver(rtol=1e-11, atol=1e-11)).inverse(x, context)
        cnf = CNF(network, Solver(method=method, rtol=tolerance, atol=tolerance))
        error = (cnf.inverse(x, context) - truth).square().mean().sqrt()
        theirs = odeint(
            lambda t, y: network(t, y, context), x, torch.tensor([0.0, 1.0]),
            rtol=tolerance, atol=tolerance, method=method,
        )[-1]  # fmt: skip
    assert 0 < error < max(3 * (theirs - truth).square().mean().sqrt(), 3 * tolerance)


def test_a_rate_is_asked_for_only_where_it_weighs():
    network, x = field(), torch.randn(2, 9, 3)
    asked = []
    cnf = CNF(network, Solver(gradient="steps"))
    push = network.push
    network.push = lambda t, y, directions, p: (
        asked.append(directions is not None) or push(t, y, directions, p)
    )
    cnf(x, torch.randn(2, 1, 5))
    steps = (len(asked) - 1) // 6
    assert len(asked) == 1 + 6 * steps
    assert asked.count(False) == steps  # the second stage of each step of dopri5


def test_auto_goes_through_the_steps_while_their_graph_is_small(monkeypatch):
    cnf = CNF(field(), Solver(gradient="auto"))
    x, context = torch.randn(2, 9, 3), torch.randn(2, 1, 5)

    def by(gradient):
        cnf.solver = Solver(gradient=gradient)
        return gradients(cnf, x, context)

    assert all(map(torch.equal, by("auto"), by("steps")))
    monkeypatch.setattr(solver_module, "CPU_GRAPH", 1000)
    by_auto, by_adjoint, by_steps = by("auto"), by("adjoint"), by("steps")
    assert all(map(torch.equal, by_auto, by_adjoint))
    assert not all(map(torch.equal, by_auto, by_steps))


def test_a_graph_that_outgrows_its_budget_on_the_way_gives_way_to_the_adjoint(monkeypatch):
    cnf = CNF(field(), Solver(gradient="auto", rtol=1e-9, atol=1e-9))
    x, context = torch.randn(2, 9, 3), torch.randn(2, 1, 5)
    by_steps = gradients(cnf, x, context)
    cnf.solver = Solver(gradient="adjoint", rtol=1e-9, atol=1e-9)
    by_adjoint = gradients(cnf, x, context)
    cnf.solver = Solver(gradient="auto", rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(solver_module, "FEW", 1)  # no foresight
    monkeypatch.setattr(solver_module, "CPU_GRAPH", 200_000)
    found = gradients(cnf, x, context)
    assert all(map(torch.equal, found, by_adjoint))
    for one, other in zip(by_steps, by_adjoint, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backward", [True, False])
def test_graphs_go_when_nobody_holds_them(monkeypatch, backward):
    """Those of rejected steps, of results that are dropped, and of a solve that grew too large."""
    alive = []

    class Kept(torch.autograd.Function):
        """Keeps its own output, as a tanh does."""

        @staticmethod
        def forward(ctx, x):
            y = x.tanh()
            ctx.save_for_backward(y)
            alive.append(weakref.ref(y))
            return y

        @staticmethod
        def backward(ctx, grad):
            (y,) = ctx.saved_tensors
            return grad * (1 - y * y)

    weight = torch.tensor(40.0, requires_grad=True)

    def derivative(t, x, rate):
        return Kept.apply(weight * x * torch.sin(9 * t)), None

    for budget in (2**30, 1):
        monkeypatch.setattr(solver_module, "CPU_GRAPH", budget)
        (y,) = Solver(rtol=1e-6, atol=1e-6).solve(
            derivative, (torch.ones(4),), (0.0, 1.0), (weight,)
        )
        if backward:
            y.sum().backward()
        del y
        gc.collect()
        assert len(alive) > 7 and not any(found() is not None for found in alive)


def test_what_a_graph_will_take_is_foreseen_by_the_steps_there_will_be(monkeypatch):
    taken = []

    def derivative(t, x, rate):
        taken.append(x.grad_fn is not None)
        return (weight * x).tanh(), None

    weight, x = torch.ones(1000, requires_grad=True), torch.ones(1000)
    monkeypatch.setattr(solver_module, "CPU_GRAPH", 4 * 4 * x.nbytes)
    Solver(method="euler", steps=4).solve(derivative, (x,), (0.0, 1.0), (weight,))
    assert any(taken)  # through the steps: an adjoint's forward solve keeps no graph
