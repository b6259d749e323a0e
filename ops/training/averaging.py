"""A running mean of a model's weights over the steps of training (`--ema`), which is what a run then validates.

Polyak and Juditsky, 1992, in the exponential form: after each step m becomes decay * m + (1 - decay) * w.
"""

from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ops.errors import InputError
from ops.models import TSN
from ops.training.checkpoint import load_weights


def averaged(model: TSN, decay: float) -> AveragedModel:
    """The mean, which begins as the model is; running statistics of BatchNorms are averaged, too.

    It never runs compiled, because a compiled network is that of the model it was made from.
    """
    compiled = {name: vars(model).pop(name) for name in ("run_stem", "classify") if name in vars(model)}
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    vars(model).update(compiled)
    return average


def restore_unaveraged(model: TSN, average: AveragedModel | None, content: dict, path: str) -> None:
    """Give a model, built from the mean that checkpoint `path` holds, the weights that training goes on with."""
    if "unaveraged" not in content:
        return
    weights, steps = content["unaveraged"], content.get("averaged_steps")
    if steps is None or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path} is damaged: its weights are a mean, of what it does not say; use another checkpoint")
    load_weights(model, weights, path)
    if average is not None:
        average.n_averaged.fill_(steps)
