"""A hybrid beside the same encoder as a plain classifier: with all labels, with few, and unknowns.

python benchmarks/hybrid.py [--seeds 3] [--shapes 100] [--steps 800]

Trains configs/hybrid_quickstart.toml on all built-in categories, with other shapes and weights for
each seed, with all labels and with a tenth of them; and once for each of some categories without
it, to see how well its shapes are told from the others. The plain classifier is the hybrid without
its flow: encoder and linear layer alone, trained by the labels alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from pointgen.batch import Batch, collate
from pointgen.cli.score import How, surprises, with_densities
from pointgen.config import Experiment, read_config
from pointgen.datasets.procedural.shapes import CATEGORIES
from pointgen.metrics.outliers import auroc, share_as_strange, unlikeness
from pointgen.models import Classifier, HybridConfig
from pointgen.training import train
from pointgen.training.checkpoint import load
from pointgen.training.making import classified

PLAIN = ["model.flow_weight=0", "model.confidence_weight=0", 'model.flow.prior={kind="gaussian"}']
HELD_OUT = ("lamp", "mug", "torus", "box")
DRAWS, STEPS = 2, 8


def main() -> None:
    """Print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="0: strangers alone")
    parser.add_argument("--shapes", type=int, default=100, help="of each category, to train on")
    parser.add_argument("--steps", type=int, default=800)
    options = parser.parse_args()
    common = [f"data.size={options.shapes}", f"train.steps={options.steps}"]
    common += ["train.report=false", "train.validate_every=0"]
    with TemporaryDirectory() as folder:
        print("| test accuracy, % | all labels | a tenth of them |\n| --- | --- | --- |")
        for name, settings in (
            (("plain classifier", PLAIN), ("hybrid", [])) if options.seeds else ()
        ):
            cells = []
            for labelled in (1.0, 0.1):
                found = []
                for seed in range(options.seeds):
                    more = [f"model.labelled={labelled}", f"data.seed={seed}", f"train.seed={seed}"]
                    run = Path(folder) / f"{name} {labelled} {seed}"
                    experiment = trained(tuple(CATEGORIES), [*common, *settings, *more], run)
                    found.append(100 * accuracy(experiment, run))
                cells.append(", ".join(f"{value:.1f}" for value in found))
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        print(
            "\n| held out | unsure | surprise | unlike | either |\n| --- | --- | --- | --- | --- |"
        )
        for held_out in HELD_OUT:
            run = Path(folder) / held_out
            others = tuple(name for name in CATEGORIES if name != held_out)
            experiment = trained(others, common, run)
            found = strangers(experiment, run, held_out)
            print(f"| {held_out} | {' | '.join(f'{v:.3f}' for v in found)} |", flush=True)


def trained(categories: tuple[str, ...], settings: list[str], run: Path) -> Experiment:
    """Train a hybrid into a folder; return its config."""
    names = [f"{part}.categories={list(categories)}" for part in ("model", "data")]
    experiment = read_config("configs/hybrid_quickstart.toml", [*names, *settings])
    train(experiment, run, device="cpu")
    return experiment


def accuracy(experiment: Experiment, run: Path) -> float:
    """Return the share of test shapes that are of the likeliest category."""
    batch = whole(experiment, "test")
    return float((probabilities(run, batch).argmax(-1) == batch.label).double().mean())


def strangers(experiment: Experiment, run: Path, held_out: str) -> list[float]:
    """Return how well three scores tell shapes of another category from known ones (AUROC)."""
    data = experiment.data.model_copy(update={"categories": (held_out,)})
    strange = collate(list(data.build("test")))
    flow, how = with_densities(run, load(run)), How(DRAWS, 0.0, STEPS, 0, "model", "cpu")
    shares, surprise = [], []
    for batch in (whole(experiment, "val"), whole(experiment, "test"), strange):
        shares.append(probabilities(run, batch))
        surprise.append(surprises(flow, [cloud.numpy() for cloud in batch.points], how, ""))
    unsure = [1 - found.amax(-1).numpy() for found in shares]
    category = [found.argmax(-1).numpy() for found in shares]
    unlike = [
        unlikeness(surprise[place], category[place], surprise[0], category[0]) for place in range(3)
    ]
    both = [np.stack([unsure[place], unlike[place]]) for place in range(3)]
    either = [-share_as_strange(scores, both[0]) for scores in both]
    return [auroc(of[1], of[2]) for of in (unsure, surprise, unlike, either)]


def whole(experiment: Experiment, split: str) -> Batch:
    """Return a split as one batch."""
    return collate(list(experiment.data.build(split)))


def probabilities(run: Path, batch: Batch) -> torch.Tensor:
    """Return how probable each category is for each shape."""
    model = load(run)
    assert isinstance(model, Classifier) and isinstance(model.config, HybridConfig)
    return classified(model, batch.points)


if __name__ == "__main__":
    main()
