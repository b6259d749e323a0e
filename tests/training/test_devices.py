"""The device of a run."""

import pytest
import torch

from ops.errors import InputError
from ops.training.devices import pick_device


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta", ""])
def test_devices_that_are_not_there(name):
    with pytest.raises(InputError, match="cannot be used here .*--device cpu"):
        pick_device(name)


def test_device():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device(None).type in ("cpu", "cuda", "mps")
