"""The state on disk: complete, or refused; never code."""

import pickle
from pathlib import Path

import pytest
import torch

from pointgen.batch import collate
from pointgen.files import FileError
from pointgen.training import RunError, state
from pointgen.training.state import Facts, pack, read_state, unpack, write_state

FACTS = Facts(7, 0.1, 3.5, {"scale": 2.0}, {"names": ["loss"], "sums": [1 / 3], "count": 1})


def tensors(fill=1.0):
    return {"b": torch.full((2, 3), fill), "a": torch.tensor(3), "c": torch.empty(0)}


def states(folder):
    write_state(folder, tensors(1.0), Facts(1))
    write_state(folder, tensors(2.0), Facts(2))
    return folder / "last.safetensors"


def test_comes_back_exactly(tmp_path):
    write_state(tmp_path, tensors(1 / 3), FACTS)
    found, facts = read_state(tmp_path, pytest.fail)
    assert facts == FACTS
    assert {n: (t.dtype, t.tolist()) for n, t in found.items()} == {
        n: (t.dtype, t.tolist()) for n, t in tensors(1 / 3).items()
    }


def test_no_state_is_none(tmp_path):
    assert read_state(tmp_path / "nowhere", pytest.fail) is None


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))


def empty(path):
    path.write_bytes(b"")


def foreign(path):
    path.write_bytes(pickle.dumps(Bomb(path.parent / "exploded")))


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("damage", [cut, flip, empty, foreign, Path.unlink])
def test_damaged_state_falls_back_and_says_so(tmp_path, damage):
    damage(states(tmp_path))
    said = []
    found, facts = read_state(tmp_path, said.append)
    assert facts.step == 1 and found["b"][0, 0] == 1.0
    assert len(said) == 1 and "last.safetensors" in said[0] and "step 1" in said[0]
    assert not (tmp_path / "exploded").exists()


def test_two_damaged_states_are_an_error(tmp_path):
    cut(states(tmp_path))
    flip(tmp_path / "previous.safetensors")
    with pytest.raises(RunError, match=r"last\.safetensors: damaged.*previous\.safetensors"):
        read_state(tmp_path, pytest.fail)


def test_packs_all_that_a_step_changes(toy):
    model, twin = toy.Toy(), toy.Toy()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    other = torch.optim.Adam(twin.parameters(), fused=True)
    for step in range(4):
        if step == 2:
            unpack(pack(model, None, optimizer), twin, None, other)
        for each, adam in ((model, optimizer), (twin, other)):
            torch.manual_seed(step)
            adam.zero_grad()
            each.loss(collate([toy.Clouds()[i] for i in range(3)])).total.backward()
            adam.step()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, twin.state_dict()[name]), name


def test_state_of_another_model_is_refused(toy):
    model, wide = toy.Toy(), toy.Toy(width=5)
    packed = pack(wide, None, torch.optim.Adam(wide.parameters()))
    with pytest.raises(RunError, match=r"layer\.weight"):
        unpack(packed, model, None, torch.optim.Adam(model.parameters()))


def test_state_of_another_architecture_is_told_shortly(toy):
    packed = {f"model.layer.{i}": torch.zeros(1) for i in range(25)}
    packed |= {f"model.{name}": t for name, t in toy.Toy().state_dict().items()}
    model = toy.Toy()
    with pytest.raises(RunError, match="and 23 more not part of it") as caught:
        unpack(packed, model, None, torch.optim.Adam(model.parameters()))
    assert len(str(caught.value)) < 200


def test_a_full_disk_costs_neither_the_damaged_state_nor_the_good_one(tmp_path, monkeypatch):
    flip(states(tmp_path))

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises((OSError, FileError)):
        write_state(tmp_path, {"b": torch.ones(1)}, Facts(step=3))
    assert read_state(tmp_path, lambda text: None)[1].step == 1
    monkeypatch.undo()
    write_state(tmp_path, {"b": torch.ones(1)}, Facts(step=3))
    assert read_state(tmp_path, pytest.fail)[1].step == 3
    assert {path.name for path in tmp_path.iterdir()} == {
        "last.safetensors",
        "previous.safetensors",
    }
