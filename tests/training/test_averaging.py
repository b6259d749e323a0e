"""The running mean of a model's weights."""

import pytest
import torch

from ops.errors import InputError
from ops.models import build_model
from ops.training.averaging import averaged, restore_unaveraged


def thin(value=None):
    model = build_model("resnet_thin", 4, 2, partial_bn=False)
    if value is not None:
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data.fill_(value)
    return model


def test_the_mean_follows_weights_and_running_statistics():
    model = thin(1.0)
    average = averaged(model, 0.75)
    average.update_parameters(model)  # the first step is the mean itself
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.fill_(2)
    average.update_parameters(model)
    mean = average.module
    assert mean.new_fc.weight.unique().tolist() == [1.25] == mean.base_model.bn1.running_mean.unique().tolist()
    assert model.new_fc.weight.unique().tolist() == [2]


def test_a_compiled_network_is_not_taken_for_that_of_the_mean():
    model = thin()
    model.classify = compiled = lambda x, num_videos: 1 / 0
    mean = averaged(model, 0.9).module.eval()
    assert model.classify is compiled
    assert mean(torch.zeros(3, 3, 32, 32, dtype=torch.uint8), torch.tensor([3])).shape == (1, 4)


def test_going_on():
    model, stored = thin(1.0), thin(2.0)
    average = averaged(model, 0.75)
    restore_unaveraged(model, average, {"unaveraged": stored.state_dict(), "averaged_steps": 7}, "x.pth")
    assert model.new_fc.bias.tolist() == [2] * 4 and average.module.new_fc.bias.tolist() == [1] * 4
    average.update_parameters(model)
    assert average.module.new_fc.bias.tolist() == [1.25] * 4 and int(average.n_averaged) == 8
    restore_unaveraged(model, average, {}, "x.pth")  # of a run without
    assert model.new_fc.bias.tolist() == [2] * 4
    for content in ({"unaveraged": stored.state_dict()}, {"unaveraged": {"new_fc.bias": 3}, "averaged_steps": 7}):
        with pytest.raises(InputError, match="x.pth is damaged: its weights are a mean, of what it does not say"):
            restore_unaveraged(model, average, content, "x.pth")
