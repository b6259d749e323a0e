"""Test trained models with the published protocols: `python test_models.py --help`."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from ops.data.decoding import describe_decoder
from ops.errors import InputError
from ops.evaluation import testing
from ops.evaluation.ensemble import score_videos
from ops.evaluation.result_files import check_writable, predictions_file, scores_file, write_whole
from ops.evaluation.testing import Member, Settings
from ops.options import cli
from ops.options import config as options
from ops.pictures.confusion import confusion_picture, confusion_table
from ops.run.progress import Progress
from ops.streaming import choose_streaming, describe_streaming

PRINT_FREQ = 20  # steps between two lines where there is no terminal


def check_outputs(settings: Settings) -> dict[str, Path]:
    """The files to be written, by what they hold, after a look that they can be."""
    files = {
        "predictions": settings.csv_file,
        "scores": settings.scores,
        "table": Path(f"{settings.confusion}.csv"),
        "picture": Path(f"{settings.confusion}.png"),
    }
    files = {name: path for name, path in files.items() if path}
    flags = {"predictions": "--csv_file", "scores": "--scores"}
    for name, path in files.items():
        check_writable(path, flags.get(name, "--confusion"))
    if len({path.absolute() for path in files.values()}) < len(files):
        raise InputError("two of --csv_file, --scores and --confusion name the same file; give each its own")
    return files


def describe(settings: Settings, members: Sequence[Member], device: torch.device) -> str:
    """The header: what is tested how, on what."""
    config, videos = members[0].config, members[0].videos
    lines = []
    for member, coefficient in zip(members, settings.coeff, strict=True):
        lines.append(("model", member.describe() + (f"; coefficient {coefficient:g}" if len(members) > 1 else "")))
        lines.append(("protocol", testing.describe_protocol(settings, member)))
        if member.model.clustering:
            model = member.model
            lines.append(("stem", describe_streaming(model.streaming, model.stem, model.clustering)))
    if len(members) > 1:
        lines.append(("fusion", "of " + ("probabilities" if settings.softmax else "scores before softmax")))
    lines.append(
        (
            "data",
            f"{config.dataset} in {config.root}: {len(videos)} videos of {config.spec.val_list}, "
            f"{config.spec.num_class} classes",
        )
    )
    lines.append(("decoder", describe_decoder()))
    lines.append(("device", str(device)))
    return "\n".join(f"{name:<9} {text}" for name, text in lines)


def main(argv: Sequence[str] | None = None) -> None:
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # -j is the user's choice
    settings = testing.parse(argv)
    device = options.pick_device(settings.device)
    members = [testing.load_member(settings, number) for number in range(len(settings.weights))]
    testing.check_together(settings, members)
    for member in members:
        model = member.model.to(device).eval()
        model.streaming = choose_streaming(model.stem, settings.stem_chunk, member.config.frame_size)
    config, videos = members[0].config, members[0].videos
    categories, files = testing.categories(config), check_outputs(settings)
    loaders = [testing.make_test_loader(settings, member, pin_memory=device.type == "cuda") for member in members]
    print(describe(settings, members, device), flush=True)
    with Progress("test", len(loaders[0]), PRINT_FREQ) as progress:
        meters, scores = score_videos(
            [member.model for member in members],
            loaders,
            [member.views for member in members],
            settings.coeff,
            settings.softmax,
            device,
            progress,
        )
    result = meters.result()
    labels, scores = torch.tensor([video.label for video in videos]).numpy(), scores.numpy()
    names, confusion = [video.path for video in videos], meters.metrics.confusion.numpy()
    title = f"{Path(config.dataset).name}: top-1 {result.top1:.1f}%, "
    title += f"mean class accuracy {result.mean_class_accuracy:.1f}%"
    contents = {
        "predictions": lambda: predictions_file(names, labels, scores, categories),
        "scores": lambda: scores_file(names, labels, scores),
        "table": lambda: confusion_table(confusion, categories),
        "picture": lambda: confusion_picture(confusion, categories, title),
    }
    for name, path in files.items():
        write_whole(path, contents[name]())
    print("written   " + ", ".join(map(str, files.values())))
    print(
        f"{result.videos} videos, {result.frames} frames in {result.seconds:.1f} s; "
        f"mean class accuracy {result.mean_class_accuracy:.3f}"
    )
    print(f"Testing Results: Prec@1 {result.top1:.3f} Prec@5 {result.top5:.3f} Loss {result.loss:.5f}")


if __name__ == "__main__":
    cli.run(main)
