"""The inference machine: a bijection, plain autograd's gradients, memory that steps do not take."""

import pytest
import torch

from pointgen.networks.irim import InferenceMachine

FACTS = 2


@pytest.fixture
def machine():
    found = InferenceMachine(width=8, hidden=12, facts=FACTS, steps=4)
    for parameter in found.parameters():  # it begins as the identity
        parameter.data += 0.05 * torch.randn_like(parameter)
    return found


@pytest.fixture
def given():
    return torch.randn(2, 20, 3), torch.randn(2, 14, 3), torch.randn(2, 20, FACTS)


def gradients(machine, given, plain):
    points, seen, facts = given
    points = points.clone().requires_grad_()
    chain = machine.chain(seen, 5)
    streams = machine.start(points, seen, facts)
    estimate = (chain.plain if plain else chain)(*streams)[1][..., :3]
    (estimate.sin().sum() + estimate.square().sum()).backward()
    found = [points.grad] + [parameter.grad for parameter in machine.parameters()]
    machine.zero_grad()
    return found


def test_the_steps_can_be_undone(machine, given):
    points, seen, facts = given
    start, chain = machine.start(points, seen, facts), machine.chain(seen, 8)
    end = chain(*start)
    assert (end[1] - start[1])[..., :3].abs().mean() > 0.1
    for back, x in zip(chain.inverse(*end), start, strict=True):
        torch.testing.assert_close(back, x, rtol=1e-10, atol=1e-10)


def test_gradients_are_those_of_plain_autograd(machine, given):
    expected = gradients(machine, given, plain=True)
    for one, other in zip(gradients(machine, given, plain=False), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
        assert one.abs().sum() > 0


def test_steps_that_are_not_taken_get_a_gradient_of_zero(machine, given):
    """Else the processes of a training would wait for it."""
    machine(*given, 2).square().sum().backward()
    taken = [p.grad.abs().sum() > 0 for p in machine.listen.parameters()]
    each = len(taken) // 4
    assert taken == [True] * 2 * each + [False] * 2 * each


def test_more_steps_are_the_last_one_again(machine, given):
    _, seen, _ = given
    steps = machine.chain(seen, 6).steps
    assert [step.g for step in steps[1::2]] == [*machine.move, machine.move[3], machine.move[3]]


def test_several_clouds_may_wait_for_their_backward_pass(machine, given):
    """Each recomputation sees the cloud that its forward pass saw."""
    points, seen, facts = given
    clouds = [seen, 0.5 * seen[:, :9]]
    losses = [machine(points, cloud, facts, 3).square().sum() for cloud in clouds]
    sum(losses).backward()
    found = [parameter.grad for parameter in machine.parameters()]
    machine.zero_grad()
    for cloud in clouds:
        machine(points, cloud, facts, 3).square().sum().backward()
    for one, parameter in zip(found, machine.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad)


def test_kept_bytes_do_not_grow_with_the_steps(machine, given):
    def kept(steps, plain):
        points, seen, facts = given
        known = {p.untyped_storage().data_ptr() for p in machine.parameters()}
        sizes = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        chain = machine.chain(seen, steps)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            streams = machine.start(points, seen, facts)
            end = (chain.plain if plain else chain)(*streams)
        del end
        return sum(sizes.values())

    assert kept(64, plain=False) == kept(2, plain=False)
    assert kept(64, plain=True) > 10 * kept(64, plain=False)


def test_the_order_of_points_does_not_matter(machine, given):
    points, seen, facts = given
    order, other = torch.randperm(20), torch.randperm(14)
    found = machine(points[:, order], seen[:, other], facts[:, order], 3)
    torch.testing.assert_close(found, machine(points, seen, facts, 3)[:, order])


def test_the_path_ends_where_the_steps_do(machine, given):
    points, seen, facts = given
    path = machine.path(points, seen, facts, 3)
    assert path.shape == (2, 4, 20, 3)
    assert torch.equal(path[:, 0], points)
    for steps in (1, 3):
        torch.testing.assert_close(path[:, steps], machine(points, seen, facts, steps))


def test_it_begins_as_the_identity(given):
    points, seen, facts = given
    machine = InferenceMachine(width=8, hidden=12, facts=FACTS, steps=4)
    assert torch.equal(machine(points, seen, facts, 4), points)


def test_half_precision_keeps_the_streams_and_finds_them_again(machine, given):
    points, seen, facts = (x.float() for x in given)
    machine.float()
    with torch.autocast("cpu", torch.bfloat16):
        found = machine(points, seen, facts, 4)
    exact = machine(points, seen, facts, 4)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.1, atol=0.1)
    found.square().sum().backward()  # a drift would be an error
