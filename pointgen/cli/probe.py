"""`pointgen probe`: what the codes of a run say of the category, by a linear classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointgen.cli.console import print_json, progress
from pointgen.cli.options import Device, Json, OptionalPoints, Run, Weights
from pointgen.cli.pack import data_of
from pointgen.devices import torch_device

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from pointgen.datasets import CloudDataset
    from pointgen.datasets.base import Standardization
    from pointgen.models import Autoencoder

__all__ = ["probe"]

AT_ONCE = 32  # clouds


def probe(
    run: Run,
    data: Annotated[
        Path,
        typer.Argument(
            help="Shapes of several categories with a train and a test split, as ModelNet: a "
            "config (TOML: its data section), or the folder or file."
        ),
    ],
    points: OptionalPoints = None,
    weights: Weights = "model",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train a linear classifier on the run's codes of the train split; score it on the test split.

    The usual check of what an unsupervised model has learnt. Clouds are brought to the mean and
    spread of the run's own data, so that another data set's units do not matter.
    """
    from pointgen.metrics.linear import linear_accuracy
    from pointgen.models import Autoencoder
    from pointgen.training.checkpoint import load, read_run

    on = torch_device(device)
    model = load(run, device=on, weights=weights)
    if not isinstance(model, Autoencoder):
        raise ValueError(f"{run}: its model has no encoder")
    own = read_run(run).data
    shown = {"num_points": points or own.num_points, "normalize": own.normalize}
    config = data_of(data).model_copy(update=shown)
    with progress("reading") as advance:
        train, test = (config.build(split, progress=advance) for split in ("train", "test"))
    if len(train.categories) < 2:
        raise ValueError(f"{data}: expected several categories, got {', '.join(train.categories)}")
    units, found = train.standardization(), []
    for name, shapes in (("train", train), ("test", test)):
        with progress(f"encoding the {name} split") as advance:
            found.append(_encoded(model, shapes, units, on, advance))
    (known, known_labels), (codes, labels) = found
    right = linear_accuracy(known, known_labels, codes, labels)
    by_category = {
        name: float(right[labels == number].mean())
        for number, name in enumerate(train.categories)
        if (labels == number).any()
    }
    if json:
        print_json(
            {
                "run": str(run),
                "data": str(data),
                "accuracy": float(right.mean()),
                "by_category": by_category,
                "shapes": {"train": len(train), "test": len(test)},
                "points": config.num_points,
                "classifier": "one-vs-rest linear SVM, squared hinge, C = 1, on the codes",
            }
        )
        return
    for name, share in by_category.items():
        typer.echo(f"{name:<14}{100 * share:>7.1f} %")
    typer.echo(f"{'all':<14}{100 * right.mean():>7.1f} % of {len(test)} test shapes")


def _encoded(
    model: Autoencoder,
    shapes: CloudDataset,
    units: Standardization,
    device: str,
    advance: Callable[[int, int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes (S, C) of shapes in some units, and their labels (S,)."""
    import torch

    from pointgen.batch import collate

    mean, std = torch.as_tensor(units.mean), torch.as_tensor(units.std)
    codes, labels = [], []
    for start in range(0, len(shapes), AT_ONCE):
        some = range(start, min(start + AT_ONCE, len(shapes)))
        batch = collate([shapes[place] for place in some])
        assert batch.label is not None
        standard = ((batch.points - mean) / std).float().to(device)
        with torch.no_grad():
            codes.append(model.encode(model.units.inverse(standard)).cpu())
        labels.append(batch.label)
        advance(some.stop, len(shapes))
    return torch.cat(codes).numpy(), torch.cat(labels).numpy()
