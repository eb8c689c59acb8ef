"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from pointgen.config import TrainConfig

__all__ = ["learning_rate"]


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """Return the learning rate of step `step` in [0, total).

    `linear` stays constant and falls to zero over the second half, `cosine` falls along half a
    cosine from the end of the warm-up. Over the first `warmup` steps each is multiplied by a
    factor that rises linearly to one.

    Source: `linear` is that of Yang et al. 2019 (PointFlow), supplement; `cosine` is Loshchilov
    and Hutter 2017, eq. 5, without restarts.
    """
    lr = config.lr * min(1.0, (step + 1) / max(1, config.warmup))
    if config.schedule == "linear":
        return lr * min(1.0, 2 * (total - step) / total)
    if config.schedule == "cosine":
        done = max(0, step - config.warmup) / max(1, total - config.warmup)
        return lr * 0.5 * (1 + math.cos(math.pi * done))
    return lr
