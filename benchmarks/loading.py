"""How many shapes a second data loading gives, by kind of data, and so how fast a step may be.

python benchmarks/loading.py [--shapes 1000] [--batches 40]

Batches of 64 shapes, 2048 points and as many of a target, out of pools of 15,000 points each, as
`train` draws them. The plain loader, for comparison, reads a file and picks points at random.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pointgen.datasets import Hdf5Config, Pc15kConfig
from pointgen.datasets.pack import pack
from pointgen.training.stream import Draws, Shares, batches

BATCH, POINTS = 64, 2048


def main() -> None:
    """Print one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=int, default=1000)
    parser.add_argument("--batches", type=int, default=40)
    options = parser.parse_args()
    print("| data | shapes a second: read here | by one worker | batches of 64 a second |")
    print("| --- | --- | --- | --- |")
    with TemporaryDirectory() as name:
        root = Path(name)
        write_folder(root / "pc15k", options.shapes)
        files = sorted((root / "pc15k").rglob("*.npy"))
        show("plain loader, folder of .npy", rate(plain(files, options.batches)), None)
        folder = Pc15kConfig(root=root / "pc15k", num_points=POINTS)
        pack(folder, root / "packed.h5")
        for title, config in (
            ("folder of .npy", folder),
            ("packed HDF5", Hdf5Config(path=root / "packed.h5", num_points=POINTS)),
        ):
            data = config.build("train")
            own, worker = (
                rate(
                    batches(
                        Draws(data, 0),
                        Shares(0, options.batches, BATCH),
                        workers=workers,
                        pin_memory=False,
                    )
                )
                for workers in (0, 1)
            )
            show(title, own, worker)


def write_folder(root: Path, count: int) -> None:
    """Write shapes of 15,000 points, as ShapeNetCore.v2.PC15k has them."""
    rng = np.random.default_rng(0)
    for split, share in (("train", count), ("val", 2), ("test", 2)):
        folder = root / "02691156" / split
        folder.mkdir(parents=True)
        for index in range(share):
            np.save(folder / f"{index:05d}.npy", rng.normal(size=(15_000, 3)).astype(np.float32))


def plain(files: list[Path], count: int) -> Iterator[np.ndarray]:
    """Yield batches as a short script would make them."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        drawn = []
        for place in rng.integers(len(files), size=BATCH):
            cloud = np.load(files[place])
            drawn.append(cloud[rng.choice(len(cloud), 2 * POINTS, replace=False)])
        yield np.stack(drawn)


def rate(stream: Iterator[object]) -> float:
    """Return how many shapes come a second, after the first batch."""
    next(stream)
    began = time.perf_counter()
    count = sum(1 for _ in stream)
    return count * BATCH / (time.perf_counter() - began)


def show(title: str, own: float, worker: float | None) -> None:
    """Print a row."""
    cells = (
        f"{own:.0f}",
        "" if worker is None else f"{worker:.0f}",
        f"{(worker or own) / BATCH:.1f}",
    )
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
