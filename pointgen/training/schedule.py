"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from pointgen.config import TrainConfig

__all__ = ["learning_rate"]


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """Return the learning rate of step `step` in [0, total).

    All schedules rise linearly over the first `warmup` steps. `linear` then stays constant and
    falls to zero over the second half, `cosine` falls along half a cosine.

    Source: `linear` is that of Yang et al. 2019 (PointFlow), supplement; `cosine` is Loshchilov
    and Hutter 2017, eq. 5, without restarts.
    """
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "linear":
        return config.lr * min(1.0, 2 * (total - step) / total)
    if config.schedule == "cosine":
        done = (step - config.warmup) / max(1, total - config.warmup)
        return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.lr
