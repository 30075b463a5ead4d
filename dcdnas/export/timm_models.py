"""Networks as timm models: `register_timm` registers them, and `timm.create_model` creates them.

timm accepts no slash in the name of a registered model, so a published network ``odconv/od_resnet18`` is called
``dcdnas_odconv_od_resnet18``. The model ``dcdnas`` is the network of a config or of a trained folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from dcdnas.core.extras import there
from dcdnas.errors import UsageError
from dcdnas.export.config import Model, Normalisation, read_model
from dcdnas.export.features import Features
from dcdnas.export.model import load_weights
from dcdnas.export.names import WEIGHTS
from dcdnas.export.opened import config_file
from dcdnas.networks import Network, build_network
from dcdnas.published import IMAGENET, architecture, sources

__all__ = ["register_timm"]

PREFIX = "dcdnas"


def register_timm() -> list[str]:
    """Registers the published networks, and networks of configs, with timm, so that `timm.create_model` creates them.

    ``timm.create_model("dcdnas_odconv_od_resnet18", num_classes=10)`` has random weights;
    ``timm.create_model("dcdnas", config="trained/quick-3/seed-0", pretrained=True)`` has those of the folder.
    ``features_only=True`` and ``out_indices`` work as for timm's own models.

    Returns:
        The names of the models.

    Raises:
        UsageError: when timm is not installed.
    """
    if not there("timm"):
        raise UsageError("timm is not installed. Install it with: pip install timm")
    from timm.models import is_model, register_model

    names = [f"{folder}/{name}" for folder, source in sources.items() for name in source.presets]
    makers = {PREFIX: _of_config} | {f"{PREFIX}_{name.replace('/', '_')}": _of_preset(name) for name in names}
    for name, make in makers.items():
        make.__name__ = name
        if not is_model(name):
            register_model(make)
    return list(makers)


def _of_config(pretrained: bool = False, config: str | Path = "", **others: Any) -> nn.Module:
    """Builds the network of a config file, or of the folder that contains it."""
    if not config:
        raise UsageError('timm.create_model("dcdnas") needs to know which network: config="trained/quick-3/seed-0".')
    file = config_file(config)
    model, weights = read_model(file), file.with_name(WEIGHTS) if pretrained else None
    return _made(model, weights, **others)


def _of_preset(name: str) -> Callable[..., nn.Module]:
    def make(pretrained: bool = False, **others: Any) -> nn.Module:
        """Builds a published network with random weights."""
        if pretrained:
            raise UsageError(f"{name} has no weights to download. `dcdnas import {name} FILE -o DIR` reads published ones.")
        return _made(Model(architecture(name), normalisation=Normalisation(*IMAGENET)), None, **others)

    return make


def _made(
    model: Model,
    weights: Path | None,
    num_classes: int | None = None,
    in_chans: int = 0,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    pretrained_cfg: Any = None,
    pretrained_cfg_overlay: Any = None,
    cache_dir: Any = None,
    **unknown: Any,
) -> nn.Module:
    """Builds a network from the arguments of `timm.create_model`."""
    a = model.architecture
    if unknown or in_chans not in (0, a.input[0]):
        wrong = next(iter(unknown), "in_chans")
        raise UsageError(f"{wrong} cannot be set here. Allowed: num_classes, features_only, out_indices; {a.input[0]} channels.")
    network = build_network(a)
    if weights is not None:
        load_weights(network, weights)
    if num_classes is not None and num_classes != a.classes:
        network.reset_classifier(num_classes)
    return Features(network, out_indices) if features_only else _as_timms(network, model, num_classes)


def _as_timms(network: Network, model: Model, num_classes: int | None) -> Network:
    """Sets the attributes that timm's scripts expect of a model."""
    a = network.architecture
    config = Model(a, normalisation=model.normalisation, interpolation=model.interpolation).config()
    attributes = {
        "num_classes": a.classes if num_classes is None else num_classes,
        "num_features": config["num_features"],
        "pretrained_cfg": config["pretrained_cfg"],
    }
    for name, value in {**attributes, "default_cfg": config["pretrained_cfg"]}.items():
        setattr(network, name, value)
    return network
