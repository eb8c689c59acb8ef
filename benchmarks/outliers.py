"""Whether a run's scores tell shapes of other kinds from those it knows, simple ones above all.

python benchmarks/outliers.py RUN [--background RUN] [--shapes 50] [--points 256]

RUN is of built-in chairs, as by `pointgen train configs/coupling_quickstart.toml`. "seat"
and "plate" are simpler than any chair: seats without the rest, and small flat squares in place of
them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pointgen.cli.inputs import Shapes
from pointgen.cli.score import How, Scorer
from pointgen.datasets.procedural.shapes import make_shape
from pointgen.geometry.sampling import sample_surface
from pointgen.metrics.outliers import auroc
from pointgen.training.checkpoint import read_run

CATEGORIES = ("table", "airplane", "car", "lamp", "mug")
NOISE = 0.01  # data units
SLAB = 0.05  # thickness of what counts as a seat, data units


def main() -> None:
    """Print one table in Markdown: AUROC of each score for each kind of strange shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--background", type=Path)
    parser.add_argument("--shapes", type=int, default=50)
    parser.add_argument("--points", type=int, default=256)
    options = parser.parse_args()
    scorer = Scorer(options.run, How(16, NOISE, None, 0, "model", "cpu"), 200, options.background)
    test = read_run(options.run).data.model_copy(update={"num_points": options.points})
    shapes = test.build("test")
    clouds = {"known": [shapes[i].points.numpy() for i in range(options.shapes)]}
    for category in CATEGORIES:
        clouds[category] = [drawn(category, i, options.points) for i in range(options.shapes)]
    for kind in (seat, plate):
        clouds[kind.__name__] = [kind(10_000 + i, options.points) for i in range(options.shapes)]
    rows = {
        name: scorer.rows(
            Shapes(
                [str(i) for i in range(len(group))], [cloud.astype(np.float32) for cloud in group]
            ),
            name,
        ).values()
        for name, group in clouds.items()
    }
    columns = {
        score: {name: np.array([row[score] for row in group]) for name, group in rows.items()}
        for score in scorer.names
    }
    print(f"| shapes | surprise, nats a point | {' | '.join(scorer.names)} |")
    print(f"| --- | --- |{' --- |' * len(scorer.names)}")
    for name in clouds:
        cells = [f"{columns['surprise'][name].mean():.2f}"]
        for score in scorer.names:
            found = auroc(columns[score]["known"], columns[score][name])
            cells.append("" if name == "known" else f"{found:.3f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def drawn(category: str, seed: int, count: int) -> np.ndarray:
    """Return points of a built-in shape."""
    shape = make_shape(category, np.random.default_rng(seed))
    return sample_surface(shape.vertices, shape.faces, count, np.random.default_rng(seed))


def seat(seed: int, count: int) -> np.ndarray:
    """Return points of what is left of a chair of which only the seat was kept."""
    points = drawn("chair", seed, 40 * count)
    level = np.histogram(points[:, 1], bins=np.arange(-0.6, 0.6, SLAB))
    lowest = level[1][level[0].argmax()]
    inside = points[(points[:, 1] >= lowest) & (points[:, 1] < lowest + SLAB)]
    return inside[:count]


def plate(seed: int, count: int) -> np.ndarray:
    """Return points of a small flat square where the seats of chairs are."""
    rng = np.random.default_rng(seed)
    half = rng.uniform(0.1, 0.15)
    x, z = rng.uniform(-half, half, (2, count))
    return np.stack([x, np.full(count, rng.uniform(-0.05, -0.02)), z], axis=1)


if __name__ == "__main__":
    main()
