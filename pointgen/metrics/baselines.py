"""What a network that turns pictures into clouds has to beat: one cloud for all, and retrieval.

Published networks often do not. Source: Tatarchenko et al. 2019 (what do single-view 3D
reconstruction networks learn?), section 4.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from pointgen.geometry.distances import chamfer

__all__ = ["mean_cloud", "nearest_pictures", "pixels"]

THUMB = 24  # pixels; smaller pictures forgive small shifts
BATCH = 16  # clouds that a step of the mean cloud looks at


def mean_cloud(
    clouds: Tensor, num_points: int, *, generator: Generator, steps: int = 300
) -> Tensor:
    """Return the cloud (num_points, 3) that is nearest to all clouds (S, N, 3) by Chamfer distance.

    It starts as random points of all of them, and descends the mean squared Chamfer distance.
    """
    every = clouds.flatten(0, 1)
    start = every[torch.randint(len(every), (num_points,), generator=generator)]
    mean = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([mean], lr=0.02 * float(every.std()))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] *= 0.99 if step > steps // 2 else 1
        chosen = clouds[torch.randint(len(clouds), (BATCH,), generator=generator)]
        with torch.enable_grad():
            loss = chamfer(mean.expand(BATCH, -1, -1), chosen).mean()
            (gradient,) = torch.autograd.grad(loss, mean)
        # Each point meets few others: the mean's gradient is as small as 1 / num_points.
        mean.grad = gradient * num_points
        optimizer.step()
    return mean.detach()


def pixels(images: Tensor) -> Tensor:
    """Return what pictures (B, 3, H, W) look like regardless of colour and light: (B, F)."""
    grey = functional.interpolate(images, (THUMB, THUMB), mode="area").mean(1).flatten(1)
    grey = grey - grey.mean(1, keepdim=True)
    return functional.normalize(grey, dim=1)


def nearest_pictures(asked: Tensor, known: Tensor) -> Tensor:
    """Return for each row of features (A, F) the place (A,) of the nearest known one (K, F)."""
    return torch.cat([torch.cdist(rows, known).argmin(1) for rows in asked.split(256)])
