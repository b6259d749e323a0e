"""Take a trained model elsewhere: a graph that other programs run (ONNX, torch.export), or a folder for model hubs."""

import argparse
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _path
import torch

from ops.errors import InputError
from ops.export.about import describe, summary
from ops.export.formats import FORMATS, check_installed
from ops.export.graph import Graph, first_line, make_graph, trace
from ops.export.hub import FILES, write_folder
from ops.export.parity import Clip, Row, compare, lay_out, made_clips, real_clips
from ops.files import growing_folder, renamed
from ops.options import cli
from ops.options.parsing import add_options
from ops.options.types import number
from ops.run.restore import Loaded, build_loaded, load_model
from ops.training.checkpoint import load_checkpoint
from ops.training.hub import check_safetensors

EXAMPLE = """examples:
  python tools/export.py --weights checkpoint/NAME/ckpt.best.pth.tar --to onnx --out model.onnx
  python tools/export.py --weights checkpoint/NAME/ckpt.best.pth.tar --to torch_export --out model.pt2
  python tools/export.py --weights checkpoint/NAME/ckpt.best.pth.tar --to safetensors --out models/gestures

onnx          a graph for onnxruntime and others, clustering included, with what goes in as its metadata
torch_export  the same for torch.export.load, which needs nothing of this program either
safetensors   a folder with weights, config.json and a model card, as model hubs have it; all programs here, and
              load_model of ops.run.restore, take it in place of a checkpoint

A model that clusters takes one video of any number of frames, one of sampled frames any number of clips. A graph is run
on made clips and on real ones of the validation list and compared with the model before it is kept: where it answers
otherwise, nothing is kept. docs/export.md says what goes in.
"""


def licence_name(text: str) -> str:
    """A licence as hubs spell it."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a licence as hubs have it, such as cc-by-4.0 or mit")
    return text


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="export.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="CKPT", help="a checkpoint that main.py or TSM wrote"
    )
    parser.add_argument("--to", required=True, choices=[*FORMATS, "safetensors"], help="what it is to become")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="the file, or of safetensors the folder, to write"
    )
    parser.add_argument(
        "--clips",
        type=number(int, least=0),
        default=None,
        metavar="N",
        help="of a graph: videos of the validation list that it is tried on, besides made ones (3)",
    )
    add_options(parser, ["root_path"], default=None, help="where the data set of these lies (default: as in training)")
    parser.add_argument(
        "--license",
        type=licence_name,
        default=None,
        metavar="ID",
        help="of safetensors: the licence of the weights for the model card, as hubs spell it: cc-by-4.0 (unknown)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    add_options(parser, ["trust_checkpoint"], default=False)
    return parser


def check_place(out: Path, kind: str, overwrite: bool) -> None:
    """InputError where something is there that would be lost, or the name is not that of such a file or folder."""
    if kind != "safetensors" and (out.is_dir() or out.suffix != FORMATS[kind].ending):
        ending = FORMATS[kind].ending
        example = out.with_suffix(ending) if out.name and not out.is_dir() else out / f"model{ending}"
        raise InputError(f"--to {kind} writes a file *{ending}; give --out {example}, say")
    if kind == "safetensors" and out.is_file():
        raise InputError(f"--to safetensors writes a folder, and {out} is a file; give another --out")
    if kind == "safetensors" and out.is_symlink():
        raise InputError(f"{out} is a link, in whose place a folder would be put; give --out {out.resolve()}")
    if kind == "safetensors" and not out.name.strip("."):
        raise InputError(f"--out {out} cannot be written as a whole; name a folder in it, such as {out / 'model'}")
    if out.exists() and not overwrite:
        raise InputError(f"{out} is there already; give another --out, or add --overwrite")
    if out.is_dir() and (others := sorted({file.name for file in out.iterdir()} - {*FILES})):
        raise InputError(f"{out} holds other files ({others[0]}, say); give a folder of its own with --out")


def check_flags(args: argparse.Namespace) -> None:
    """InputError where a flag would have no effect, or a package is missing."""
    if args.to == "safetensors":
        for flag in ("clips", "root_path"):
            if getattr(args, flag) is not None:
                raise InputError(f"--{flag} has no effect with --to safetensors, which runs no clips; leave it out")
        check_safetensors("--to safetensors")
        return
    if args.license is not None:
        raise InputError(f"--license has no effect with --to {args.to}, which writes no model card; leave it out")
    check_installed(FORMATS[args.to].packages, f"--to {args.to}")


def export_graph(out: Path, kind: str, loaded: Loaded, num_clips: int, root_path: str | None) -> None:
    """Write a file that holds the model as a graph, and keep it if it answers as the model does."""
    model, config, class_names = loaded
    graph, size = make_graph(model), config.frame_size
    clips = [*made_clips(graph, size)]
    if num_clips:
        try:
            clips += real_clips(graph, replace(config, root_path=root_path or config.root_path), num_clips)
        except InputError as error:
            if root_path:
                raise
            print(f"clips     made ones only: {str(error).split(';')[0]}; --root_path says where the data set lies")
    program = trace(graph, size)
    with renamed(out) as trial:
        FORMATS[kind].write(program, graph, describe(model, config, class_names), trial)
        rows = try_out(graph, kind, trial, clips)
        print(lay_out(rows, graph.axis))
        if bad := [row for row in rows if not row.good]:
            raise InputError(
                f"the graph does not answer as the model does on {len(bad)} of {len(rows)} clips; {out} was not kept"
            )
    print(f"wrote     {out}, {out.stat().st_size / 1e6:.1f} MB")


def try_out(graph: Graph, kind: str, path: Path, clips: Sequence[Clip]) -> list[Row]:
    """How a file answers for clips; InputError where it does not run."""
    try:
        run = FORMATS[kind].open(path)
        return [compare(graph, run, clip) for clip in clips]
    except MemoryError:
        raise
    except Exception as error:  # runtimes raise whatever they stumble over
        raise InputError(f"the graph does not run ({first_line(error)}); nothing was kept") from None


def export_folder(out: Path, loaded: Loaded, content: dict, licence: str) -> None:
    """Write a folder for hubs, and keep it if its weights load back bit for bit."""
    with growing_folder(out) as growing:
        write_folder(growing, loaded, content, out.resolve().name, licence)
        again = load_model(growing).model.state_dict()
        own = loaded.model.state_dict()
        if again.keys() != own.keys() or not all(torch.equal(again[name], own[name]) for name in own):
            raise InputError(f"the weights do not load back as they were; {out} was not kept")
        if out.is_dir():
            shutil.rmtree(out)
    print(f"wrote     {out}: {', '.join(FILES)}; all {len(own)} tensors load back bit for bit")


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    check_flags(args)
    check_place(args.out, args.to, args.overwrite)
    content = load_checkpoint(args.weights, args.trust_checkpoint)
    loaded = build_loaded(content, str(args.weights))
    print(f"model     {summary(loaded.config)}, {loaded.model.num_class} classes")
    if args.to == "safetensors":
        export_folder(args.out, loaded, content, args.license or "unknown")
    else:
        export_graph(args.out, args.to, loaded, 3 if args.clips is None else args.clips, args.root_path)


if __name__ == "__main__":
    cli.run(main)
