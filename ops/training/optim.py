"""Optimizers over TSN's parameter groups, and the learning-rate schedules."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ops.data.modality import MODALITIES
from ops.models import TSN

GROUPS = {  # name -> how many times the rate and the weight decay of the run
    "weights": (1, 1),
    "biases": (2, 0),
    "norms": (1, 0),
    "fast weights": (5, 1),
    "fast biases": (10, 0),
}
ADAPTIVE_GROUPS = GROUPS | {"biases": (1, 0), "fast biases": (5, 0)}  # Adam's steps are as large for small gradients
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def parameter_groups(
    model: TSN, boost_classifier: bool = True, layer_decay: float = 1.0, multiples: dict = GROUPS
) -> list[dict]:
    """Groups with `lr_mult` and `decay_mult` as in TSN (Wang et al., ECCV 2016; TSM's training code).

    Biases learn twice as fast and do not decay, normalisation layers do not decay; with `boost_classifier` the
    classifier learns 5 times as fast, its bias 10 times. So does the first convolution of Flow. What a module calls
    `undecayed` is treated as a normalisation layer's. Whatever is neither that nor a bias is a weight. Each parameter
    that requires a gradient is in one group, frozen ones are in none. With a `layer_decay` below 1 the rate is that
    much smaller with each stage further from the classifier.
    """
    depth = depths(model) if layer_decay != 1 else {}
    fast = [model.new_fc] if boost_classifier and model.consensus.boosted else []
    if MODALITIES[model.modality].fast_first_conv:
        fast.append(model.get_submodule(model.first_conv))
    members = {(name, deep): [] for name in multiples for deep in sorted({0, *depth.values()})}
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
            members[group, depth.get(parameter, 0)].append(parameter)
    return [
        {
            "name": name,
            "params": params,
            "lr_mult": multiples[name][0] * layer_decay**deep,
            "decay_mult": multiples[name][1],
        }
        for (name, deep), params in members.items()
        if params
    ]


def depths(model: TSN) -> dict[nn.Parameter, int]:
    """How many stages lie from each weight of the backbone to the classifier, its own included."""
    found = {}
    for depth, stage in enumerate(reversed(model.base_model.stages), 1):
        for module in model.base_model.stage_modules(stage):
            for parameter in module.parameters():
                found.setdefault(parameter, depth)
    return found


class Kind(NamedTuple):
    """An optimizer: what it is called, how groups become one (rate, momentum, eps), and their multiples."""

    title: str
    build: Callable[[list[dict], float, float, float], Optimizer]
    multiples: dict[str, tuple[float, float]] = ADAPTIVE_GROUPS


OPTIMIZERS = {
    "sgd": Kind("SGD", lambda groups, lr, momentum, eps: SGD(groups, lr, momentum), GROUPS),
    "adam": Kind("Adam", lambda groups, lr, momentum, eps: Adam(groups, lr, (momentum, 0.999), eps)),
    "adamw": Kind("AdamW", lambda groups, lr, momentum, eps: AdamW(groups, lr, (momentum, 0.999), eps)),
}


def build_optimizer(
    model: TSN,
    boost_classifier: bool,
    *,
    optimizer: str,
    lr: float,
    momentum: float,
    wd: float,
    eps: float = 1e-8,
    layer_decay: float = 1.0,
) -> Optimizer:
    """One of `OPTIMIZERS` over `parameter_groups`.

    Those of Adam (Kingma and Ba, ICLR 2015; AdamW: Loshchilov and Hutter, ICLR 2019) take `momentum` as their first
    beta; there biases learn as fast as weights do.
    """
    kind = OPTIMIZERS[optimizer]
    groups = parameter_groups(model, boost_classifier, layer_decay, kind.multiples)
    for group in groups:
        group["weight_decay"] = wd * group["decay_mult"]
    built = kind.build(groups, lr, momentum, eps)
    set_lr(built, lr)
    return built


def build_sgd(model: TSN, lr: float, momentum: float, weight_decay: float, boost_classifier: bool = True) -> Optimizer:
    """SGD over `parameter_groups`."""
    return build_optimizer(model, boost_classifier, optimizer="sgd", lr=lr, momentum=momentum, wd=weight_decay)


def load_momenta(optimizer: Optimizer, stored: dict) -> None:
    """Go on with the momenta of an optimizer's state dict, but with this run's rates, momentum and weight decay.

    Raises ValueError where it was made for other parameter groups, or another error where it is none.
    """
    own = optimizer.state_dict()["param_groups"]
    if [group["params"] for group in own] != [group["params"] for group in stored["param_groups"]]:
        raise ValueError("parameter groups differ")
    optimizer.load_state_dict({"state": stored["state"], "param_groups": own})
    for weights, state in optimizer.state.items():
        if any(value.shape != weights.shape for name, value in state.items() if name != "step"):
            raise ValueError("momenta are not as large as their weights")


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give every group its multiple of the base learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_mult"]


def step_lr(lr: float, epoch: int, epochs: int, lr_steps: Sequence[float], warmup: int = 0) -> float:
    """A tenth after each of `lr_steps` epochs."""
    return lr * 0.1 ** sum(epoch >= step for step in lr_steps)


def cosine_lr(lr: float, epoch: int, epochs: int, lr_steps: Sequence[float], warmup: int = 0) -> float:
    """Half a cosine from lr to 0 (Loshchilov and Hutter, ICLR 2017), without restarts; it begins after the warm-up."""
    return 0.5 * lr * (1 + math.cos(math.pi * max(0, epoch - warmup) / (epochs - warmup)))


def warmup_share(done: int, steps: int) -> float:
    """Which share of the rate a step has, `done` steps of training after the first: a line that ends in 1 (Goyal et
    al., *Accurate, Large Minibatch SGD*, 2017), at the last one of `steps`."""
    return min(1.0, (done + 1) / steps) if steps else 1.0


SCHEDULES: dict[str, Callable[..., float]] = {"step": step_lr, "cos": cosine_lr}  # rates of an epoch
