import copy
import math

import pytest
import torch
from torch import nn

from pointgen.flows.affine import Standardize
from pointgen.flows.base import Chain
from pointgen.flows.continuous import (
    CNF,
    compile_fields,
    inverse_each,
    solving_with,
    with_divergence,
)
from pointgen.flows.solver import SolveError, Solver
from pointgen.networks import ConcatSquashConfig

PRECISE = Solver(rtol=1e-10, atol=1e-10)


class Linear(nn.Module):
    """dx/dt = A x, whose flow is a matrix exponential."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, t, x, context):
        return x @ self.matrix.T


class Explosive(nn.Module):
    """dx/dt = x^3: leaves every bound before t = 1 where |x| > 1 / sqrt(2)."""

    def forward(self, t, x, context):
        return x**3


def field(context_dim=3):
    return ConcatSquashConfig(dims=(16, 16)).build(3, context_dim)


def unit_vectors(x):
    return torch.eye(x.shape[-1]).unsqueeze(1)


def test_linear_field_has_the_known_solution_and_density():
    matrix = torch.randn(3, 3)
    cnf = CNF(Linear(matrix), PRECISE).eval()
    z = torch.randn(7, 3)
    x, ladj = cnf.inverse_and_ladj(z)
    torch.testing.assert_close(x, z @ torch.matrix_exp(matrix).T, atol=1e-7, rtol=0)
    torch.testing.assert_close(ladj, matrix.trace().expand(7), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("method", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)]
)
def test_fixed_step_methods_take_the_steps_asked_for_at_their_order(method, order):
    matrix, z = torch.randn(3, 3) / 2, torch.randn(5, 3)
    truth = z @ torch.matrix_exp(matrix).T

    def error(steps):
        return (CNF(Linear(matrix), Solver(method=method, steps=steps)).inverse(z) - truth).norm()

    measured = math.log2(error(8).item() / error(16).item())
    assert abs(measured - order) < 0.35


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_number_of_steps_is_that_number(dtype):
    for steps in range(1, 70):
        cnf = CNF(Linear(torch.zeros(1, 1, dtype=dtype)), Solver(method="heun", steps=steps))
        with torch.no_grad():
            cnf.inverse(torch.ones(1, 1, dtype=dtype))
            assert cnf.evaluations == 2 * steps
            cnf(torch.ones(1, 1, dtype=dtype))
            assert cnf.evaluations == 4 * steps


@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_adjoint_gradients_are_those_of_the_steps_for_points_parameters_and_context(way):
    gradients = []
    for adjoint in (True, False):
        torch.manual_seed(0)
        solver = Solver(rtol=1e-9, atol=1e-9, gradient="adjoint" if adjoint else "steps")
        cnf = CNF(field(), solver, divergence="exact")
        x = torch.randn(2, 4, 3, requires_grad=True)
        context = torch.randn(2, 1, 3, requires_grad=True)
        given = 2 * context  # not a leaf, as the code of an encoder is not
        if way == "forward":
            z, ladj = cnf(x, given)
            (z.square().sum() + ladj.sum()).backward()
        else:
            cnf.inverse(x, given).square().sum().backward()
        gradients.append([x.grad, context.grad, *(p.grad for p in cnf.parameters())])
    for by_adjoint, by_steps in zip(*gradients, strict=True):
        torch.testing.assert_close(by_adjoint, by_steps, atol=1e-6, rtol=1e-5)


def test_exact_divergence_is_the_trace_of_the_jacobian():
    network, x, context = field(), torch.randn(4, 3), torch.randn(4, 3)
    t = torch.tensor(0.3)
    v, divergence = with_divergence(lambda y: network(t, y, context), x, unit_vectors(x))
    torch.testing.assert_close(v, network(t, x, context))
    for i in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(
            lambda y, i=i: network(t, y, context[i]), x[i]
        )
        torch.testing.assert_close(divergence[i], jacobian.trace())


def test_hutchinson_is_unbiased():
    network, x = field(0), torch.randn(1, 3).repeat(20_000, 1)

    def velocity(y):
        return network(torch.tensor(0.3), y, None)

    with torch.no_grad():
        _, exact = with_divergence(velocity, x[:1], unit_vectors(x))
        _, estimates = with_divergence(velocity, x, torch.randn_like(x)[None])
    error = (estimates.mean() - exact[0]).abs()
    assert estimates.std() > 0
    assert error < 4 * estimates.std() / math.sqrt(len(x))


def test_a_likelihood_is_exact_in_eval_mode_and_estimated_in_training():
    cnf = CNF(field(0), PRECISE, divergence="hutchinson")
    x = torch.randn(5, 3)
    first, second = cnf(x)[1], cnf(x)[1]
    assert not torch.allclose(first, second)
    cnf.eval()
    assert torch.equal(cnf(x)[1], cnf(x)[1])


def test_a_field_that_blows_up_is_an_error():
    cnf = CNF(Explosive(), Solver())
    with pytest.raises(SolveError, match="dopri5"):
        cnf.inverse(torch.full((1, 3), 10.0))
    with pytest.raises(SolveError):
        cnf.inverse(torch.full((1, 3), math.nan))


@pytest.mark.parametrize("method", ["euler", "dopri5"])
def test_training_does_not_go_on_from_a_state_that_is_not_finite(method):
    steps = {"steps": 4} if method == "euler" else {}
    cnf = CNF(Linear(torch.full((1, 1), 1e308)), Solver(method=method, **steps))
    with pytest.raises(SolveError):
        cnf.inverse(torch.ones(1, 1))


def test_autocast_leaves_a_solve_alone():
    torch.set_default_dtype(torch.float32)
    cnf = CNF(field(), Solver()).eval()
    x, context = torch.randn(5, 3), torch.randn(5, 3)
    expected = cnf(x, context)
    with torch.autocast("cpu", torch.bfloat16):
        z, ladj = cnf(x, context)
    assert torch.equal(z, expected[0]) and torch.equal(ladj, expected[1])


def test_a_solver_takes_steps_or_tolerances():
    with pytest.raises(ValueError, match="takes steps"):
        Solver(method="euler")
    with pytest.raises(ValueError, match="not steps"):
        Solver(method="dopri5", steps=3)


def test_another_solver_is_only_lent():
    cnf = CNF(field(0), Solver())
    with solving_with(cnf, samples=Solver(method="euler", steps=1)):
        cnf.inverse(torch.randn(2, 3))
        assert cnf.evaluations == 1
    assert cnf.sampler == Solver()


def test_noise_without_its_density_is_the_same():
    cnf = CNF(field(), PRECISE).eval()
    x, context = torch.randn(2, 4, 3), torch.randn(2, 1, 3)
    chain = Chain([Standardize(3), cnf])
    torch.testing.assert_close(chain.to_noise(x, context), chain(x, context)[0], atol=1e-8, rtol=0)
    with torch.no_grad():
        before = cnf.evaluations
        cnf.to_noise(x, context)
    assert cnf.evaluations > before


def test_nothing_is_decoded_to_nothing():
    cnf = CNF(field(), Solver(rtol=1e-3, atol=1e-3))
    assert inverse_each(cnf, torch.zeros(0, 4, 3), torch.zeros(0, 1, 3)).shape == (0, 4, 3)


def test_compiled_fields_are_the_same_functions():
    plain = CNF(field(), Solver(rtol=1e-6, atol=1e-6), divergence="exact")
    compiled = copy.deepcopy(plain)
    compile_fields(nn.Sequential(compiled), backend="eager")
    assert list(compiled.state_dict()) == list(plain.state_dict())
    x, context = torch.randn(2, 4, 3), torch.randn(2, 1, 3)
    for cnf in (plain, compiled):
        matching = cnf.field(torch.tensor(0.3), x, context).square().sum()
        (matching + cnf(x, context)[1].sum()).backward()
    for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
