"""TSN's parameter groups and the learning-rate schedules."""

import math
from collections.abc import Callable, Sequence

from torch import nn
from torch.optim import SGD

from ops.models import TSN

GROUPS = {  # name -> how many times the rate and the weight decay of the run
    "weights": (1, 1),
    "biases": (2, 0),
    "norms": (1, 0),
    "fast weights": (5, 1),
    "fast biases": (10, 0),
}
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def parameter_groups(model: TSN, boost_classifier: bool = True) -> list[dict]:
    """Groups with `lr_mult` and `decay_mult` as in TSN (Wang et al., ECCV 2016; TSM's training code).

    Biases learn twice as fast and do not decay, normalisation layers do not decay; with `boost_classifier` the
    classifier learns 5 times as fast, its bias 10 times. So does the first convolution of Flow. What a module calls
    `undecayed` is treated as a normalisation layer's. Whatever is neither that nor a bias is a weight. Each parameter
    that requires a gradient is in one group, frozen ones are in none.
    """
    fast = [model.new_fc] if boost_classifier and model.consensus.boosted else []
    if model.modality == "Flow":
        fast.append(model.get_submodule(model.first_conv))
    members = {name: [] for name in GROUPS}
    seen = set()  # a parameter may be shared by two modules
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            if isinstance(module, NORMS) or name in getattr(module, "undecayed", ()):
                group = "norms"
            else:
                group = "biases" if name.startswith("bias") else "weights"
                if any(module is some for some in fast):
                    group = f"fast {group}"
            members[group].append(parameter)
    return [
        {"name": name, "params": params, "lr_mult": GROUPS[name][0], "decay_mult": GROUPS[name][1]}
        for name, params in members.items()
        if params
    ]


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
