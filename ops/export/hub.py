"""A model as a folder for model hubs: weights as safetensors, `config.json`, and a model card for readers.

`ops/training/hub.py` reads it. Nothing in it tells of the machine: paths are left out, lists keep their names.
"""

import json
from pathlib import Path

from archs import ARCHS
from ops.data.specs import DATASETS, dataset_name
from ops.errors import InputError
from ops.export.about import describe
from ops.options.config import OPTIONS
from ops.run.restore import Loaded
from ops.training.hub import CARD, CONFIG, KEPT, WEIGHTS

LIBRARY = "full-video-action-recognition"
FILES = (WEIGHTS, CONFIG, CARD)
PAPER = """@inproceedings{liu2021no,
  title     = {No Frame Left Behind: Full Video Action Recognition},
  author    = {Liu, Xin and Pintea, Silvia L. and Karimi Nejadasl, Fatemeh and Booij, Olaf and van Gemert, Jan C.},
  booktitle = {CVPR},
  year      = {2021}
}"""
TEXT = """---
{head}
---

# {title}

{model}: {parameters:.2f} M parameters, {num_class} classes.

## Use

In the folder of the program that trained it ({library}):

```python
from ops.run.restore import load_model

model, config, class_names = load_model({title!r})
logits = model(frames, lengths)
```

`frames` are those of all videos one after another, `lengths` (videos,) says how many each has; the logits are
(videos, classes).

## What goes in

{contract}

## Training

{training}

## Accuracy

{accuracy}

## Classes

{classes}

## Licence

{licence}

## Citation

```bibtex
{paper}
```
"""


def write_folder(folder: Path, loaded: Loaded, content: dict, title: str, licence: str) -> None:
    """Fill an empty folder with the files of a model whose checkpoint has this content."""
    from safetensors.torch import save

    model, config, class_names = loaded
    about, options = describe(model, config, class_names), shared_options(loaded, content)
    facts = {name: content[name] for name in KEPT if content.get(name) is not None}
    if "best_prec1" in facts:
        facts["best_prec1"] = float(facts["best_prec1"])
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(weights, {"format": "pt"}))
    values = {
        "library_name": LIBRARY,
        "architecture": config.arch,
        "num_classes": model.num_class,
        "label_names": class_names,
        "input": contract(loaded, about),
        "options": options,
        "training": facts,
    }
    if class_names is None:
        del values["label_names"]
    (folder / CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    card = model_card(loaded, content, about, options, title, licence)
    (folder / CARD).write_text(card, encoding="utf-8")


def shared_options(loaded: Loaded, content: dict) -> dict:
    """The options that a model was trained with, without what tells of the machine; lists by their names alone."""
    config, stored = loaded.config, content.get("config") or {}
    kept = {
        name: stored.get(name, getattr(config, name))
        for name, option in OPTIONS.items()
        if option.role != "place" and name != "suffix"
    }
    kept = {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}
    if config.dataset not in DATASETS:
        try:  # what dataset.json says, which lies elsewhere
            spec = config.spec
            kept |= {name: getattr(spec, name) for name in ("image_tmpl", "first_frame", "num_class")}
        except InputError:  # the data set is not here
            pass
    for name in ("train_list", "val_list", "category_file"):
        if kept[name]:
            kept[name] = Path(kept[name]).name
    return {"dataset": dataset_name(config.dataset), "modality": config.modality, **kept}


def contract(loaded: Loaded, about: dict) -> dict:
    """What goes into the model itself, frame by frame, whereas `about` tells what goes into its graph."""
    channels, size = loaded.model.base_model.in_channels, loaded.config.frame_size
    names = ("modality", "frames", "channels", "normalisation", "mean", "std", "size", "view")
    return {"a frame": f"float32 ({channels}, {size}, {size})", **{name: about[name] for name in names}}


def accuracy_of(content: dict) -> float | None:
    """Top-1 in percent that these weights had on the validation list, None where the checkpoint does not tell."""
    best, epoch = content.get("best_prec1"), content.get("best_epoch")
    if best is None or epoch is None or content.get("epoch") != epoch + 1:
        return None
    return float(best)


def model_card(loaded: Loaded, content: dict, about: dict, options: dict, title: str, licence: str) -> str:
    """README.md of a folder for hubs: a head of YAML, and in words what the model is and how it was trained."""
    model = loaded.model
    return TEXT.format(
        head="\n".join(card_head(options["dataset"], accuracy_of(content), title, licence)),
        title=title,
        model=about["model"],
        parameters=sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        num_class=model.num_class,
        library=LIBRARY,
        contract=table(contract(loaded, about)),
        training=table(training_facts(options, content)),
        accuracy=accuracy_text(options, content, about),
        classes="\n".join(f"{label}. {name}" for label, name in enumerate(about["classes"])),
        licence=licence_text(licence),
        paper=PAPER,
    )


def card_head(dataset: str, accuracy: float | None, title: str, licence: str) -> list[str]:
    """Lines of YAML, as hubs read them. Quoted as JSON, which is YAML, too."""
    lines = [
        f"license: {licence}",
        f"library_name: {LIBRARY}",
        "pipeline_tag: video-classification",
        "tags: [video-classification, action-recognition, pytorch]",
        "metrics: [accuracy]",
        f"model_name: {json.dumps(title)}",
    ]
    if accuracy is not None:
        lines += [
            "model-index:",
            f"- name: {json.dumps(title)}",
            "  results:",
            "  - task: {type: video-classification}",
            f"    dataset: {{name: {json.dumps(dataset)}, type: {json.dumps(dataset)}, split: validation}}",
            f"    metrics: [{{type: accuracy, name: top-1 in percent, value: {accuracy:.3f}}}]",
        ]
    return lines


def table(values: dict) -> str:
    """Names and values as a table of Markdown."""
    rows = (
        f"| {name} | {', '.join(map(str, value)) if isinstance(value, list) else value} |".replace("\n", " ")
        for name, value in values.items()
    )
    return "\n".join(["| | |", "|---|---|", *rows])


def training_facts(options: dict, content: dict) -> dict:
    """What it was trained on, from what and how."""
    stored = content.get("config")
    if not stored:
        return {"dataset": options["dataset"], "by": "a program whose files do not tell how"}
    start = stored.get("tune_from") or stored.get("pretrain")
    start = Path(start).name if start else "imagenet" if ARCHS[options["arch"]].weights else "none"
    rate = f"{options['optimizer']}, rate {options['lr']:g} ({options['lr_type']}), weight decay {options['wd']:g}"
    facts = {
        "dataset": options["dataset"],
        "list": options["train_list"] or "the data set's own",
        "started from weights": start,
        "epochs": f"{content['epoch']} of {options['epochs']}" if "epoch" in content else options["epochs"],
        "batch": f"{options['batch_size']} videos",
        "optimizer": rate,
        "dropout": options["dropout"],
        "seed": options["seed"],
    }
    return facts | {"all options": f"`{CONFIG}`"}


def accuracy_text(options: dict, content: dict, about: dict) -> str:
    """What these weights reached, and how that was measured."""
    accuracy = accuracy_of(content)
    if accuracy is None:
        return "These weights have not been measured, as far as their checkpoint tells."
    chosen = "It is the best epoch by this very list, so that the figure is a little too good."
    if options["eval_freq"] >= options["epochs"]:
        chosen = "It is the last epoch, the only one that was measured."
    return (
        f"Top-1 {accuracy:.2f} % on the validation list ({options['val_list'] or 'that of the data set'}) after epoch"
        f" {content['epoch']}, as main.py validates: one view of each video, {about['view']}; frames:"
        f" {about['frames']}. {chosen}"
    )


def licence_text(licence: str) -> str:
    if licence == "unknown":
        return "It is not said under which licence these weights are. The program that trained them is Apache-2.0."
    return f"These weights are under `{licence}`; the program that trained them is Apache-2.0."
