"""Laws of the bijections of grids, one by one and as a flow of several scales."""

import pytest
import torch
from torch import nn

from pointgen.flows.grid import ActNorm, AffineCoupling, InvertibleConv1x1, Squeeze
from pointgen.flows.multiscale import MultiscaleFlow

SHAPE = (3, 4, 4)
SIZE = SHAPE[1:]
GIVEN = 5


def moved(module):
    """Move what starts at zero, where a law may hold by accident."""
    for parameter in module.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return module.eval()


TRANSFORMS = {
    "squeeze": Squeeze,
    "actnorm": lambda: ActNorm(3),
    "conv": lambda: InvertibleConv1x1(3),
    "coupling": lambda: AffineCoupling(3, SIZE, width=8),
    "conditional coupling": lambda: AffineCoupling(3, SIZE, width=8, context_channels=GIVEN),
}


@pytest.fixture(params=TRANSFORMS, ids=str)
def transform(request):
    return moved(TRANSFORMS[request.param]())


@pytest.fixture
def context():
    return torch.randn(2, GIVEN, 6, 3)  # of another size than the grid


def jacobian(function, x):
    """The Jacobian (D, D) of a function of one grid, flat."""
    size = x.numel()
    return torch.autograd.functional.jacobian(lambda y: function(y).flatten(), x).view(-1, size)


def test_inverse_undoes_forward(transform, context):
    x = torch.randn(2, *SHAPE)
    z, ladj = transform(x, context)
    assert ladj.shape == (2,)
    torch.testing.assert_close(transform.inverse(z, context), x)
    assert z.shape != x.shape or not torch.allclose(z, x, atol=1e-2)


def test_ladj_is_that_of_the_autograd_jacobian(transform, context):
    x = torch.randn(1, *SHAPE)
    _, ladj = transform(x, context[:1])
    expected = torch.linalg.slogdet(jacobian(lambda y: transform(y, context[:1])[0], x))[1]
    torch.testing.assert_close(ladj.squeeze(), expected)


def test_inverse_ladj_is_the_negative(transform, context):
    z, forward = transform(torch.randn(2, *SHAPE), context)
    _, ladj = transform.inverse_and_ladj(z, context)
    torch.testing.assert_close(ladj, -forward)


def test_the_first_batch_of_training_comes_out_standardised():
    norm = ActNorm(3)
    x = torch.tensor([1.0, 0.1, 20.0])[:, None, None] * torch.randn(8, *SHAPE) + 7
    norm.eval()(x)
    assert not norm.initialised
    z, _ = norm.train()(x)
    assert norm.initialised
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3))
    torch.testing.assert_close(z.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_only_the_first_batch_initialises_and_a_state_says_that_it_came():
    x = torch.randn(8, *SHAPE)
    norm = ActNorm(3)
    norm(x)
    twin = ActNorm(3)
    twin.load_state_dict(norm.state_dict())
    for each in (norm, twin):
        torch.testing.assert_close(each(5 + 2 * x)[0], norm.eval()(5 + 2 * x)[0])
        norm.train()


def test_a_constant_channel_stays_finite():
    z, ladj = ActNorm(2)(torch.ones(4, 2, 2, 2))
    assert z.isfinite().all() and ladj.isfinite().all()


def test_a_conv_starts_as_a_rotation_and_keeps_its_form():
    conv = InvertibleConv1x1(6)
    x = torch.randn(2, 6, 2, 2)
    z, ladj = conv(x)
    torch.testing.assert_close(z.norm(dim=1), x.norm(dim=1))
    torch.testing.assert_close(ladj, torch.zeros(2))
    twin = InvertibleConv1x1(6)
    twin.load_state_dict(conv.state_dict())
    torch.testing.assert_close(twin(x)[0], z)


def test_a_coupling_starts_as_the_identity_and_lets_half_pass():
    coupling = AffineCoupling(4, SIZE, width=8)
    x = torch.randn(2, 4, *SIZE)
    torch.testing.assert_close(coupling(x)[0], x)
    z, _ = moved(coupling)(x)
    assert torch.equal(z[:, :2], x[:, :2])
    assert not torch.isclose(z[:, 2:], x[:, 2:]).any()


def test_a_coupling_knows_the_whole_of_what_passes():
    coupling = moved(AffineCoupling(2, (9, 9), width=8))
    x = torch.randn(1, 2, 9, 9)
    far = x.clone()
    far[0, 0, 8, 8] += 3  # out of reach of the convolutions at the other corner
    assert coupling(far)[0][0, 1, 0, 0] != coupling(x)[0][0, 1, 0, 0]


def test_scales_of_a_coupling_are_bounded():
    coupling = AffineCoupling(2, SIZE, width=8)
    coupling.head.bias.data[:] = 1e3
    _, ladj = coupling(torch.randn(2, 2, *SIZE))
    assert (ladj <= 2 * SIZE[0] * SIZE[1]).all()


def test_transforms_stay_in_single_precision_under_autocast():
    torch.set_default_dtype(torch.float32)
    flow = moved(MultiscaleFlow(3, (8, 8), levels=2, steps=2, width=8))
    x = torch.randn(2, 3, 8, 8)
    conv = moved(InvertibleConv1x1(3))
    with torch.autocast("cpu", torch.bfloat16):
        encoded = flow(x)
        back = flow.inverse(encoded.latents)
        torch.testing.assert_close(conv.inverse(conv(x)[0]), x, atol=1e-4, rtol=0)
    assert back.dtype == encoded.log_prob.dtype == torch.float32
    assert all(z.dtype == torch.float32 for z in encoded.latents)


@pytest.fixture
def flows():
    """A flow, and one given its activations: 4 x 4 beside 4 x 8, two levels."""
    first = MultiscaleFlow(1, (4, 4), levels=2, steps=2, width=6)
    second = MultiscaleFlow(1, (4, 8), levels=2, steps=2, width=6, context_channels=6)
    return moved(first), moved(second)


def both(flows, a, b):
    first = flows[0](a)
    return first, flows[1](b, first.activations)


def flat(encoded):
    return torch.cat([z.flatten(1) for z in encoded.latents], dim=1)


def test_a_flow_is_undone(flows):
    a, b = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 8)
    first, second = both(flows, a, b)
    torch.testing.assert_close(flows[0].inverse(first.latents), a)
    torch.testing.assert_close(flows[1].inverse(second.latents, first.activations), b)


def test_latents_have_the_promised_shapes(flows):
    encoded = flows[1](torch.randn(3, 1, 4, 8), flows[0](torch.randn(3, 1, 4, 4)).activations)
    assert [tuple(z.shape[1:]) for z in encoded.latents] == flows[1].latent_shapes
    assert [z.shape for z in flows[1].draw(3)] == [z.shape for z in encoded.latents]


def test_the_jacobian_of_both_is_block_triangular_and_its_determinant_the_sum(flows):
    a, b = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 4, 8)
    joint = torch.cat([a.flatten(), b.flatten()])

    def latents(x):
        first, second = both(flows, x[:16].view_as(a), x[16:].view_as(b))
        return torch.cat([flat(first), flat(second)], dim=1).flatten()

    matrix = torch.autograd.functional.jacobian(latents, joint)
    assert torch.equal(matrix[:16, 16:], torch.zeros(16, 32))
    assert (matrix[16:, :16].abs().sum(0) > 0).all()
    first, second = both(flows, a, b)
    expected = torch.linalg.slogdet(matrix)[1]
    torch.testing.assert_close((first.ladj + second.ladj).squeeze(), expected)


def test_log_prob_is_that_of_a_normal_with_the_jacobian(flows):
    encoded = flows[0](torch.randn(2, 1, 4, 4))
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(flat(encoded)).sum(1)
    torch.testing.assert_close(encoded.log_prob, normal + encoded.ladj)


def test_an_untrained_flow_has_unit_density_along_its_rotations():
    flow = MultiscaleFlow(3, (4, 4), levels=2, steps=3, width=4)
    encoded = flow.eval()(torch.randn(2, 3, 4, 4))
    torch.testing.assert_close(encoded.ladj, torch.zeros(2))


def test_every_level_knows_its_condition(flows):
    first = flows[0](torch.randn(1, 1, 4, 4))
    b = torch.randn(1, 1, 4, 8)
    before = flat(flows[1](b, first.activations))
    for place in range(len(first.activations)):
        changed = list(first.activations)
        changed[place] = changed[place] + torch.randn_like(changed[place])
        assert not torch.allclose(flat(flows[1](b, changed)), before)


def test_a_grid_that_cannot_be_halved_so_often_is_refused():
    with pytest.raises(ValueError, match="cannot be halved 3x"):
        MultiscaleFlow(3, (8, 12), levels=3, steps=1, width=4)


def test_all_processes_would_start_from_the_same_statistics(monkeypatch):
    """With several processes the moments are those of all of them, not of the own batch."""
    from pointgen.flows import glow

    everywhere = torch.tensor([3.0, -1.0]), torch.tensor([4.0, 0.25]), torch.tensor(99.0)
    monkeypatch.setattr(glow, "several", lambda: True)
    monkeypatch.setattr(glow, "moments", lambda flat: everywhere)
    norm = ActNorm(2)
    norm(torch.randn(4, 2, 2, 2))
    z, _ = norm(everywhere[0][None, :, None, None].expand(1, 2, 2, 2))
    torch.testing.assert_close(z, torch.zeros(1, 2, 2, 2))
    assert isinstance(norm.log_scale, nn.Parameter)
    torch.testing.assert_close(
        norm.log_scale.flatten(), torch.tensor([0.5, 2.0]).log(), atol=1e-5, rtol=0
    )
