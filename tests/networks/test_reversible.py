"""Reversible sequences are plain networks but for the memory, and say so when they are not."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from pointgen.networks.irevnet import PairSqueeze
from pointgen.networks.reversible import AdditiveBlock, DriftError, ReversibleSequence

WIDTH = 6


def layers(width=WIDTH):
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, width))


def blocks(depth):
    return [AdditiveBlock(layers(), layers(), depth**-0.5) for _ in range(depth)]


def streams(**options):
    return [torch.randn(3, 8, WIDTH, **options) for _ in range(2)]


def gradients(sequence, inputs, way=None):
    """Gradients of a loss that sees both streams, for the inputs and for every parameter."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    y1, y2 = (way or sequence)(*inputs)
    (y1.sin().sum() + (y1 * y2).sum() + y2.square().sum()).backward()
    found = [x.grad for x in inputs] + [p.grad for p in sequence.parameters()]
    sequence.zero_grad()
    return found


class Kept:
    """Bytes that autograd keeps for a backward pass, besides the parameters."""

    def __init__(self, network):
        self.known = {p.untyped_storage().data_ptr() for p in network.parameters()}
        self.bytes = 0

    def pack(self, tensor):
        place = tensor.untyped_storage().data_ptr()
        if place not in self.known:
            self.known.add(place)
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor

    @classmethod
    def by(cls, network, *inputs, way=None):
        kept = cls(network)
        with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor):
            outputs = (way or network)(*inputs)
        del outputs
        return kept.bytes


@pytest.mark.parametrize("depth", [1, 5])
def test_gradients_are_those_of_plain_autograd(depth):
    sequence = ReversibleSequence(blocks(depth))
    inputs = streams()
    expected = gradients(sequence, inputs, sequence.plain)
    for one, other in zip(gradients(sequence, inputs), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert sequence.watch.drift < 1e-14


def test_steps_may_change_the_form_of_the_streams():
    wide = [AdditiveBlock(layers(2 * WIDTH), layers(2 * WIDTH), 0.5)]
    sequence = ReversibleSequence([*blocks(2), PairSqueeze(), *wide])
    inputs = streams()
    expected = gradients(sequence, inputs, sequence.plain)
    for one, other in zip(gradients(sequence, inputs), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_the_inverse_gives_the_inputs_back():
    sequence = ReversibleSequence([*blocks(4), PairSqueeze()])
    inputs = streams()
    for back, x in zip(sequence.inverse(*sequence(*inputs)), inputs, strict=True):
        torch.testing.assert_close(back, x, rtol=1e-13, atol=1e-13)


def test_kept_bytes_do_not_grow_with_depth():
    def kept(depth, plain):
        sequence = ReversibleSequence(blocks(depth))
        inputs = [x.requires_grad_() for x in streams()]
        return Kept.by(sequence, *inputs, way=sequence.plain if plain else None)

    both = 2 * 3 * 8 * WIDTH * 8  # bytes of the two streams
    assert kept(2, plain=False) == kept(40, plain=False)
    assert both <= kept(40, plain=False) < 2.5 * both  # the outputs, and the probes of small ones
    assert kept(40, plain=True) > 19 * kept(2, plain=True)


def test_what_needs_no_gradient_gets_none():
    sequence = ReversibleSequence(blocks(3))
    frozen = sequence.steps[1].f
    frozen.requires_grad_(False)
    inputs = streams()  # as the first layer of a model, these need none either
    sequence(*inputs)[1].square().sum().backward()
    found = [p.grad for p in sequence.parameters()]
    sequence.zero_grad()
    sequence.plain(*inputs)[1].square().sum().backward()
    for one, parameter in zip(found, sequence.parameters(), strict=True):
        if one is None:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(one, parameter.grad)
    assert all(p.grad is None for p in frozen.parameters())


def test_blocks_may_share_their_weights():
    shared = layers()
    sequence = ReversibleSequence(AdditiveBlock(shared, shared, 0.5) for _ in range(3))
    inputs = streams()
    expected = gradients(sequence, inputs, sequence.plain)
    for one, other in zip(gradients(sequence, inputs), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_without_gradients_nothing_is_kept():
    sequence = ReversibleSequence(blocks(3)).eval()
    inputs = streams()
    expected = sequence(*inputs)
    for way in (torch.no_grad, torch.inference_mode):
        with way():
            found = sequence(*inputs)
        assert not found[0].requires_grad
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_autocast_leaves_the_streams_in_single_precision():
    """The recomputation is under the autocast of the forward pass, though it is over by then."""
    sequence = ReversibleSequence(blocks(8)).float()
    inputs = streams(dtype=torch.float32)

    def autocast(way):
        def call(*x):
            with torch.autocast("cpu", torch.bfloat16):
                y = way(*x)
            assert y[0].dtype == y[1].dtype == torch.float32
            return y

        return call

    expected = gradients(sequence, inputs, autocast(sequence.plain))
    exact = gradients(sequence, inputs, sequence.plain)
    found = gradients(sequence, inputs, autocast(sequence))
    for one, half, single in zip(found, expected, exact, strict=True):
        assert one.dtype == torch.float32
        # Nearer to plain autograd in half precision than that is to single precision.
        assert (one - half).norm() < 0.5 * (half - single).norm()
    assert 0 < sequence.watch.drift < 1e-3


def test_half_precision_inputs_become_single():
    sequence = ReversibleSequence(blocks(2)).float()
    with torch.autocast("cpu", torch.bfloat16):
        y1, y2 = sequence(*streams(dtype=torch.bfloat16))
    assert y1.dtype == y2.dtype == torch.float32


def test_autocast_does_not_lose_gradients_of_weights_that_are_used_again():
    """A weight that was cast without gradients must not be found in autocast's cache."""
    torch.set_default_dtype(torch.float32)
    shared = nn.Linear(WIDTH, WIDTH)
    sequence = ReversibleSequence([AdditiveBlock(shared, nn.Linear(WIDTH, WIDTH), 1.0)])

    def gradient(way):
        shared.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            y1, _ = way(*inputs)
            loss = shared(y1).float().square().sum()
        loss.backward()
        return shared.weight.grad.clone()

    inputs = streams()
    torch.testing.assert_close(gradient(sequence), gradient(sequence.plain), rtol=2e-2, atol=2e-2)


def test_a_network_that_cannot_be_recomputed_is_an_error():
    dropping = nn.Sequential(layers(), nn.Dropout(0.5))
    sequence = ReversibleSequence([*blocks(2), AdditiveBlock(dropping, layers(), 1.0)])
    with pytest.raises(
        DriftError, match=r"^reversible network of 3 steps: .* \d+% off, at most 5%"
    ):
        sequence(*streams())[0].sum().backward()


def test_drift_is_watched_in_the_first_pass_and_every_fiftieth():
    sequence = ReversibleSequence(blocks(1))
    watched = []
    for number in range(102):
        sequence.watch.drift = -1.0
        sequence(*streams())[0].sum().backward()
        watched += [number] if sequence.watch.drift >= 0 else []
    assert watched == [0, 50, 100]


def test_weights_changed_before_the_backward_pass_are_an_error():
    sequence = ReversibleSequence(blocks(2))
    outputs = sequence(*streams())
    with torch.no_grad():
        next(sequence.parameters()).add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs[0].sum().backward()


def test_second_derivatives_are_refused():
    sequence = ReversibleSequence(blocks(1))
    x1, x2 = (x.requires_grad_() for x in streams())
    (grad,) = torch.autograd.grad(sequence(x1, x2)[1].square().sum(), x1, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_a_compiled_model_steps_over_it():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inlet = nn.Linear(3, 2 * WIDTH)
            self.sequence = ReversibleSequence(blocks(2))

        def forward(self, x):
            y1, y2 = self.sequence(*self.inlet(x).chunk(2, dim=-1))
            return (y1 * y2).sum()

    model, points = Model(), torch.randn(2, 5, 3)
    twin = copy.deepcopy(model)
    torch.compile(model, backend="eager")(points).backward()
    twin(points).backward()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


PROCESSES = """
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from pointgen.networks.revnet import RevNetConfig

torch.set_default_dtype(torch.float64)
distributed.init_process_group("gloo")
rank = distributed.get_rank()
torch.manual_seed(0)
network = RevNetConfig(depth=3, width=4, hidden=4, pooled=4, head=(4,)).build(2)
points = torch.randn(4, 10, 3)
network(points)[0].square().mean().backward()
expected = [p.grad.clone() for p in network.parameters()]
network.zero_grad()
wrapped = DistributedDataParallel(network)
wrapped(points[2 * rank : 2 * rank + 2])[0].square().mean().backward()
for parameter, whole in zip(network.parameters(), expected, strict=True):
    torch.testing.assert_close(parameter.grad, whole)
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_gradients_of_two_processes_are_averaged(tmp_path):
    program = tmp_path / "two.py"
    program.write_text(PROCESSES)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(program)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
