import pytest
import torch

from pointgen.networks import ImageBackboneConfig, ImageResNetConfig

transformers = pytest.importorskip("transformers")


def tiny_vit():
    config = transformers.Dinov2Config(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8
    )
    return transformers.Dinov2Model(config)


def tiny_resnet():
    config = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic"
    )
    return transformers.ResNetModel(config)


@pytest.fixture(params=[tiny_vit, tiny_resnet], ids=["dinov2", "resnet"])
def published(request, tmp_path):
    """A folder as the hub has it, with random weights."""
    request.param().save_pretrained(tmp_path / "net")
    return str(tmp_path / "net")


def test_the_compact_network_tells_where_things_are():
    network = ImageResNetConfig(image_size=32, widths=(8, 16)).build()
    left, right = torch.ones(2, 1, 3, 32, 32).unbind(0)
    left[..., :8], right[..., 24:] = 0, 0
    features = network(torch.cat([left, right]))
    assert features.shape == (2, network.features)
    assert (features[0] - features[1]).abs().max() > 1e-3


def test_a_picture_does_not_depend_on_its_batch():
    network = ImageResNetConfig(image_size=32, widths=(8, 16)).build()
    images = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(network(images)[:1], network(images[:1]))


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="multiples of 8, got 12"):
        ImageResNetConfig(widths=(8, 12)).build()
    with pytest.raises(ValueError, match="at least 64"):
        ImageResNetConfig(image_size=32).build()


def test_a_frozen_backbone_neither_learns_nor_changes_its_mode(published):
    network = ImageBackboneConfig(name=published, image_size=32).build().double().train()
    features = network(torch.rand(2, 3, 32, 32))
    assert features.shape == (2, network.features) and not features.requires_grad
    assert not network.network.training and network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_backbone_can_be_fine_tuned(published):
    config = ImageBackboneConfig(name=published, image_size=32, frozen=False)
    network = config.build().double().train()
    network(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_backbone_has_the_published_weights(published):
    one, other = (ImageBackboneConfig(name=published, image_size=32).build() for _ in range(2))
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(one(image), other(image))


def test_a_known_architecture_is_built_without_the_hub(published, tmp_path):
    known = ImageBackboneConfig(name=published, image_size=32, frozen=False).found()
    whole = known.build()
    whole.take_published()
    elsewhere = known.model_copy(update={"name": str(tmp_path / "nothing-here")})
    with torch.no_grad():  # as a notebook may load a run
        twin = elsewhere.build()
    twin.load_state_dict(whole.state_dict())
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(twin(image), whole(image))
    assert [p.requires_grad for p in twin.parameters()] == [
        p.requires_grad for p in whole.parameters()
    ]


def test_a_network_that_is_another_by_now_is_refused(published):
    known = ImageBackboneConfig(name=published, image_size=32).found()
    network = known.build()
    wider = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1])
    transformers.ResNetModel(wider).save_pretrained(published)
    with pytest.raises(ValueError, match="no longer the network of this config"):
        network.take_published()


def test_a_name_that_is_nowhere_is_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match="nothing-here: cannot be loaded"):
        ImageBackboneConfig(name=str(tmp_path / "nothing-here")).build()
