"""The device of a run."""

import pytest
import torch

from ops.errors import InputError
from ops.training.devices import pick_device
from ops.training.processes import Processes


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta", ""])
def test_devices_that_are_not_there(name):
    with pytest.raises(InputError, match="cannot be used here .*--device cpu"):
        pick_device(name)


def test_device():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device(None).type in ("cpu", "cuda", "mps")


def test_a_gpu_becomes_the_current_one(monkeypatch):
    """Else its precision and its memory would be those of the first."""
    calls = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: calls.append(f"current {device}"))
    monkeypatch.setattr(torch, "ones", lambda n, device: calls.append(f"used {device}") or torch.zeros(n))
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert calls == ["current cuda:1", "used cuda:1"]
    calls.clear()
    assert pick_device("cuda") == torch.device("cuda") and calls == ["used cuda"]
    calls.clear()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert pick_device("cuda", processes=Processes(5, 8, 1)) == torch.device("cuda:1")
    assert calls == ["current cuda:1", "used cuda:1"]
