"""Memory and time of a deep network's training step: plain, checkpointed, reversible.

python benchmarks/memory.py [--depths 2 8 32 128] [--clouds 4] [--points 1024] [--network revnet]

The blocks are those of RevNet (64 channels a stream), or with `--network irim` the steps of an
i-RIM (as wide, one step a block), in fp32 on one CPU thread. Each way at each
depth has two processes: one whose largest resident memory is read, and whose allocator gives freed
memory back at once, and one for the rest. What autograd keeps is counted by its hooks, without the
parameters. Checkpoints are of each block, or of sqrt(depth) blocks each.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pointgen.networks.irim import InferenceMachine
from pointgen.networks.reversible import ReversibleSequence, Streams
from pointgen.networks.revnet import RevNetConfig

WAYS = ("plain", "checkpoint, each block", "checkpoint, sqrt(depth) blocks", "reversible")
MIB = 2**20
REPEATS = 3


def main() -> None:
    """Print a row for each depth and way; with --way, what one process found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[2, 8, 32, 128])
    parser.add_argument("--clouds", type=int, default=4)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--network", choices=tuple(NETWORKS), default="revnet")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--peak", action="store_true")
    options = parser.parse_args()
    if options.way:
        step = Step(options.network, options.depths[0], options.clouds, options.points)
        found = (peak if options.peak else measured)(step, options.way)
        print(json.dumps(found))
        return
    heads = ["depth", "way", "kept, MiB", "peak, MiB", "time", "gradients differ", "drift"]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for depth in options.depths:
        rows = {way: of_process(options, depth, way) for way in WAYS}
        for way, row in rows.items():
            cells = [str(depth), way, f"{row['kept'] / MIB:.1f}", f"{row['peak'] / MIB:.0f}"]
            cells += [f"{row['seconds'] / rows['plain']['seconds']:.2f}"]
            cells += ["" if way == "plain" else f"{row['difference']:.1e}"]
            watched = way == "reversible"
            cells += [f"{row['drift']:.1e}, bf16 {row['half_drift']:.1e}" if watched else ""]
            print(f"| {' | '.join(cells)} |", flush=True)


def of_process(options: argparse.Namespace, depth: int, way: str) -> dict[str, float]:
    """Measure in a fresh process: the largest resident memory is one of a whole process."""
    command = [sys.executable, __file__, "--depths", str(depth), "--way", way]
    command += ["--clouds", str(options.clouds), "--points", str(options.points)]
    command += ["--network", options.network]
    found: dict[str, float] = {}
    for more, settings in (([], {}), (["--peak"], {"MALLOC_MMAP_THRESHOLD_": "65536"})):
        done = subprocess.run(
            command + more,
            env={**os.environ, **settings},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        found |= json.loads(done.stdout)
    return found


class Encoder:
    """RevNet's blocks, and what they are given."""

    def __init__(self, depth: int, points: Tensor) -> None:
        self.network = RevNetConfig(depth=depth).build(32)
        self.blocks, self._points = self.network.blocks, points

    def start(self, most: int | None) -> Streams:
        """Return the streams that the blocks are given, of so many points."""
        first, second = (inlet(self._points[:, :most]) for inlet in self.network.inlets)
        return first, second


class Machine:
    """The steps of an i-RIM, and what they are given."""

    def __init__(self, depth: int, points: Tensor) -> None:
        self.network = InferenceMachine(width=64, hidden=128, facts=1, steps=1)
        # A step begins as the identity; all of them together go as far whatever their number, as
        # trained ones do. Random steps that go far each are chaos, which cannot be recomputed.
        for parameter in self.network.move.parameters():
            parameter.data += 0.02 / depth * torch.randn_like(parameter)
        self.blocks, self._points = self.network.chain(points[:, ::2], depth), points

    def start(self, most: int | None) -> Streams:
        """Return the streams that the steps are given, of so many points."""
        points = self._points[:, :most]
        return self.network.start(points, self._points[:, ::2], torch.zeros_like(points[..., :1]))


NETWORKS = {"revnet": Encoder, "irim": Machine}


class Step:
    """A training step but for the update of the weights."""

    def __init__(self, network: str, depth: int, clouds: int, points: int) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self._part = NETWORKS[network](depth, torch.randn(clouds, points, 3))
        self.network, self.blocks = self._part.network, self._part.blocks

    def __call__(
        self, run: Callable[[Tensor, Tensor], Streams], most: int | None = None
    ) -> list[Tensor]:
        """Return the gradients of the blocks' parameters; `most` points are seen."""
        self.network.zero_grad()
        y1, y2 = run(*self._part.start(most))
        (y1.square().mean() + y2.square().mean()).backward()
        return [p.grad for p in self.blocks.parameters() if p.grad is not None]


def peak(step: Step, way: str) -> dict[str, float]:
    """Return how many bytes a step takes at its peak."""
    run = way_of(step.blocks, way)
    step(run, 8)  # libraries are loaded, and gradients have their place
    before = resident()
    step(run)
    return {"peak": resident() - before}


def measured(step: Step, way: str) -> dict[str, float]:
    """Return bytes kept, seconds of CPU time, and how exact the gradients are."""
    run = way_of(step.blocks, way)
    step(run)
    seconds = min(timed(lambda: step(run)) for _ in range(REPEATS))
    found = {"seconds": seconds, "kept": kept(step.network, lambda: step(run))}
    if way != "plain":
        grads = [grad.clone() for grad in step(run)]
        pairs = zip(grads, step(step.blocks.plain), strict=True)
        found["difference"] = max(float((a - b).norm() / b.norm()) for a, b in pairs)
    if way == "reversible":
        found["drift"] = drift(step, half=False)
        found["half_drift"] = drift(step, half=True)
    return found


def way_of(blocks: ReversibleSequence, way: str) -> Callable[[Tensor, Tensor], Streams]:
    """Return what maps streams through the blocks."""
    if way == "plain":
        return blocks.plain
    if way == "reversible":
        return blocks
    steps = list(blocks.steps)
    size = 1 if way.endswith("each block") else math.isqrt(len(steps))
    pieces = [ReversibleSequence(steps[i : i + size]).plain for i in range(0, len(steps), size)]

    def run(x1: Tensor, x2: Tensor) -> Streams:
        for piece in pieces:  # reentrant, whose inputs the hooks see
            x1, x2 = checkpoint(piece, x1, x2, use_reentrant=True)
        return x1, x2

    return run


def kept(network: torch.nn.Module, step: Callable[[], object]) -> int:
    """Return the bytes that autograd keeps over the forward pass, besides the parameters.

    What a recomputation keeps for a while, within the backward pass, is not counted: the peak
    shows it.
    """
    known = {p.untyped_storage().data_ptr() for p in network.parameters()}
    total, held = 0, []

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        storage = tensor.untyped_storage()
        if not backward and storage.data_ptr() not in known:
            known.add(storage.data_ptr())
            held.append(storage)  # so that no other takes its place
            total += storage.nbytes()
        return tensor

    def unpack(tensor: Tensor) -> Tensor:
        nonlocal backward
        backward = True
        return tensor

    backward = False
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        step()
    return total


def drift(step: Step, *, half: bool) -> float:
    """Return how far the recomputed inputs are from those that went in."""
    step.blocks.watch.passes = 0  # the next pass is watched
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        step(step.blocks)
    return step.blocks.watch.drift


def timed(step: Callable[[], object]) -> float:
    """Return the CPU time of a step, which other programs do not lengthen."""
    start = time.process_time()
    step()
    return time.process_time() - start


def resident() -> int:
    """Return the largest resident memory of this process so far, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
