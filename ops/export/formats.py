"""The files that hold a graph: ONNX, and torch's own `.pt2`. Each can be written and run again without this program."""

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ops.errors import InputError
from ops.export.graph import Graph, first_line, quiet
from ops.export.operators import REWRITTEN

ABOUT = "about.json"  # the name, in a .pt2 file, of what is said of the graph
REQUIREMENTS = "requirements-export.txt"

Run = Callable[[Tensor], Sequence[Tensor]]  # frames -> outputs of the graph


def check_installed(packages: Sequence[str], what: str) -> None:
    """InputError where packages that something takes are missing."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise InputError(f"{what} takes {', '.join(missing)}, not installed here: pip install -r {REQUIREMENTS}")


def write_onnx(program: ExportedProgram, graph: Graph, about: dict, path: Path) -> None:
    """A single .onnx file, with what `about` says as its metadata.

    Raises InputError where the exporter does not know what to make of an operator.
    """
    with quiet(), torch.no_grad():
        try:
            written = torch.onnx.export(
                program.run_decompositions(REWRITTEN),
                (),
                dynamo=True,
                optimize=True,
                verbose=False,
                input_names=["frames"],
                output_names=list(graph.outputs),
            )
        except Exception as error:  # exporters raise whatever they stumble over
            raise InputError(
                f"torch {torch.__version__} cannot write this model as ONNX with the packages installed"
                f" ({first_line(error)}); docs/export.md says which go together, --to torch_export needs none"
            ) from None
        model = written.model
        for value in (*model.graph.inputs, *model.graph.outputs):
            if not isinstance(value.shape[0], int):
                value.shape[0] = graph.axis
        for node in model.graph:  # names of files and lines of code of this machine
            node.metadata_props.clear()
        model.graph.metadata_props.clear()
        model.metadata_props.clear()
        model.metadata_props.update(
            {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
        )
        written.save(str(path), external_data=False)


def open_onnx(path: Path) -> Run:
    """Run it by onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda frames: [torch.from_numpy(output) for output in session.run(None, {"frames": frames.numpy()})]


def write_torch(program: ExportedProgram, graph: Graph, about: dict, path: Path) -> None:
    """A .pt2 file for `torch.export.load`, with `about` inside as `ABOUT`."""
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={ABOUT: json.dumps(about, indent=2)})


def open_torch(path: Path) -> Run:
    """Run it as any program with torch would."""
    with path.open("rb") as file:
        module = torch.export.load(file).module()
    return lambda frames: module(frames)


class Format(NamedTuple):
    """A way to write a graph: `write(program, graph, about, path)` makes the file and `open(path)` runs it."""

    ending: str
    packages: tuple[str, ...]
    write: Callable[[ExportedProgram, Graph, dict, Path], None]
    open: Callable[[Path], Run]


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), write_onnx, open_onnx),
    "torch_export": Format(".pt2", (), write_torch, open_torch),
}
