import numpy as np
import pytest
import torch

from pointgen.metrics import store as module
from pointgen.metrics.store import Store, fingerprint


def test_what_was_put_comes_back_from_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)
    first = Store(tmp_path / "new" / "a.npz")
    first.put(lambda: {"one/two": np.arange(3.0)})
    first.put(lambda: {"three": np.eye(2)})
    second = Store(tmp_path / "new" / "a.npz")
    assert sorted(second.names()) == ["one/two", "three"]
    np.testing.assert_array_equal(second["one/two"], np.arange(3.0))
    second.close()
    assert not any((tmp_path / "new").iterdir())


def test_it_writes_seldom(tmp_path):
    store = Store(tmp_path / "a.npz")
    store.put(lambda: pytest.fail("asked too early"))
    assert not (tmp_path / "a.npz").exists()


def test_without_a_place_to_write_the_work_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "a.npz")
    with pytest.warns(UserWarning, match=r"a\.npz: cannot be written .* will cost all the work"):
        store.put(lambda: {"a": np.zeros(1)})
    store.put(lambda: pytest.fail("there is no place any more"))
    store.close()
    Store(tmp_path / "file" / "b.npz").close()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut short"])
def test_a_damaged_file_counts_as_empty(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    assert Store(tmp_path / "a.npz").names() == []


def test_a_pickle_in_the_file_is_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", bad=np.array([{}], dtype=object))
    assert Store(tmp_path / "a.npz").names() == []


def test_a_fingerprint_tells_clouds_names_and_settings_apart():
    clouds = {"samples": torch.zeros(2, 5, 3)}
    same = fingerprint(clouds, "CD", 3)
    assert same == fingerprint({"samples": torch.zeros(2, 5, 3)}, "CD", 3)
    others = [
        fingerprint({"samples": torch.zeros(5, 2, 3)}, "CD", 3),
        fingerprint({"samples": torch.zeros(2, 5, 3) + 1e-7}, "CD", 3),
        fingerprint({"reference": torch.zeros(2, 5, 3)}, "CD", 3),
        fingerprint(clouds, "EMD", 3),
    ]
    assert len({same, *others}) == 5
