import pytest
import torch

from pointgen.networks.gated_tanh import gated_tanh


def naive(x, dx, weight, gate, offset):
    """The same by general forward differentiation."""
    return torch.func.vmap(
        lambda d: torch.func.jvp(
            lambda y: torch.tanh(gate * (y @ weight.T) + offset), (x,), (d.expand_as(x),)
        )
    )(dx)


@pytest.mark.parametrize("directions", [(1, 2, 5, 3), (3, 1, 1, 3)])
def test_it_is_its_naive_twin_with_gradients_to_everything(directions):
    inputs = [
        torch.randn(shape, requires_grad=True)
        for shape in [(2, 5, 3), directions, (4, 3), (2, 1, 4), (2, 1, 4)]
    ]
    y, dy = gated_tanh(*inputs)
    twin_y, twin_dy = naive(*inputs)
    torch.testing.assert_close(y, twin_y[0])
    torch.testing.assert_close(dy, twin_dy)
    grad_y, grad_dy = torch.randn_like(y), torch.randn_like(dy)
    found = torch.autograd.grad((y, dy), inputs, (grad_y, grad_dy))
    expected = torch.autograd.grad((twin_y[0], twin_dy), inputs, (grad_y, grad_dy))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_without_tangents_it_is_the_layer():
    x, weight, gate, offset = (torch.randn(s) for s in [(5, 3), (4, 3), (4,), (4,)])
    y, tangents = gated_tanh(x, None, weight, gate, offset)
    assert tangents is None
    torch.testing.assert_close(y, torch.tanh(gate * (x @ weight.T) + offset))
