"""Chamfer distances by pointgen's backends, KD-trees, torch.cdist and PyTorch3D, in one run.

python benchmarks/distances.py [--device cuda] [--shapes FOLDER] [--points 2048] [--large 100000]

FOLDER holds meshes, or clouds of as many points; without it shapes are built. The error is the
largest relative one, against trees in double precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pointgen.datasets.procedural import CATEGORIES, make_shape
from pointgen.files import is_mesh, read_clouds, read_mesh
from pointgen.geometry.distances import chamfer, pairwise_chamfer
from pointgen.geometry.sampling import resample, sample_surface

BASELINE = "SciPy KD-tree per cloud and pair"
PATIENCE = 10.0  # seconds, after which nothing is measured once more
# For two points and one direction: three differences, three squares, two sums.
OPERATIONS = 8
CORES = 128  # for single precision in a multiprocessor, since Ampere but for the A100 (64)

Contenders = dict[str, Callable[[], Tensor]]


def main() -> None:
    """Print a table in Markdown for each kind of work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shapes", type=Path)
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--count", type=int, default=12, help="clouds in each of two sets")
    parser.add_argument("--large", type=int, default=100_000, help="points of a large cloud")
    parser.add_argument("--set", type=int, default=405, help="clouds in a set, on CUDA")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    draws = surfaces(options.shapes, 2 * options.count)
    rng = np.random.default_rng(0)

    def sets(count: int, points: int) -> tuple[Tensor, Tensor]:
        clouds = np.stack([draw(points, rng) for draw in draws[: 2 * count]])
        both = torch.from_numpy(clouds).to(options.device)
        return both[0::2].contiguous(), both[1::2].contiguous()

    a, b = sets(options.count, options.points)
    size = f"{options.points} points"
    compare(f"{len(a)} pairs of {size}", batched(a, b), len(a), options.repeats)
    compare(f"all pairs of {len(a)} x {len(b)}, {size}", tables(a, b), len(a) ** 2, options.repeats)
    if options.large:
        work = batched(*sets(1, options.large))
        # These two compare all points with all: minutes.
        del work["torch.cdist"], work["pointgen, torch"]
        compare(f"one pair of {options.large} points", work, 1, options.repeats)
    if torch.device(options.device).type == "cuda":
        share_of_peak(options.set, options.points, options.repeats)


def surfaces(
    folder: Path | None, count: int
) -> list[Callable[[int, np.random.Generator], np.ndarray]]:
    """Return functions of a number of points and a generator, which draw float32 clouds (N, 3)."""
    if folder is None:
        names, rng = list(CATEGORIES), np.random.default_rng(0)
        shapes = [make_shape(names[i % len(names)], rng) for i in range(count)]
        return [partial(sample_surface, shape.vertices, shape.faces) for shape in shapes]
    meshes = [read_mesh(path) for path in sorted(folder.iterdir()) if is_mesh(path)][:count]
    if meshes:
        sides = [(mesh.vertices - mesh.centroid) / np.ptp(mesh.vertices) for mesh in meshes]
        return [partial(sample_surface, v, m.faces) for v, m in zip(sides, meshes, strict=True)]
    return [partial(resample, cloud.points) for cloud in read_clouds(folder)[:count]]


def batched(a: Tensor, b: Tensor) -> Contenders:
    """Return who computes the distances (B,) of pairs of clouds, the baseline first."""

    def with_gradient() -> Tensor:
        x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
        distance = chamfer(x, y)
        distance.sum().backward()
        return distance.detach()

    threads = torch.get_num_threads()
    work: Contenders = {
        BASELINE: lambda: trees(a, b, 1),
        f"the same, pairs in {threads} threads": lambda: trees(a, b, threads),
        "torch.cdist": lambda: torch.stack([by_cdist(*pair) for pair in zip(a, b, strict=True)]),
        "pointgen, torch": lambda: chamfer(a, b, backend="torch"),
        "pointgen": lambda: chamfer(a, b),
        "pointgen, with gradient": with_gradient,
    }
    if find_spec("pytorch3d"):
        work["PyTorch3D"] = partial(by_pytorch3d, a, b)
    return work


def tables(a: Tensor, b: Tensor) -> Contenders:
    """Return who computes the distances (S, R) of all pairs of two sets, the baseline first."""
    work = batched(a.repeat_interleave(len(b), dim=0), b.repeat(len(a), 1, 1))
    del work["pointgen, with gradient"]
    work["pointgen, torch"] = lambda: pairwise_chamfer(a, b, backend="torch").flatten()
    work["pointgen"] = lambda: pairwise_chamfer(a, b).flatten()
    return work


def trees(a: Tensor, b: Tensor, threads: int) -> Tensor:
    """Return the distances (B,) by two trees for each pair."""

    def pair(x: np.ndarray, y: np.ndarray) -> float:
        there, back = cKDTree(y).query(x)[0], cKDTree(x).query(y)[0]
        return float(np.square(there).mean() + np.square(back).mean())

    with ThreadPoolExecutor(threads) as pool:
        return torch.tensor(list(pool.map(pair, a.cpu().numpy(), b.cpu().numpy())))


def by_cdist(a: Tensor, b: Tensor) -> Tensor:
    """Return the distance of clouds (N, 3) and (M, 3)."""
    table = torch.cdist(a, b)
    return table.amin(dim=1).square().mean() + table.amin(dim=0).square().mean()


def by_pytorch3d(a: Tensor, b: Tensor) -> Tensor:
    """Return the distances (B,)."""
    from pytorch3d.loss import chamfer_distance

    return chamfer_distance(a, b, batch_reduction=None)[0]


def compare(title: str, contenders: Contenders, pairs: int, repeats: int) -> None:
    """Print the time of each for a pair, its speed against the baseline, and its error."""
    print(f"\n| {title} | ms per pair | speed | error |")
    print("| --- | --- | --- | --- |")
    baseline = None
    for name, function in contenders.items():
        seconds, value = measure(function, repeats)
        if baseline is None:
            baseline = seconds, value.double()
        error = (value.cpu().double() / baseline[1] - 1).abs().max().item()
        speed = baseline[0] / seconds
        print(f"| {name} | {1e3 * seconds / pairs:.3f} | {speed:.1f}x | {error:.0e} |", flush=True)


def measure(function: Callable[[], Tensor], repeats: int) -> tuple[float, Tensor]:
    """Return the least seconds of some calls after one that warms up, if short, and the value."""
    times: list[float] = []
    while len(times) <= repeats and sum(times) < PATIENCE:
        synchronize()
        start = time.perf_counter()
        value = function()
        synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:] or times), value


def synchronize() -> None:
    """Wait for what was started on the CUDA device, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def share_of_peak(count: int, points: int, repeats: int) -> None:
    """Print the time of all pairs of two large sets, and how near that is to the card's best."""
    a, b = torch.randn(2, count, points, 3, device="cuda", dtype=torch.float32)
    seconds, _ = measure(lambda: pairwise_chamfer(a, b, backend="triton"), repeats)
    card = torch.cuda.get_device_properties(a.device)
    # A multiplication and an addition in each cycle; the clock is in kHz.
    peak = card.multi_processor_count * CORES * 2 * card.clock_rate * 1e3
    speed = count**2 * points**2 * 2 * OPERATIONS / seconds
    print(f"\n| {card.name}, {count} x {count} clouds of {points} points | |")
    print("| --- | --- |")
    print(f"| seconds | {seconds:.3f} |")
    print(f"| TFLOPS, {OPERATIONS} for each two points and direction | {speed / 1e12:.1f} |")
    print(f"| share of {peak / 1e12:.1f} TFLOPS in single precision | {speed / peak:.0%} |")


if __name__ == "__main__":
    main()
