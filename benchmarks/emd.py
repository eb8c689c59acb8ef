"""Earth mover's distances by pointgen, SciPy on the whole matrix and POT, in one run.

python benchmarks/emd.py [--shapes FOLDER] [--points 512 1024 2048 4096] [--pairs 6] [--squared]

FOLDER holds meshes; without it shapes are built. All on one thread but for the last row, and for
certified approximations on a CUDA device. The error is the largest relative one, against SciPy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch
from distances import surfaces
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from pointgen.geometry.assignment import assign
from pointgen.geometry.auction import auction
from pointgen.geometry.emd import match
from pointgen.geometry.legacy_emd import legacy_emd

BASELINE = "SciPy, cdist and linear_sum_assignment"
ERROR = 1e-2

Pair = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Print a table in Markdown for each number of points and each kind of pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=Path)
    parser.add_argument("--points", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--squared", action="store_true")
    options = parser.parse_args()
    draws = surfaces(options.shapes, 2 * options.pairs)
    shift = len(draws) // 2
    for points in options.points:
        for kind, partner in (("different shapes", shift), ("two draws of a shape", 0)):
            rng = np.random.default_rng(0)
            pairs = [(draws[i](points, rng), draws[i + partner](points, rng)) for i in range(shift)]
            print(f"\n| {points} points, {kind} | ms per pair | speed | error |")
            print("| --- | --- | --- | --- |")
            for row in compare(pairs, options.squared):
                print(row, flush=True)


def compare(pairs: list[Pair], squared: bool) -> Iterator[str]:
    """Yield the rows of a table: median milliseconds, speed and error of each contender."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    exact, slowest = measure(partial(by_scipy, squared=squared), pairs)
    yield f"| {BASELINE} | {1000 * slowest:.1f} | 1.0x | |"
    for name, function in contenders(squared).items():
        values, seconds = measure(function, pairs)
        error = np.abs(values / exact - 1).max()
        yield f"| {name} | {1000 * seconds:.1f} | {slowest / seconds:.1f}x | {error:.0e} |"
    torch.set_num_threads(threads)
    a, b = (torch.from_numpy(np.stack(clouds)) for clouds in zip(*pairs, strict=True))
    start = time.perf_counter()
    found = match(a, b, squared=squared)
    seconds = (time.perf_counter() - start) / len(pairs)
    error = np.abs(found.cost.numpy() / exact - 1).max()
    name = f"pointgen, exact, pairs in {threads} threads"
    yield f"| {name} | {1000 * seconds:.1f} | {slowest / seconds:.1f}x | {error:.0e} |"


def contenders(squared: bool) -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """Return who computes the distance of a pair of clouds (N, 3)."""
    certified = partial(by_auction, squared=squared)
    work: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "pointgen, exact": lambda a, b: assign(a, b, squared=squared).cost,
        f"pointgen, error {ERROR:g} certified, CPU": partial(certified, device="cpu"),
    }
    if torch.cuda.is_available():
        work[f"pointgen, error {ERROR:g} certified, CUDA"] = partial(certified, device="cuda")
    if find_spec("ot"):
        work["POT, cdist and emd2"] = partial(by_pot, squared=squared)
    kind = "pvd" if squared else "pointflow"
    work[f'what papers call EMD ("{kind}")'] = partial(by_legacy, squared=squared)
    return work


def measure(
    function: Callable[[np.ndarray, np.ndarray], float], pairs: list[Pair]
) -> tuple[np.ndarray, float]:
    """Return the distances and the median seconds of a pair, after one that warms up."""
    function(*pairs[0])
    values, times = [], []
    for pair in pairs:
        start = time.perf_counter()
        values.append(function(*pair))
        times.append(time.perf_counter() - start)
    return np.array(values), median(times)


def table(a: np.ndarray, b: np.ndarray, squared: bool) -> np.ndarray:
    """Return the costs (N, N) of all edges."""
    return cdist(a, b, "sqeuclidean" if squared else "euclidean")


def by_scipy(a: np.ndarray, b: np.ndarray, squared: bool) -> float:
    """Return the distance of a pair by the general solver."""
    costs = table(a, b, squared)
    return float(costs[linear_sum_assignment(costs)].mean())


def by_pot(a: np.ndarray, b: np.ndarray, squared: bool) -> float:
    """Return the distance of a pair by a network simplex."""
    import ot

    return float(ot.emd2([], [], table(a, b, squared), numItermax=10**7))


def by_auction(a: np.ndarray, b: np.ndarray, squared: bool, device: str) -> float:
    """Return the certified approximation of the distance of a pair."""
    first, second = (torch.from_numpy(cloud)[None].to(device) for cloud in (a, b))
    return auction(first, second, squared=squared, error=ERROR).cost.item()


def by_legacy(a: np.ndarray, b: np.ndarray, squared: bool) -> float:
    """Return the cost of the soft matching that papers use."""
    kind = "pvd" if squared else "pointflow"
    return legacy_emd(torch.from_numpy(a)[None], torch.from_numpy(b)[None], kind).item()


if __name__ == "__main__":
    main()
