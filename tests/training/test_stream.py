"""The stream of data: each epoch a permutation, the same from any start and for any workers."""

import numpy as np
import pytest
import torch

from pointgen.batch import Item
from pointgen.training.stream import Draws, Shares, Use, batches, mark, mix


class Numbered:
    """Eleven shapes; the single point of each tells its index and a random number."""

    def __init__(self, ids=tuple("abcdefghijk")):
        self.ids = ids

    def __len__(self):
        return len(self.ids)

    def draw(self, index, rng):
        return Item(torch.tensor([[index, rng.random(), 0.0]]), id=self.ids[index])


def stream(first=0, last=11, size=4, workers=0, seed=3, **process):
    shares = Shares(first, last, size, **process)
    draws = Draws(Numbered(), seed)
    return [b.points[:, 0] for b in batches(draws, shares, workers=workers, pin_memory=False)]


def test_each_epoch_is_another_permutation():
    epochs = torch.cat(stream())[:, 0].reshape(4, 11)
    assert torch.equal(epochs.sort(1).values, torch.arange(11.0).expand(4, 11))
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 4


def test_each_position_draws_its_own_points():
    assert len(torch.cat(stream())[:, 1].unique()) == 44


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers):
    assert torch.equal(torch.cat(stream()), torch.cat(stream(workers=workers)))


@pytest.mark.parametrize("first", [1, 5, 10])
def test_starting_later_is_skipping(first):
    assert torch.equal(torch.cat(stream()[first:]), torch.cat(stream(first=first)))


def test_processes_share_the_steps_of_one():
    shares = [torch.stack(stream(process=p, processes=2)) for p in range(2)]
    assert torch.equal(torch.cat(shares, dim=1), torch.stack(stream()))


def test_other_seed_is_another_stream():
    assert not torch.equal(torch.cat(stream()), torch.cat(stream(seed=4)))


def test_share_must_be_whole():
    with pytest.raises(ValueError, match=r"train\.batch_size: expected a multiple of the 3"):
        Shares(0, 1, 4, processes=3)


def test_batch_of_one_shape_is_refused():
    with pytest.raises(ValueError, match=r"train\.batch_size: expected at least 2 shapes, got 1"):
        Shares(0, 1, 1)
    assert list(Shares(0, 1, 2, process=1, processes=2)) == [[1]]


def test_mark_tells_data_sets_apart():
    names = ("ab", "c"), ("a", "bc"), ("c", "ab"), ("ab", "c", "d"), ()
    assert len({mark(Numbered(ids)) for ids in names}) == len(names)
    assert mark(Numbered(["ab", "c"])) == mark(Numbered(("ab", "c")))


def test_seeds_do_not_meet():
    seeds = {mix(s, u, i, p) for s in range(3) for u in Use for i in range(20) for p in range(2)}
    assert len(seeds) == 3 * len(Use) * 20 * 2
    assert mix(2**32 - 1, Use.NOISE, 10**9, 7) < 2**64


def test_noise_of_steps_is_independent():
    noise = []
    for step in range(200):
        torch.manual_seed(mix(0, Use.NOISE, step, 0))
        noise.append(torch.randn(50).numpy())
    correlations = np.corrcoef(noise)[np.triu_indices(200, 1)]
    assert abs(correlations.mean()) < 4 / np.sqrt(50 * len(correlations))


def test_no_more_workers_than_cores(monkeypatch, recwarn):
    monkeypatch.setattr("pointgen.training.stream.cores", lambda: 1)
    assert torch.equal(torch.cat(stream(workers=9)), torch.cat(stream()))
    assert not recwarn.list
