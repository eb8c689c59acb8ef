"""The learning rate at steps where it is known."""

from itertools import pairwise

import pytest

from pointgen.config import TrainConfig
from pointgen.training.schedule import learning_rate


@pytest.mark.parametrize(
    ("schedule", "warmup", "step", "expected"),
    [
        ("constant", 0, 0, 2.0),
        ("constant", 0, 99, 2.0),
        ("constant", 10, 0, 0.2),
        ("constant", 10, 9, 2.0),
        ("linear", 0, 50, 2.0),
        ("linear", 0, 75, 1.0),
        ("linear", 0, 99, 0.04),
        ("linear", 10, 4, 1.0),
        ("cosine", 0, 0, 2.0),
        ("cosine", 0, 50, 1.0),
        ("cosine", 20, 20, 2.0),
        ("cosine", 20, 60, 1.0),
        ("cosine", 20, 4, 0.5),
        ("linear", 100, 74, 0.78),
        ("linear", 100, 99, 0.04),
    ],
)
def test_known_values(schedule, warmup, step, expected):
    config = TrainConfig(steps=100, lr=2.0, schedule=schedule, warmup=warmup)
    assert learning_rate(config, step, 100) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0, 3, 5, 50])
def test_every_step_learns(schedule, warmup):
    config = TrainConfig(steps=5, schedule=schedule, warmup=warmup)
    assert all(0 < learning_rate(config, step, 5) <= config.lr for step in range(5))


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0, 10, 70, 100, 150])
def test_no_step_jumps(schedule, warmup):
    config = TrainConfig(steps=100, schedule=schedule, warmup=warmup, lr=1.0)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert max(abs(b - a) for a, b in pairwise(rates)) <= 0.101
