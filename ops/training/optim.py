"""TSN's parameter groups and the learning-rate schedules."""

import math
from collections.abc import Callable, Sequence

from torch import nn
from torch.optim import SGD

from ops.models import BATCH_NORMS, TSN


def parameter_groups(model: TSN, boost_classifier: bool = True) -> list[dict]:
    """Groups with `lr_mult` and `decay_mult` as in TSN (Wang et al., ECCV 2016; TSM's training code).

    Biases learn twice as fast and do not decay, BatchNorm does not decay, frozen BatchNorm is left out; with
    `boost_classifier` the classifier learns 5 times as fast, its bias 10 times. So does the first convolution of Flow.
    """
    weights, biases, norms, fast_weights, fast_biases = [], [], [], [], []
    for module in model.modules():
        if isinstance(module, BATCH_NORMS):
            norms += [parameter for parameter in module.parameters() if parameter.requires_grad]
        elif isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            first = module is model.base_model.conv1 and model.modality == "Flow"
            boosted = first or (boost_classifier and module is model.new_fc)
            (fast_weights if boosted else weights).append(module.weight)
            if module.bias is not None:
                (fast_biases if boosted else biases).append(module.bias)
    groups = [
        {"name": "weights", "params": weights, "lr_mult": 1, "decay_mult": 1},
        {"name": "biases", "params": biases, "lr_mult": 2, "decay_mult": 0},
        {"name": "norms", "params": norms, "lr_mult": 1, "decay_mult": 0},
        {"name": "fast weights", "params": fast_weights, "lr_mult": 5, "decay_mult": 1},
        {"name": "fast biases", "params": fast_biases, "lr_mult": 10, "decay_mult": 0},
    ]
    return [group for group in groups if group["params"]]


def build_sgd(model: TSN, lr: float, momentum: float, weight_decay: float, boost_classifier: bool = True) -> SGD:
    """SGD over `parameter_groups`."""
    groups = parameter_groups(model, boost_classifier)
    for group in groups:
        group["weight_decay"] = weight_decay * group["decay_mult"]
    optimizer = SGD(groups, lr=lr, momentum=momentum)
    set_lr(optimizer, lr)
    return optimizer


def load_momenta(optimizer: SGD, stored: dict) -> None:
    """Go on with the momenta of an optimizer's state dict, but with this run's rates, momentum and weight decay.

    Raises ValueError where it was made for other parameter groups, or another error where it is none.
    """
    own = optimizer.state_dict()["param_groups"]
    if [group["params"] for group in own] != [group["params"] for group in stored["param_groups"]]:
        raise ValueError("parameter groups differ")
    optimizer.load_state_dict({"state": stored["state"], "param_groups": own})
    if any(value.shape != weights.shape for weights, state in optimizer.state.items() for value in state.values()):
        raise ValueError("momenta are not as large as their weights")


def set_lr(optimizer: SGD, lr: float) -> None:
    """Give every group its multiple of the base learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_mult"]


def step_lr(lr: float, epoch: int, epochs: int, lr_steps: Sequence[float]) -> float:
    """A tenth after each of `lr_steps` epochs."""
    return lr * 0.1 ** sum(epoch >= step for step in lr_steps)


def cosine_lr(lr: float, epoch: int, epochs: int, lr_steps: Sequence[float]) -> float:
    """Half a cosine from lr to 0 (Loshchilov and Hutter, ICLR 2017), without restarts."""
    return 0.5 * lr * (1 + math.cos(math.pi * epoch / epochs))


SCHEDULES: dict[str, Callable[[float, int, int, Sequence[float]], float]] = {"step": step_lr, "cos": cosine_lr}
