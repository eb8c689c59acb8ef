"""The command line as several processes, started by `torchrun` or `accelerate launch`.

Launchers tell each process by the environment who it is (RANK of WORLD_SIZE, LOCAL_RANK of its
node) and where all meet (MASTER_ADDR, MASTER_PORT). Without that, nothing here does anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from pointgen.cli.console import Advance, progress

if TYPE_CHECKING:
    from pointgen.processes import Share

__all__ = ["bar", "first", "leave", "node_first", "plain", "speaks", "stands_by", "together"]

_T = TypeVar("_T")

SHARED_VERBS = frozenset({"train", "demo", "generate", "evaluate"})
WORK_WAIT = timedelta(hours=24)  # for the process that has most to do; crashes are noticed at once
STORE_WAIT = timedelta(seconds=5)


def stands_by(arguments: list[str]) -> bool:
    """Whether this process has nothing to do: the main one alone does a verb that is not shared."""
    verb = next((argument for argument in arguments if not argument.startswith("-")), "")
    return not first() and verb not in SHARED_VERBS


def first() -> bool:
    """Whether this process is the main one, or the only one."""
    return _size() == 1 or _rank() == 0


@contextmanager
def together() -> Iterator[Share]:
    """Join the processes that were launched with this one for a while; yield this one's share."""
    from pointgen.processes import Share

    if _size() == 1:
        yield Share()
        return
    from torch import cuda, distributed

    if cuda.is_available():
        cuda.set_device(_local_rank() % cuda.device_count())
    # By way of the CPUs: what is exchanged is little, and a GPU need not wait at work for others.
    distributed.init_process_group("gloo", timeout=WORK_WAIT)
    yield Share(_rank(), _size())
    distributed.barrier()  # the first to go would take the others' connections along
    distributed.destroy_process_group()


def node_first(work: Callable[[], _T], share: Share) -> _T:
    """Do work that may fill a cache, in an order in which no process does it for nothing."""
    from pointgen.processes import node_by_node

    return node_by_node(work, rank=share.rank, local_rank=_local_rank(), patience=WORK_WAIT)


def bar(title: str, share: Share) -> AbstractContextManager[Advance]:
    """Show the progress of the main process; of the others, nothing."""
    return progress(title) if share.main else nullcontext(lambda done, total: None)


def speaks() -> bool:
    """Whether this process, which has failed, is the first of all and so the one to say why.

    The others fail because of it, or for the same reason.
    """
    if _size() == 1:
        return True
    from torch.distributed import TCPStore

    host, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "0")
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = TCPStore(host, int(port), is_master=False, timeout=STORE_WAIT)
        return store.add(f"pointgen/failed/{attempt}", 1) == 1
    except (RuntimeError, ValueError):  # whoever kept it is gone: better said twice than never
        return True


def plain(message: str) -> str:
    """Return an error's message, or what it means where it tells of a broken connection."""
    if _size() > 1 and "gloo/transport" in message:
        return "another process has ended without a word; the launcher says how"
    return message


def leave(status: int) -> None:
    """End this process after an error, at once if it is one of several.

    An orderly end would wait for others, which wait for this one until the launcher ends them.
    """
    if _size() == 1:
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


def _size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
