"""Official PointFlow weights as a model of ours, and back; nothing here touches a file.

The official code integrates a field f from data at time 0 to noise at time T; ours is
v(t, x, c) = -T f(T (1 - t), x, c), so equal tensors are equal models and only names change.
Source: Yang et al. 2019 and the code that its authors published.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pointgen.interop.deduce import Hints, deduce
from pointgen.interop.limits import check_official, constant_time
from pointgen.interop.names import LEVELS, counters, names
from pointgen.models.pointflow import PointFlow

__all__ = ["adam_state", "from_official", "to_official", "training_steps"]

SEEN = "encoder.trunk.1.num_batches_tracked"  # batches that the encoder was trained on


def from_official(tensors: Mapping[str, Tensor], hints: Hints | None = None) -> PointFlow:
    """Build our model from the state dict of an official one; in eval mode, its units 0 and 1.

    Args:
        tensors: the official state dict, with or without `module.` anywhere in its keys.
        hints: what keys and shapes leave open.

    Raises:
        ValueError: A key is missing, surplus, of a wrong shape or type or not finite; or the
            model is none that the official code could have built, or that ours can hold.
    """
    official = _unwrapped(tensors)
    config = deduce(
        {key: tuple(tensor.shape) for key, tensor in official.items()}, hints or Hints()
    )
    check_official(config)
    table = names(config)
    _check_keys(official, table.keys() | counters(config).keys())
    # Compared first by their shapes alone, lest a hostile file makes us build a giant.
    with torch.device("meta"):
        wanted = config.build().state_dict()
    for key, own in table.items():
        _check_tensor(key, official[key], _shape(key, wanted[own]))
    _check_one_slope(official)
    with torch.random.fork_rng(devices=[]):  # initial weights are random, and overwritten here
        model = config.build()
    state = {own: official[key].reshape(wanted[own].shape) for key, own in table.items()}
    model.load_state_dict(model.state_dict() | state)
    return model.eval()


def to_official(model: PointFlow) -> dict[str, Tensor]:
    """Return the state dict of the official model that equals ours, with its `module.` prefixes.

    Raises:
        ValueError: The official code cannot hold this model.
    """
    check_official(model.config)
    constant_time(model)
    own = model.state_dict()
    state = {
        key: own[name].reshape(_shape(key, own[name])) for key, name in names(model.config).items()
    }
    _check_one_slope(state)
    for key, shape in counters(model.config).items():
        # Its batch norms count the batches of the training, as the encoder's do; evaluations of
        # the field are counted anew in every solve.
        count = float(own[SEEN]) if key.endswith(".step") else 0.0
        state[key] = torch.full(shape, count)
    return {_wrapped(key): tensor.detach().cpu().clone() for key, tensor in state.items()}


def training_steps(model: PointFlow) -> int:
    """Return how many steps a model was trained for, as its encoder counted them."""
    return int(model.state_dict()[SEEN])


def adam_state(model: PointFlow, lr: float) -> dict[str, object]:
    """Return the state of an Adam that has made no step yet, over the official parameters."""
    count = 0
    for part in LEVELS.values():
        keys = [name for name, _ in model.named_parameters() if name.startswith(f"{part}.")]
        slopes = sum(name.endswith(".beta") for name in keys)
        count += len(keys) - max(0, slopes - 1)  # the official slope is one parameter
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(())) for _ in range(count)], lr=lr)
    return adam.state_dict()


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by their names without the `module.` of DataParallel."""
    plain: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = ".".join(part for part in key.split(".") if part != "module")
        if name in plain:
            raise ValueError(f"{name}: is there twice, with and without module.")
        plain[name] = tensor
    return plain


def _wrapped(key: str) -> str:
    part, rest = key.split(".", 1)
    return f"{part}.module.{rest}"


def _shape(key: str, tensor: Tensor) -> tuple[int, ...]:
    """Return the official shape of a tensor of ours: theirs are convolutions of one point."""
    return (
        (*tensor.shape, 1)
        if key.startswith("encoder.conv") and tensor.ndim == 2
        else (tuple(tensor.shape))
    )


def _check_keys(found: Mapping[str, Tensor], wanted: set[str]) -> None:
    for what, keys in (("missing", wanted - found.keys()), ("unexpected", found.keys() - wanted)):
        if keys:
            first, *others = sorted(keys)
            more = f" (and {len(others)} more)" if others else ""
            raise ValueError(f"{first}: {what}{more}")


def _check_tensor(key: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{key}: expected shape {shape}, got {tuple(tensor.shape)}")
    counts = key.endswith(".num_batches_tracked")
    if tensor.layout != torch.strided or not (counts or tensor.is_floating_point()):
        raise ValueError(f"{key}: expected plain numbers, got {tensor.dtype}, {tensor.layout}")
    if not tensor.isfinite().all():
        raise ValueError(f"{key}: holds NaN or infinite numbers")
    if key.endswith(".running_var") and (tensor < 0).any():
        raise ValueError(f"{key}: holds negative variances")


def _check_one_slope(official: Mapping[str, Tensor]) -> None:
    """Refuse several slopes of swish: the official code trains a single one for all its nets.

    An average would be another function, and so another model.
    """
    slopes = [float(tensor) for key, tensor in official.items() if key.endswith(".beta")]
    if slopes and min(slopes) != max(slopes):
        raise ValueError(
            f"swish: the official code has one slope for all layers, here they range from "
            f"{min(slopes):.6g} to {max(slopes):.6g}"
        )
