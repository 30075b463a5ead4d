"""Networks as models of timm: registered under names that it takes, made as its `create_model` asks for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from test_metadata import ARCHITECTURE, MODEL
from torch import nn

import dcdnas
from dcdnas.errors import UsageError
from dcdnas.export import export_model, save_weights
from dcdnas.networks import build_network
from dcdnas.published import sources

Create = Callable[..., nn.Module]


@pytest.fixture
def create(monkeypatch: pytest.MonkeyPatch) -> Create:
    """A registry in timm's place with the calls that timm's `create_model` makes."""
    entries: dict[str, Create] = {}
    models = ModuleType("timm.models")
    vars(models).update(is_model=entries.__contains__, register_model=lambda fn: entries.__setitem__(fn.__name__, fn))
    monkeypatch.setitem(sys.modules, "timm", ModuleType("timm"))
    monkeypatch.setitem(sys.modules, "timm.models", models)

    def made(name: str, pretrained: bool = False, **others: Any) -> nn.Module:
        assert "/" not in name
        return entries[name](pretrained=pretrained, pretrained_cfg=None, pretrained_cfg_overlay=None, cache_dir=None, **others)

    assert dcdnas.register_timm() == dcdnas.register_timm() == list(entries)
    return made


def test_every_published_network_is_a_model(create: Create) -> None:
    names = [f"dcdnas_{folder}_{name}" for folder, source in sources.items() for name in source.presets]
    assert dcdnas.register_timm() == ["dcdnas", *names]
    network = create("dcdnas_torchvision_shufflenet_v2_x0_5", num_classes=7)
    assert (network.num_classes, network.num_features) == (7, 1024)
    assert network.pretrained_cfg["mean"] == [0.485, 0.456, 0.406]
    assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_a_published_network_is_a_backbone(create: Create) -> None:
    backbone = create("dcdnas_torchvision_shufflenet_v2_x0_5", features_only=True, out_indices=(0, 2))
    assert backbone.feature_info.channels() == [48, 192]


def test_a_trained_folder_is_a_model_with_its_weights(create: Create, tmp_path: Path) -> None:
    network = build_network(ARCHITECTURE).eval()
    weights = save_weights(network, tmp_path / "w.safetensors").path
    export_model(replace(MODEL, interpolation="bilinear"), tmp_path / "net", ["config", "torch"], weights)
    x = torch.randn(2, 3, 9, 9)
    again = create("dcdnas", pretrained=True, config=tmp_path / "net").eval()
    assert torch.equal(again(x), network(x))
    assert again.pretrained_cfg["mean"] == [0.1, 0.2, 0.3]
    assert again.pretrained_cfg["interpolation"] == "bilinear"
    assert not torch.equal(create("dcdnas", config=tmp_path / "net").eval()(x), network(x))


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("dcdnas", {}, "needs to know which network"),
        ("dcdnas_torchvision_shufflenet_v2_x0_5", {"pretrained": True}, "has no weights to download. `dcdnas import"),
        ("dcdnas_torchvision_shufflenet_v2_x0_5", {"in_chans": 1}, "in_chans cannot be set here"),
        ("dcdnas_torchvision_shufflenet_v2_x0_5", {"drop_path_rate": 0.1}, "drop_path_rate cannot be set here"),
    ],
)
def test_what_cannot_be_made_is_said(create: Create, name: str, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        create(name, **asked)


def test_without_timm_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match="pip install timm"):
        dcdnas.register_timm()
