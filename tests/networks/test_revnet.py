"""RevNet as an encoder: blind to the order of points, and as thrifty as its blocks."""

import pytest
import torch
from pydantic import TypeAdapter

from pointgen.networks import EncoderConfig, PointNetConfig, RevNetConfig

SMALL = RevNetConfig(depth=4, width=8, hidden=12, pooled=16, head=(10,))


def test_there_is_an_output_for_each_head():
    points = torch.randn(3, 20, 3)
    first, second = SMALL.build(5, outputs=2)(points)
    assert first.shape == second.shape == (3, 5)
    assert not torch.allclose(first, second)


def test_the_order_of_points_does_not_matter():
    network, points = SMALL.build(5), torch.randn(3, 20, 3)
    shuffled = points[:, torch.randperm(20)]
    torch.testing.assert_close(network(shuffled)[0], network(points)[0], rtol=1e-12, atol=1e-12)


def test_clouds_do_not_see_each_other():
    network, points = SMALL.build(5).eval(), torch.randn(3, 20, 3)
    torch.testing.assert_close(network(points)[0][1:], network(points[1:])[0])


def test_blocks_see_the_whole_cloud():
    """What a block makes of one point depends on the others."""
    block = SMALL.build(5).blocks.steps[0]
    x1, x2 = torch.randn(1, 6, 8), torch.randn(1, 6, 8)
    further = x2.clone()
    further[:, -1] += 10 * torch.randn(8)
    before, after = block(x1, x2)[0], block(x1, further)[0]
    assert (before[:, 0] - after[:, 0]).abs().max() > 1e-3


def test_a_gradient_reaches_every_parameter():
    network = SMALL.build(5, outputs=2)
    sum(output.square().sum() for output in network(torch.randn(4, 20, 3))).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_streams_keep_their_size_however_deep_the_network_is():
    points = torch.randn(2, 30, 3)

    def growth(depth):
        network = SMALL.model_copy(update={"depth": depth}).build(5)
        streams = [inlet(points) for inlet in network.inlets]
        return network.blocks(*streams)[0].norm() / streams[0].norm()

    assert 0.5 < growth(100) / growth(2) < 2


def test_the_kind_chooses_the_encoder():
    read = TypeAdapter(EncoderConfig).validate_python
    assert read({"kind": "revnet", "depth": 3}) == RevNetConfig(depth=3)
    assert read({"kind": "pointnet"}) == PointNetConfig()
    with pytest.raises(ValueError, match="depth"):
        read({"kind": "revnet", "depth": 0})
