"""What a training needs to continue: one safetensors file, replaced whole, the last one kept."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from pointgen.files import atomic
from pointgen.training.checkpoint import RunError, check_fit, solid

__all__ = ["Facts", "has_state", "pack", "read_state", "unpack", "write_state"]

LAST = "last.safetensors"
PREVIOUS = "previous.safetensors"
NEW = "new.safetensors"  # for the moment between being complete and being the last


@dataclass(frozen=True)
class Facts:
    """The numbers of a state.

    Attributes:
        step: steps done.
        best: lowest validation loss so far.
        seconds: time spent training.
        scaler: state of the gradient scaler, with fp16.
        meter: what the running means are made of, see `Meter.state`.
        shapes: what was trained on, see `mark` of the stream.
    """

    step: int = 0
    best: float | None = None
    seconds: float = 0.0
    scaler: Mapping[str, float] = field(default_factory=dict)
    meter: Mapping[str, object] = field(default_factory=dict)
    shapes: str = ""


def pack(model: nn.Module, average: nn.Module | None, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return copies of all tensors that a step changes, by name."""
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    if average is not None:
        tensors |= {f"ema.{name}": t for name, t in average.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    return {name: solid(tensor) for name, tensor in tensors.items()}


def unpack(
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    average: nn.Module | None,
    optimizer: Optimizer,
) -> None:
    """Put the tensors of `pack` back.

    Raises:
        RunError: They belong to another model.
    """
    _put("model.", tensors, model)
    if average is not None:
        _put("ema.", tensors, average)
    parameters = dict(model.named_parameters())
    for name, tensor in _below("optimizer.", tensors).items():
        key, _, parameter = name.partition(".")
        owner = parameters[parameter]
        # As in torch's fused Adam, the counts of steps lie beside the moments.
        optimizer.state[owner][key] = tensor.to(owner.device)


def has_state(folder: Path) -> bool:
    """Whether the run's `state` folder holds a state, be it readable or not."""
    return (folder / LAST).exists() or (folder / PREVIOUS).exists()


def write_state(folder: Path, tensors: dict[str, Tensor], facts: Facts) -> None:
    """Write a state as the last one; what was the last one becomes the previous one."""
    text = json.dumps(asdict(facts))
    metadata = {"facts": text, "checksum": _checksum(tensors, text)}
    with atomic(folder / NEW) as temporary:
        save_file(tensors, temporary, metadata=metadata)
    if (folder / LAST).exists():  # only now: it may be damaged, and the previous one all there is
        (folder / LAST).replace(folder / PREVIOUS)
    (folder / NEW).replace(folder / LAST)


def read_state(folder: Path, say: Callable[[str], None]) -> tuple[dict[str, Tensor], Facts] | None:
    """Read the last state, or the previous one where the last is damaged; None: there is none.

    Args:
        folder: the run's `state` folder.
        say: told in one line when the previous state had to be taken.

    Raises:
        RunError: There are states, but none can be read.
    """
    problems = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            problems += [f"{path}: missing"]
            continue
        try:
            tensors, facts = _read(path)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            problems += [f"{path}: damaged ({error})"]
            continue
        if problems:
            say(f"{problems[0]}; continuing from {path.name}, step {facts.step}")
        return tensors, facts
    if has_state(folder):
        raise RunError("; ".join(problems))
    return None


def _read(path: Path) -> tuple[dict[str, Tensor], Facts]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata["checksum"] != _checksum(tensors, metadata["facts"]):
        raise ValueError("the checksum is wrong")
    return tensors, Facts(**json.loads(metadata["facts"]))


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """Return a CRC-32: safetensors notices a file cut short, but not a changed byte."""
    total = zlib.crc32(text.encode())
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def _put(prefix: str, tensors: Mapping[str, Tensor], model: nn.Module) -> None:
    weights = _below(prefix, tensors)
    check_fit(model.state_dict(), weights, Path(LAST))
    model.load_state_dict(weights)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
