"""How good a model is on shapes that it has not seen: reconstructions and 1-NNA, by Chamfer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointgen.flows.solver import Solver
from pointgen.geometry.distances import chamfer, pairwise_chamfer
from pointgen.metrics.scores import nearest_neighbour_accuracy
from pointgen.models.pointflow import PointFlow

__all__ = ["HeldOut", "Quality"]

AT_ONCE = 25  # shapes


@dataclass(frozen=True)
class Quality:
    """Scores of one model with one solver.

    Attributes:
        reconstruction: mean Chamfer distance of held-out shapes to their reconstructions.
        accuracy: 1-NNA of as many samples against the held-out shapes, from 0 to 1.
        evaluations: of the field of points, for one sample.
    """

    reconstruction: float
    accuracy: float
    evaluations: int


class HeldOut:
    """Held-out shapes, seen by two independent draws of each, and the noise for all models."""

    def __init__(self, given: Tensor, wanted: Tensor) -> None:
        """Keep the clouds (S, N, 3) to encode and those (S, N, 3) to compare with."""
        self.given, self.wanted = given, wanted
        self.between = pairwise_chamfer(wanted, wanted)

    @torch.no_grad()
    def judge(self, model: PointFlow, solver: Solver | None = None) -> Quality:
        """Score a model in eval mode; its own solvers where none is given."""
        points = self.wanted.shape[1]
        generator = torch.Generator().manual_seed(0)
        codes = torch.cat([model.encode(part) for part in self.given.split(AT_ONCE)])
        again, made, evaluations = [], [], 0
        for part in codes.split(AT_ONCE):
            before = model.evaluations
            again.append(model.decode(part, points, generator=generator, solver=solver))
            evaluations = max(evaluations, model.evaluations - before)
            made.append(model.sample(len(part), points, generator=generator, solver=solver))
        samples = torch.cat(made)
        accuracy = nearest_neighbour_accuracy(
            pairwise_chamfer(samples, samples),
            pairwise_chamfer(samples, self.wanted),
            self.between,
        )
        return Quality(chamfer(torch.cat(again), self.wanted).mean().item(), accuracy, evaluations)
