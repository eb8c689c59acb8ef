"""The average of weights against its formula."""

import pytest
import torch

from pointgen.training.ema import Average


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_equals_the_formula(toy, decay):
    model = toy.Toy()
    average = Average(model, decay)
    expected = {name: t.clone() for name, t in model.state_dict().items()}
    for step in range(20):
        with torch.no_grad():
            for tensor in model.parameters():
                tensor += torch.randn_like(tensor)
        model.norm.running_mean = torch.randn(3)  # a new tensor in the old one's place
        model.norm.num_batches_tracked += 2
        average.update(step)
        kept = min(decay, (1 + step) / (10 + step))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                expected[name] = kept * expected[name] + (1 - kept) * tensor
    found = average.model.state_dict()
    assert found.pop("norm.num_batches_tracked") == 40
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name])


def test_decay_rises_to_its_value(toy):
    average = Average(toy.Toy(), 0.99)
    decays = [average.decay(step) for step in (0, 1, 90, 10_000)]
    assert decays == [0.1, 2 / 11, 0.91, 0.99]


def test_is_no_part_of_the_training(toy):
    model = toy.Toy()
    average = Average(model, 0.9)
    assert not average.model.training and model.training
    assert not any(p.requires_grad for p in average.model.parameters())
    shared = {p.data_ptr() for p in model.parameters()} & {
        p.data_ptr() for p in average.model.parameters()
    }
    assert not shared
