import pytest
import torch

from pointgen.networks import ConcatSquashConfig, PointNetConfig, ResidualConfig
from pointgen.networks.concatsquash import FUNCTIONS, GatedLinear, with_time

FIELDS = {
    "residual": ResidualConfig(width=16, depth=2, condition_width=16),
    **{
        f"{layer}": ConcatSquashConfig(dims=(16, 16), layer=layer)
        for layer in (
            "ignore", "concat", "concat_v2", "squash", "scale", "concatscale", "concatsquash",
        )
    },
    **{
        name: ConcatSquashConfig(dims=(16, 16), nonlinearity=name)
        for name in (*FUNCTIONS, "swish")
    },
}  # fmt: skip


@pytest.fixture(params=FIELDS, ids=str)
def field(request):
    field = FIELDS[request.param].build(3, 5)
    for parameter in field.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return field


def test_every_vector_is_mapped_alone(field):
    x, context = torch.randn(2, 7, 3), torch.randn(2, 1, 5)
    t = torch.rand(2, 1, 1)
    v = field(t, x, context)
    assert v.shape == x.shape
    torch.testing.assert_close(v[1, 4], field(t[1, 0], x[1, 4], context[1, 0]))


def test_a_scalar_time_is_the_same_time_for_all(field):
    x, context = torch.randn(2, 7, 3), torch.randn(2, 1, 5)
    everywhere = field(torch.full((2, 1, 1), 0.3), x, context)
    torch.testing.assert_close(field(torch.tensor(0.3), x, context), everywhere)


def test_concatsquash_is_the_formula_of_the_paper():
    layer = GatedLinear(3, 4, 6, "concatsquash")
    x, c = torch.randn(5, 3), torch.randn(5, 6)
    gate = torch.sigmoid(c @ layer.gate.weight.T + layer.gate.bias)
    expected = (x @ layer.linear.weight.T + layer.linear.bias) * gate + c @ layer.shift.weight.T
    condition = torch.cat([weight @ c[0] + bias for weight, bias in layer.conditions()])
    found, _ = layer(x[:1], None, condition, None)
    torch.testing.assert_close(found, expected[:1])


def test_time_and_length_are_those_of_the_paper():
    """v(t, x) = -T f(T (1 - t), x): the paper's field at the paper's time, turned round."""
    field = ConcatSquashConfig(dims=(), end_time=0.5).build(3, 0)  # f is one gated layer
    x, t = torch.randn(4, 3), torch.tensor(0.2)
    layer = field.layers[0]
    gate = torch.sigmoid(0.5 * 0.8 * layer.gate.weight[:, 0] + layer.gate.bias)
    f = layer.linear(x) * gate + 0.5 * 0.8 * layer.shift.weight[:, 0]
    torch.testing.assert_close(field(t, x, None), -0.5 * f)


def test_swish_slopes_are_not_shared():
    field = ConcatSquashConfig(dims=(4, 4), nonlinearity="swish").build(3, 0)
    betas = [name for name, _ in field.named_parameters() if name.endswith("beta")]
    assert len(betas) == 2


def test_context_is_not_expanded_over_the_points():
    condition = with_time(torch.tensor(0.5), torch.randn(2, 1000, 3), torch.randn(2, 1, 5))
    assert condition.shape == (2, 1, 6)


def test_a_fresh_residual_field_is_still():
    assert ResidualConfig().build(3, 0)(torch.tensor(0.5), torch.randn(4, 3), None).abs().max() == 0


def test_pointnet_takes_the_maximum_over_points():
    network = PointNetConfig(widths=(8, 16), head=(8,)).build(4, outputs=2).eval()
    points = torch.randn(3, 20, 3)
    first, second = network(points)
    assert first.shape == second.shape == (3, 4) and not torch.equal(first, second)
    more = torch.cat([points, points[:, :5]], dim=1)  # points seen already change nothing
    torch.testing.assert_close(network(more)[0], first)


def test_pointnet_leaves_the_last_layer_before_the_maximum_linear():
    network = PointNetConfig(widths=(8, 16), head=()).build(4).eval()
    assert (network.trunk(torch.randn(100, 3)) < 0).any()
