"""Writes a model card as a README.md: what an exported folder contains, its cost, its training, and what to cite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dcdnas.core.files import write_whole
from dcdnas.core.objective import Objective
from dcdnas.core.task import OWN
from dcdnas.core.units import ALWAYS, costs, metric_name, mix, quantity
from dcdnas.core.yaml_lines import as_yaml
from dcdnas.export import CARD, MARK, PICTURE, Model, Written
from dcdnas.pages.network_svg import network_svg
from dcdnas.results.known import bibtex_of, breakdown_of, price_of
from dcdnas.tasks import SHARES

MOST_NAMED = 30
"""The card lists at most this number of class names."""


def replaceable(folder: Path) -> bool:
    """Whether the card may be written: the folder has no README, or only one that an earlier export wrote."""
    path = folder / CARD
    return not path.exists() or MARK in path.read_text(encoding="utf-8", errors="replace")


def write_card(model: Model, folder: Path, written: Sequence[Written], trained: bool, licence: str = "") -> list[Written]:
    """Writes the card and the drawing of the layers.

    Args:
        model: the exported model.
        folder: receives both files.
        written: the exported files, which the card describes.
        trained: whether the model has trained weights.
        licence: of the weights, as their author names it; empty when none is stated.
    """
    text = "\n".join([*_head(model, licence), *_sections(model, written, trained, licence)]) + "\n"
    layers = breakdown_of(model.architecture).layers
    write_whole(folder / PICTURE, network_svg(layers, f"{model.architecture.named}: {len(layers)} layers from input to output"))
    write_whole(folder / CARD, text)
    return [Written(folder / CARD, "model card"), Written(folder / PICTURE, "drawing of its layers")]


def _head(model: Model, licence: str) -> list[str]:
    """The YAML metadata at the head of the card, which model hubs read, followed by the mark."""
    a = model.architecture
    used = sorted({choice.operator for choice in a.layers.values()} - {"static"})
    plain: dict[str, Any] = {"library_name": "dcdnas", "tags": ["dcdnas", "dynamic-convolution", a.network, *used]}
    plain |= {} if a.head else {"pipeline_tag": "image-classification"}
    plain |= {"license": licence} if licence else {}
    return ["---", as_yaml(plain).rstrip(), "---", MARK, ""]


def _sections(model: Model, written: Sequence[Written], trained: bool, licence: str) -> Iterator[str]:
    a = model.architecture
    size = "x".join(map(str, a.input))
    does = f"assigns each pixel of {size} images to one of" if a.head else f"classifies {size} images into"
    weights = "" if trained else " It is not trained: any weights in this folder are random."
    yield f"# {a.named}"
    yield ""
    yield f"A network that {does} {a.classes:,} classes: {mix(a)}; {costs(price_of(a))}.{weights}"
    yield ""
    yield f"![Its layers from input to output]({PICTURE})"
    yield from ("", "## Use", "", *_use(model, written))
    yield from ("", "## Cost", "", *_cost(model))
    training = model.provenance.get("training")
    if isinstance(training, Mapping):
        yield from ("", "## Training", "", *_recorded(with_effect(training)))
    found = {name: value for name, value in model.provenance.items() if name != "training"}
    yield from ("", "## Where it comes from", "", *_recorded(found))
    yield from ("", "## Data", "", *_data(model))
    yield from ("", "## Files", "", *_table(("file", "what was checked"), [(f"`{w.path.name}`", w.said) for w in written]))
    yield from ("", "## Licence", "", _licence(licence))
    yield from (
        "",
        "## Citation",
        "",
        f"The papers of the backbone{' and its head' if a.head else ''}, and of the operators that this network uses:",
        "",
    )
    yield from ("```bibtex", "\n\n".join(bibtex_of(a)), "```")


USES: Mapping[str, tuple[str, ...]] = {
    "model.safetensors": ("import dcdnas", "", 'network = dcdnas.load("this folder")  # in eval mode'),
    "config.json": ("import dcdnas", "", 'network = dcdnas.build("config.json")  # with fresh weights'),
    "network.py": ("from network import load  # plain PyTorch, without dcdnas", "", "network = load()"),
    "model.pt2": ("import torch", "", 'network = torch.export.load("model.pt2").module()'),
    "model.onnx": (
        "import onnxruntime",
        "",
        'session = onnxruntime.InferenceSession("model.onnx")',
        'logits = session.run(["logits"], {"images": images})[0]',
    ),
}
"""Name of an exported file -> Python lines that load it."""


def _use(model: Model, written: Sequence[Written]) -> Iterator[str]:
    """One usage example for each exported file that can be loaded."""
    names = {file.path.name for file in written}
    for name, lines in USES.items():
        if name in names and (name != "config.json" or "model.safetensors" not in names):
            yield from (f"`{name}`:", "```python", *lines, "```")
    if names & {"model.safetensors", "model.onnx"}:
        masks = " -o masks" if model.architecture.head else ""
        sees = "writes the predicted masks of pictures" if masks else "prints the predicted classes of pictures"
        yield from ("", f'`dcdnas predict "this folder" IMAGE...{masks}` {sees}.')


def _cost(model: Model) -> Iterator[str]:
    """Tables of the network's cost in every metric and of its cost by operator."""
    found = breakdown_of(model.architecture)
    names = list(dict.fromkeys([*ALWAYS, *found.cost.values]))
    yield from _table(("metric", "value"), [(metric_name(n), quantity(n, found.cost[n])) for n in names])
    yield from ("", "One FLOP is one multiply-add at batch 1. Those that being dynamic costs are included.", "")
    rows = [
        (name, f"{sums['layers']:.0f}", quantity("flops", sums["flops"]), quantity("params", sums["params"]))
        for name, sums in found.by_operator.items()
    ]
    yield from _table(("operator", "layers", "FLOPs", "parameters"), rows)


NEEDS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "distillation": lambda recipe: recipe.get("teacher"),
    "distillation_temperature": lambda recipe: recipe.get("teacher"),
    "magnitude": lambda recipe: recipe.get("randaugment"),
    "mixup_ramp": lambda recipe: recipe.get("mixup") or recipe.get("cutmix"),
    "crop_area": lambda recipe: recipe.get("augment") == "resized-crop",
    "step_epochs": lambda recipe: recipe.get("schedule") == "steps",
    "step_factor": lambda recipe: recipe.get("schedule") == "steps",
}
"""Part of a recipe -> whether it has an effect in a training."""


def with_effect(training: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out the parts of a training's recipe that had no effect, such as the distillation without a teacher."""
    return {name: value for name, value in training.items() if name not in NEEDS or NEEDS[name](training)}


def _recorded(plain: Mapping[str, Any]) -> Iterator[str]:
    """A table of recorded settings; a nested mapping is written into one cell. Zeros and empty texts are left out."""
    recipe = plain.get("recipe")
    own = isinstance(recipe, Mapping) and str(recipe.get("data", "")).startswith(OWN)
    shares = {} if own else SHARES
    rows = [
        (name.replace("_", " "), _in_words(name, value, shares)) for name, value in plain.items() if value not in (0, "", None)
    ]
    yield from _table(("setting", "value"), rows) if rows else ("Nothing is recorded.",)


def _in_words(name: str, value: Any, shares: Mapping[str, Objective]) -> str:
    """Writes a recorded value; a result that is a share, like ``validation_accuracy``, in percent."""
    kind, _, objective = name.partition("_")
    known = shares.get(objective) if kind in ("validation", "test", "confirmed") else None
    if isinstance(value, Mapping):
        parts = ((part, _part(known, part, inner)) for part, inner in value.items() if inner not in (0, "", None))
        return ", ".join(f"{part.replace('_', ' ')} {said}" for part, said in parts)
    return known.said(value) if known and _is_number(value) else str(value)


def _part(objective: Objective | None, name: str, value: Any) -> str:
    """Writes one value of a nested record, such as the mean over fresh seeds."""
    if objective is None or not _is_number(value):
        return str(value)
    if name == "mean":
        return objective.said(value)
    return objective.difference(value, sign=False) if name == "standard_deviation" else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _data(model: Model) -> Iterator[str]:
    said = model.normalisation
    if said is None:
        yield "The classes and the normalisation of the images are not known."
        return
    mean, std = ["(" + ", ".join(f"{number:.4f}" for number in numbers) + ")" for numbers in (said.mean, said.std)]
    yield f"Input images are floats from 0 to 1; subtract the mean {mean}, then divide by the standard deviation {std}."
    if model.grey_range:
        yield f"Of grey pictures with more than 8 bits, 0 to {model.grey_range:g} becomes 0 to 1."
    if model.labels:
        more = f" and {len(model.labels) - MOST_NAMED:,} more" if len(model.labels) > MOST_NAMED else ""
        yield from ("", f"Classes, in the order of the outputs: {', '.join(map(_safe, model.labels[:MOST_NAMED]))}{more}.")


def _licence(licence: str) -> str:
    own = f"The weights: {_safe(licence)}." if licence else "None is stated for the weights; add it before you publish them."
    return f"{own} The licence of the training images applies as well. Written by dcdnas {version('dcdnas')} (Apache-2.0)."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(map(_safe, row))} |" for row in rows)


def _safe(text: str) -> str:
    """Escapes a text so that it stays in its table cell and contains no HTML; the texts of a run are not trusted."""
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|")
