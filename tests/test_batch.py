"""Items become a batch, or say why not."""

import pytest
import torch

from pointgen.batch import Item, collate


def test_a_field_is_in_all_items_or_in_none():
    points = torch.zeros(4, 3)
    plain, full = Item(points, id="a"), Item(points, id="b", target=points, label=0)
    assert collate([plain, plain]).target is None
    assert collate([full, full]).label.tolist() == [0, 0]
    for items in ([plain, full], [full, plain]):
        with pytest.raises(ValueError, match="1 of 2 have a field that others lack"):
            collate(items)
