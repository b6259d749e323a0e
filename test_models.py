"""Test trained models with the published protocols: `python test_models.py --help`."""

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from ops.data.decoding import describe_decoder
from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.evaluation.ensemble import score_videos
from ops.evaluation.members import Member, check_together, describe_protocol, load_member, make_test_loader
from ops.evaluation.result_files import predictions_file, scores_file
from ops.evaluation.settings import Settings, parse
from ops.evaluation.statistics import describe_accuracies, wilson
from ops.files import check_writable, write_whole
from ops.options import cli
from ops.pictures.confusion import confusion_picture, confusion_table
from ops.run.data import class_names
from ops.run.progress import Progress
from ops.streaming import choose_streaming, describe_streaming
from ops.training.devices import pick_device
from ops.training.placement import choose_kernels, place_model

PRINT_FREQ = 20  # steps between two lines where there is no terminal


def check_outputs(settings: Settings) -> dict[str, Path]:
    """The files to be written, by what they hold, after a look that they can be."""
    flags = {"predictions": "--csv_file", "scores": "--scores", "table": "--confusion", "picture": "--confusion"}
    files = {
        "predictions": settings.csv_file,
        "scores": settings.scores,
        "table": Path(f"{settings.confusion}.csv"),
        "picture": Path(f"{settings.confusion}.png"),
    }
    files = {name: path for name, path in files.items() if path}
    for name, path in files.items():
        check_writable(path, flags[name])
    if len({path.absolute() for path in files.values()}) < len(files):
        raise InputError("two of --csv_file, --scores and --confusion name the same file; give each its own")
    return files


def describe(settings: Settings, members: Sequence[Member], device: torch.device) -> str:
    """The header: what is tested how, on what."""
    config, videos = members[0].config, members[0].videos
    lines = []
    for member, coefficient in zip(members, settings.coeff, strict=True):
        share = f"; coefficient {coefficient:g}" if len(members) > 1 else ""
        lines.append(("model", member.describe() + share))
        lines.append(("protocol", describe_protocol(settings, member)))
        model = member.model
        if model.clustering:
            lines.append(("stem", describe_streaming(model.streaming, model.stem, model.clustering)))
    if len(members) > 1:
        lines.append(("fusion", "of probabilities" if settings.softmax else "of scores before softmax"))
    of_list = f"{len(videos)} videos of {config.spec.val_list}, {config.spec.num_class} classes"
    lines.append(("data", f"{config.dataset} in {config.root}: {of_list}"))
    if not MODALITIES[config.modality].features:
        lines.append(("decoder", describe_decoder()))
    lines.append(("device", str(device)))
    return "\n".join(f"{name:<9} {text}" for name, text in lines)


def main(argv: Sequence[str] | None = None) -> None:
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # -j is the user's choice
    settings = parse(argv)
    device = pick_device(settings.device)
    members = [load_member(settings, number) for number in range(len(settings.weights))]
    check_together(settings, members)
    for member in members:
        place_model(member.model, device)
        member.model.eval()
        member.model.streaming = choose_streaming(member.model.stem, settings.stem_chunk, member.config.frame_size)
    choose_kernels(all(member.model.clustering is None for member in members), deterministic=False)
    config, videos = members[0].config, members[0].videos
    classes, files = class_names(config), check_outputs(settings)
    loaders = [make_test_loader(settings, member, pin_memory=device.type == "cuda") for member in members]
    print(describe(settings, members, device), flush=True)

    models, views = [member.model for member in members], [member.views for member in members]
    with Progress("test", len(loaders[0]), PRINT_FREQ, partial(print, flush=True)) as progress:
        meters, logits = score_videos(models, loaders, views, settings.coeff, settings.softmax, device, progress)
    r = meters.result()

    labels, scores = torch.tensor([video.label for video in videos]).numpy(), logits.numpy()
    names, confusion = [video.path for video in videos], r.confusion.numpy()
    interval = wilson(int(r.confusion.diagonal().sum()), r.videos)
    accuracy = f"top-1 {r.top1:.1f}% ({interval}), {r.videos} videos; mean class accuracy {r.mean_class_accuracy:.1f}%"
    contents = {
        "predictions": lambda: predictions_file(names, labels, scores, classes),
        "scores": lambda: scores_file(names, labels, scores),
        "table": lambda: confusion_table(confusion, classes),
        "picture": lambda: confusion_picture(confusion, classes, f"{Path(config.dataset).name}: {accuracy}"),
    }
    for name, path in files.items():
        write_whole(path, contents[name]())
    print("written   " + ", ".join(map(str, files.values())))
    print(describe_accuracies(r.top1, r.top5, r.videos))
    print(f"{r.videos} videos, {r.frames} frames in {r.seconds:.1f} s; mean class accuracy {r.mean_class_accuracy:.3f}")
    print(f"Testing Results: Prec@1 {r.top1:.3f} Prec@5 {r.top5:.3f} Loss {r.loss:.5f}")


if __name__ == "__main__":
    cli.run(main)
