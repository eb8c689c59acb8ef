import numpy as np
import pytest
import torch

from pointgen.metrics import store as module
from pointgen.metrics.store import Store, fingerprint


def test_what_was_put_comes_back_from_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)
    first = Store(tmp_path / "new" / "a.npz")
    first.put({"one/two": np.arange(3.0)})
    first.put({"three": np.eye(2)})
    second = Store(tmp_path / "new" / "a.npz")
    assert sorted(second.names()) == ["one/two", "three"]
    np.testing.assert_array_equal(second.get("one/two"), np.arange(3.0))
    assert second.get("four") is None
    second.close()
    assert not any((tmp_path / "new").iterdir())


def test_it_writes_seldom(tmp_path):
    store = Store(tmp_path / "a.npz")
    store.put({"a": np.zeros(1)})
    assert not (tmp_path / "a.npz").exists()
    np.testing.assert_array_equal(store.get("a"), [0])


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
