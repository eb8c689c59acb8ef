"""Clouds and meshes on their way into a model that encodes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pointgen.cli.inputs import Shapes, read_shapes
from pointgen.cli.options import Weights

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pointgen.datasets import Normalize
    from pointgen.geometry.frames import Frame, FrameKind
    from pointgen.models import Autoencoder

__all__ = [
    "COMPARED",
    "autoencoder",
    "distance",
    "framer",
    "own_frame",
    "placed",
    "read_inputs",
    "seeing",
    "thinned",
]

COMPARED = 2048  # points of each cloud in a reported Chamfer distance, which depends on the number


def autoencoder(
    run: Path, device: str, weights: Weights, seed: int
) -> tuple[Autoencoder, Callable[[np.ndarray], tuple[Tensor, Frame]]]:
    """Load a model that encodes, and what maps a cloud (N, 3) to its code (1, C) and frame."""
    from pointgen.models import Autoencoder
    from pointgen.training.checkpoint import load

    model = load(run, device=device, weights=weights)
    if not isinstance(model, Autoencoder):
        raise ValueError(f"{run}: its model has no encoder")
    seen = seeing(run, device, seed)

    def encoded(cloud: np.ndarray) -> tuple[Tensor, Frame]:
        points, frame = seen(cloud)
        return model.encode(points), frame

    return model, encoded


def seeing(run: Path, device: str, seed: int) -> Callable[[np.ndarray], tuple[Tensor, Frame]]:
    """Return what maps a cloud (N, 3) to one as in training (1, M, 3), and its frame."""
    from pointgen.training.checkpoint import read_run

    data = read_run(run).data
    framed = framer(data.normalize)

    def seen(cloud: np.ndarray) -> tuple[Tensor, Frame]:
        frame = framed(cloud)
        # A maximum over points depends on their number: no more than in training.
        return placed(thinned(cloud, data.num_points, seed), frame, device), frame

    return seen


def placed(cloud: np.ndarray, frame: Frame, device: str) -> Tensor:
    """Return a cloud (N, 3) as a batch of its own (1, N, 3), in a frame and on a device."""
    import torch

    return torch.from_numpy(frame.apply(cloud)).to(device).unsqueeze(0)


def framer(kind: Normalize) -> Callable[[np.ndarray], Frame]:
    """Return what finds the frame that a data set's `normalize` puts a cloud (N, 3) into."""
    import numpy as np

    from pointgen.geometry.frames import Frame, per_shape_frame

    own = own_frame(kind)
    if own is not None:
        return lambda cloud: per_shape_frame(cloud, own)
    return lambda cloud: Frame(np.zeros(3), 1.0)


def own_frame(kind: Normalize) -> FrameKind | None:
    """Return the frame that a data set's `normalize` gives each shape for itself, if it does."""
    if kind == "shape_unit" or kind == "shape_bbox" or kind == "shape_std":
        return kind
    return None


def thinned(cloud: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return a random subset of a cloud (N, 3) that has more than `most` points."""
    import numpy as np

    from pointgen.geometry.sampling import resample

    return resample(cloud, most, np.random.default_rng(seed)) if len(cloud) > most else cloud


def distance(a: np.ndarray, b: np.ndarray, seed: int) -> float:
    """Return the Chamfer distance of two clouds (N, 3) and (M, 3), of so many points at most."""
    import torch

    from pointgen.geometry.distances import chamfer

    both = (torch.from_numpy(thinned(cloud, COMPARED, seed)).unsqueeze(0) for cloud in (a, b))
    return chamfer(*both).item()


def read_inputs(inputs: Sequence[Path], seed: int) -> Shapes:
    """Read all shapes, with ids that differ."""
    parts = [read_shapes(path, seed=seed) for path in inputs]
    ids = [name for part in parts for name in part.ids]
    if len(set(ids)) < len(ids):  # the same name in two places
        ids = [f"{number}/{name}" for number, part in enumerate(parts) for name in part.ids]
    return Shapes(ids, [cloud for part in parts for cloud in part.points])
