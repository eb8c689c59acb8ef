"""Several processes that work as one: who does what, and sums over what each of them has.

Only what is called here communicates, all processes have to call it alike, and where there is one
process alone nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed

__all__ = ["ALONE", "Poll", "Share", "moments", "node_by_node", "several", "summed"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Share:
    """One process's part of the work that `size` processes do together; by default all of it."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process is the one that speaks and writes for all."""
        return self.rank == 0

    def of(self, count: int) -> range:
        """Return which of `count` pieces of work are this process's: every size-th one."""
        return range(self.rank, count, self.size)

    def collect(self, pieces: Sequence[Tensor]) -> None:
        """Fill each piece, on the CPU, with what the process whose work it is has in it."""
        if self.size > 1:
            for number, piece in enumerate(pieces):
                distributed.broadcast(piece, src=number % self.size)

    def from_main(self, value: _T) -> _T:
        """Return what the main process has, in every process."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def sum(self, part: Tensor) -> Tensor:
        """Return the sum of the tensors of all processes, by way of the CPU."""
        if self.size == 1:
            return part
        return summed(part.cpu()).to(part.device)


ALONE = Share()


class Poll:
    """Asks all processes of a group, step by step, whether something holds for one of them.

    The answer comes one step late, so that no step waits for it. Use it as a context.
    """

    def __init__(self) -> None:
        # A group on the CPU: an answer by NCCL would have to wait for what the GPU does.
        self._group = distributed.new_group(backend="gloo") if several() else None
        self._asked: tuple[distributed.Work, Tensor] | None = None

    def any(self, holds: bool) -> bool:
        """Return whether it held for some process one step ago; alone, whether it holds now."""
        if self._group is None:
            return holds
        before = self._answer()
        votes = torch.tensor([int(holds)])
        self._asked = distributed.all_reduce(votes, group=self._group, async_op=True), votes
        return before

    def _answer(self) -> bool:
        if self._asked is None:
            return False
        work, votes = self._asked
        self._asked = None
        work.wait()
        return bool(votes)

    def __enter__(self) -> Poll:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After an error the others may never answer.
        if self._group is not None and kind is None:
            self._answer()
            distributed.destroy_process_group(self._group)


def several() -> bool:
    """Whether this process belongs to a group of several."""
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def node_by_node(work: Callable[[], _T], *, rank: int, local_rank: int, patience: timedelta) -> _T:
    """Do work that may fill a cache for others, in every process.

    The main process goes first, then the first one of every other node, which finds the cache
    filled if the nodes share it, and then all others.

    Args:
        work: what every process does.
        rank: this process's place among all.
        local_rank: its place among those of its node.
        patience: how long the others wait for a turn.

    Raises:
        RuntimeError: A turn took longer, or another process has ended.
    """
    if not several():
        return work()
    turn = 0 if rank == 0 else 1 if local_rank == 0 else 2
    # NCCL would keep a GPU busy while it waits, and a group has one patience for all it does.
    group = distributed.new_group(backend="gloo", timeout=patience)
    results = []
    for now in range(3):
        if now == turn:
            results.append(work())
        distributed.barrier(group)
    distributed.destroy_process_group(group)
    return results[0]


def summed(part: Tensor) -> Tensor:
    """Return the sum of the tensors of all processes of a group, without gradients."""
    total = part.detach().clone()
    distributed.all_reduce(total)
    return total


@torch.compiler.disable
@torch.no_grad()
def moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (D,), variance (D,) and number () of the vectors (N, D) of all processes.

    The variance is the biased one, all are float64, and every process gets the same bits. N is at
    least 1, and may differ between processes.

    Source: Chan, Golub and LeVeque 1979: sums of squares are merged around the common mean, as
    E[x^2] - E[x]^2 would cancel.
    """
    variance, mean = torch.var_mean(x, dim=0, correction=0)
    count = mean.new_full((1,), len(x), dtype=torch.float64)
    own = torch.cat([mean.double(), variance.double(), count])
    rows = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(rows, own)
    means, variances, counts = torch.stack(rows).tensor_split([len(mean), 2 * len(mean)], dim=1)
    weights = counts / counts.sum()
    mean = (weights * means).sum(0)
    variance = (weights * (variances + (means - mean).square())).sum(0)
    return mean, variance, counts.sum()
