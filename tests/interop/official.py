"""The official PointFlow, written anew from its formulas: names, shapes and what they mean.

Time runs from data at 0 to noise at T; time and condition are put together for every layer.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch.nn import functional

TRUNK, HEAD = (3, 128, 128, 256, 512), (512, 256, 128)
MAPS = {
    "ignore": (),
    "concat_v2": ("_hyper_bias",),
    "squash": ("_hyper",),
    "scale": ("_hyper",),
    "concatscale": ("_hyper_bias", "_hyper_gate"),
    "concatsquash": ("_hyper_bias", "_hyper_gate"),
}


@dataclass(frozen=True)
class Options:
    zdim: int = 8
    dims: tuple = (12, 10)
    latent_dims: tuple | None = (9, 11)  # None: no latent flow
    blocks: int = 1
    latent_blocks: int = 1
    layer: str = "concatsquash"
    nonlinearity: str = "tanh"
    batch_norm: bool = True
    train_time: bool = True
    deterministic: bool = False


PUBLISHED = Options(zdim=128, dims=(512, 512, 512), latent_dims=(256, 256))
AUTOENCODER = Options(zdim=128, dims=(512, 512, 512), latent_dims=None, deterministic=True)


def shapes(options):
    """Name -> shape of the whole state dict, without `module.`."""
    table = {}
    for i, (wide, out) in enumerate(pairwise(TRUNK), start=1):
        table |= linear(f"encoder.conv{i}", out, wide, 1) | norm(f"encoder.bn{i}", out)
    for suffix in ("",) if options.deterministic else ("_m", "_v"):
        for i, (wide, out) in enumerate(pairwise(HEAD), start=1):
            table |= linear(f"encoder.fc{i}{suffix}", out, wide)
            table |= norm(f"encoder.fc_bn{i}{suffix}", out)
        table |= linear(f"encoder.fc3{suffix}", options.zdim, HEAD[-1])
    table |= flow_shapes("point_cnf", 3, options.dims, options.zdim, options.blocks, options)
    if options.latent_dims is not None:
        table |= flow_shapes(
            "latent_cnf", options.zdim, options.latent_dims, 0, options.latent_blocks, options
        )
    return table


def linear(name, *shape):
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def norm(name, size):
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (size,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def flow_shapes(level, dim, dims, condition, blocks, options):
    table = {}
    norms, cnfs = places(blocks, options)
    for i in norms:
        for part in ("weight", "bias", "running_mean", "running_var"):
            table[f"{level}.chain.{i}.{part}"] = (dim,)
        table[f"{level}.chain.{i}.step"] = (1,)
    for i in cnfs:
        cnf = f"{level}.chain.{i}"
        table[f"{cnf}.odefunc._num_evals"] = ()
        if options.train_time:
            table[f"{cnf}.sqrt_end_time"] = ()
        sizes = (dim, *dims, dim)
        for number, (wide, out) in enumerate(pairwise(sizes)):
            layer = f"{cnf}.odefunc.diffeq.layers.{number}"
            table |= linear(f"{layer}._layer", out, wide)
            for part in MAPS[options.layer]:
                table[f"{layer}.{part}.weight"] = (out, 1 + condition)
                if part != "_hyper_bias":
                    table[f"{layer}.{part}.bias"] = (out,)
        if options.nonlinearity == "swish":
            for number in range(len(dims)):
                table[f"{cnf}.odefunc.diffeq.activation_fns.{number}.beta"] = ()
    return table


def places(blocks, options):
    if options.batch_norm:
        return range(0, 2 * blocks + 1, 2), range(1, 2 * blocks, 2)
    return (), range(blocks)


def state(options):
    """A random state dict; its statistics are as far from their start as its weights."""
    return {key: value(key, shape) for key, shape in shapes(options).items()}


def value(key, shape):
    kind = key.rsplit(".", 1)[1]
    if kind == "num_batches_tracked":
        return torch.tensor(321)
    if kind in ("step", "_num_evals"):
        return torch.full(shape, 321.0 if kind == "step" else 0.0)
    if kind == "running_var":
        return 0.5 + torch.rand(shape)
    if kind == "beta":
        return torch.tensor(1.3)  # one for all layers
    if kind == "sqrt_end_time":
        return 0.6 + 0.2 * torch.rand(shape)
    if ".bn" in key or ".fc_bn" in key:
        return 0.5 + torch.rand(shape)
    return 0.5 * torch.randn(shape) / math.sqrt(shape[1] if len(shape) > 1 else 1)


def encode(weights, options, x):
    """Clouds (B, N, 3) to mean and log-variance (B, zdim); one output if deterministic."""
    x = x.transpose(1, 2)
    for i in range(1, 5):
        conv = weights[f"encoder.conv{i}.weight"], weights[f"encoder.conv{i}.bias"]
        x = batch_norm(weights, f"encoder.bn{i}", functional.conv1d(x, *conv))
        x = x.relu() if i < 4 else x
    pooled = x.max(dim=2).values
    outputs = []
    for suffix in ("",) if options.deterministic else ("_m", "_v"):
        h = pooled
        for i in (1, 2):
            h = batch_norm(
                weights, f"encoder.fc_bn{i}{suffix}", dense(weights, f"fc{i}{suffix}", h)
            )
            h = h.relu()
        outputs.append(dense(weights, f"fc3{suffix}", h))
    return outputs


def dense(weights, name, x):
    return functional.linear(x, weights[f"encoder.{name}.weight"], weights[f"encoder.{name}.bias"])


def batch_norm(weights, name, x):
    parts = ("running_mean", "running_var", "weight", "bias")
    return functional.batch_norm(x, *(weights[f"{name}.{part}"] for part in parts), eps=1e-5)


def field(weights, cnf, options, t, x, context):
    """f(t, x, c) in the official time: x (B, ..., D), context (B, C) or None."""
    time = torch.full((len(x), 1), float(t))
    condition = time if context is None else torch.cat([time, context], dim=1)
    condition = condition.view(len(x), *[1] * (x.ndim - 2), -1)
    net = f"{cnf}.odefunc.diffeq"
    count = sum(key.startswith(f"{net}.layers.") and "_layer.bias" in key for key in weights)
    for number in range(count):
        x = layer(weights, f"{net}.layers.{number}", options, condition, x)
        if number < count - 1:
            x = bent(options.nonlinearity, x)
    return x


def layer(weights, name, options, condition, x):
    y = x @ weights[f"{name}._layer.weight"].T + weights[f"{name}._layer.bias"]
    gate = f"{name}._hyper_gate" if "concat" in options.layer else f"{name}._hyper"
    if f"{gate}.weight" in weights:
        factor = condition @ weights[f"{gate}.weight"].T + weights[f"{gate}.bias"]
        y = y * (torch.sigmoid(factor) if options.layer.endswith("squash") else factor)
    if f"{name}._hyper_bias.weight" in weights:
        y = y + condition @ weights[f"{name}._hyper_bias.weight"].T
    return y


def bent(nonlinearity, x):
    return {
        "tanh": lambda: torch.tanh(x),
        "relu": lambda: x.clamp(min=0),
        "softplus": lambda: torch.log1p(x.exp()),
        "elu": lambda: torch.where(x > 0, x, x.exp() - 1),
        "swish": lambda: x * torch.sigmoid(1.3 * x),
        "square": lambda: x * x,
        "identity": lambda: x,
    }[nonlinearity]()


def end_time(weights, cnf):
    return float(weights[f"{cnf}.sqrt_end_time"]) ** 2


def flow(weights, level, blocks, options, x, context=None):
    """Data to noise, and log|det dz/dx| of each vector."""
    total = torch.zeros(x.shape[:-1])
    norms, cnfs = places(blocks, options)
    for i in sorted([*norms, *cnfs]):
        name = f"{level}.chain.{i}"
        if i in norms:
            x, ladj = moving_norm(weights, name, x)
        else:
            x, ladj = solved(weights, name, options, x, context)
        total = total + ladj
    return x, total


def moving_norm(weights, name, x):
    mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    scale = weights[f"{name}.weight"].exp() / (var + 1e-4).sqrt()
    return (x - mean) * scale + weights[f"{name}.bias"], scale.log().sum().expand(x.shape[:-1])


def solved(weights, cnf, options, x, context, steps=24):
    """Runge-Kutta over [0, T], with the exact divergence."""
    step = end_time(weights, cnf) / steps
    total = torch.zeros(x.shape[:-1])

    def slope(t, at):
        at = at.detach().requires_grad_()
        f = field(weights, cnf, options, t, at, context)
        rows = [torch.autograd.grad(f[..., d].sum(), at, retain_graph=True)[0][..., d]
                for d in range(x.shape[-1])]  # fmt: skip
        return f.detach(), sum(rows)

    for number in range(steps):
        t = number * step
        k1, d1 = slope(t, x)
        k2, d2 = slope(t + step / 2, x + step / 2 * k1)
        k3, d3 = slope(t + step / 2, x + step / 2 * k2)
        k4, d4 = slope(t + step, x + step * k3)
        x = x + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        total = total + step / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return x, total
