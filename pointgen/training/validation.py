"""The loss of a model on held-out shapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from accelerate import Accelerator

from pointgen.batch import Item, collate
from pointgen.config import TrainConfig
from pointgen.flows.solver import SolveError
from pointgen.models import PointCloudModel
from pointgen.processes import Share
from pointgen.training.stream import Use, mix

__all__ = ["Fixed", "looking_at", "validate"]


# Shapes at a time: it decides which noise a shape meets, so it does not depend on the processes.
JUDGED_AT_ONCE = 16


class Fixed(Protocol):
    """The part of a data set that validation needs: items that are the same each time."""

    def __len__(self) -> int:
        """Return the number of shapes."""

    def __getitem__(self, index: int) -> Item:
        """Return the shape `index`."""


def validate(
    model: PointCloudModel, dataset: Fixed, config: TrainConfig, accelerator: Accelerator
) -> float:
    """Return the mean loss over a data set, with the same noise each time, in every process.

    The processes take turns at batches; their number does not change the result but by rounding.
    A batch that cannot be solved makes the result NaN.
    """
    device = accelerator.device
    batch_size = min(config.batch_size, JUDGED_AT_ONCE)
    share = Share(accelerator.process_index, accelerator.num_processes)
    sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss x shapes, shapes
    with looking_at(model):
        for number in share.of(-(-len(dataset) // batch_size)):
            start = number * batch_size
            torch.manual_seed(mix(config.seed, Use.VALIDATION, number))
            stop = min(start + batch_size, len(dataset))
            batch = collate([dataset[index] for index in range(start, stop)]).to(device)
            try:
                loss = model.loss(batch).total.item()
            except SolveError:
                loss = torch.nan
            sums += torch.tensor([loss * len(batch), len(batch)]).to(sums)
    total, count = accelerator.gather(sums[None]).sum(0).tolist()
    return total / count


@contextmanager
def looking_at(model: PointCloudModel) -> Iterator[None]:
    """Put a model into eval mode without gradients, and back."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
