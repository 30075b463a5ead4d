"""The model config: nothing is written that would build another network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from thoroughness import examples

import dcdnas
from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import Cost
from dcdnas.cost import price
from dcdnas.errors import FileError, MismatchError, UsageError
from dcdnas.export import Model, read_model, write_config
from dcdnas.export.config import Normalisation, as_text, check_text

ODCONV = LayerChoice("odconv", {"num_kernels": 1, "reduction": 16})
PLAIN = Architecture(
    "mobilenetv2", {"channels": (8, 16), "depth": (1, 2), "strides": (1, 2)}, {"stage1.block1.project": ODCONV}, (3, 16, 16), 4
)

SCALED = Normalisation((0.5,) * 3, (0.2,) * 3)


@pytest.mark.parametrize("name", ["net.yaml", "net.json"])
def test_what_was_written_builds_an_equal_network(tmp_path: Path, name: str) -> None:
    write_config(Model(PLAIN), tmp_path / "deep" / name)
    assert dcdnas.build(tmp_path / "deep" / name).architecture == PLAIN


def test_the_config_has_the_shape_that_timm_reads() -> None:
    plain = yaml.safe_load(as_text(Model(PLAIN, {"run": "r"}, Normalisation((0.5,) * 3, (0.2,) * 3))))
    assert (plain["architecture"], plain["num_classes"]) == ("mobilenetv2", 4)
    assert plain["num_features"] == 1280
    assert plain["pretrained_cfg"]["input_size"] == [3, 16, 16]
    assert plain["pretrained_cfg"]["mean"] == [0.5, 0.5, 0.5]
    assert plain["dcdnas"]["provenance"] == {"run": "r"}
    assert plain["dcdnas"]["cost"] == dict(price(PLAIN).values)


def test_the_layers_named_first_and_last_are_modules_of_the_network() -> None:
    pretrained = Model(PLAIN).config()["pretrained_cfg"]
    modules = dict(dcdnas.build(PLAIN).named_modules())
    assert {pretrained["first_conv"], pretrained["classifier"]} <= set(modules)


def test_a_config_that_states_another_cost_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcdnas.export.config.measured_of", lambda architecture: Cost({"flops": 1, "params": 1}))
    with pytest.raises(MismatchError, match="the config says"):
        write_config(Model(PLAIN), tmp_path / "net.yaml")
    assert not list(tmp_path.iterdir())


def test_a_text_of_another_architecture_is_noticed() -> None:
    other = Architecture("mobilenetv2", {"channels": (8, 16), "depth": (1, 1), "strides": (1, 2)}, {}, (3, 16, 16), 4)
    with pytest.raises(MismatchError, match="another architecture"):
        check_text(as_text(Model(other)), PLAIN, "net.yaml")


def test_provenance_and_normalisation_survive_reading(tmp_path: Path) -> None:
    model = Model(PLAIN, {"run": "r", "trial": 3}, Normalisation((0.5,) * 3, (0.2,) * 3))
    again = read_model(write_config(model, tmp_path / "net.yaml"))
    assert (again.architecture, dict(again.provenance), again.normalisation) == (
        PLAIN,
        {"run": "r", "trial": 3},
        model.normalisation,
    )


def test_the_interpolation_is_that_of_the_images_and_else_that_of_pictures(tmp_path: Path) -> None:
    plain = Model(PLAIN, {}, SCALED)
    for said, model in {"bicubic": plain, "bilinear": replace(plain, interpolation="bilinear")}.items():
        path = write_config(model, tmp_path / "net.yaml")
        assert yaml.safe_load(path.read_text())["pretrained_cfg"]["interpolation"] == said
        assert read_model(path).interpolation == said
    path.write_text(path.read_text().replace("bilinear", "3"))
    with pytest.raises(FileError, match=r"interpolation: 3\. Allowed: the name of an interpolation, like bicubic or bilinear\."):
        read_model(path)
    assert read_model(write_config(Model(PLAIN), tmp_path / "net.yaml")).interpolation == "bicubic"


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written to"):
        write_config(Model(PLAIN), tmp_path / "file" / "net.yaml")


@examples(20)
@given(st.lists(st.integers(1, 3), min_size=2, max_size=2), st.sampled_from([0.5, 1.0, 1.25]), st.integers(1, 4), st.booleans())
def test_every_architecture_survives_its_text(depth: list[int], width: float, kernels: int, json_text: bool) -> None:
    layers = {"stage1.block1.project": LayerChoice("odconv", {"num_kernels": kernels, "reduction": 8})}
    settings = {"channels": (8, 16), "depth": tuple(depth), "strides": (1, 2), "width": width}
    architecture = Architecture("mobilenetv2", settings, layers, (1, 28, 28), 10)
    check_text(as_text(Model(architecture), json_text), architecture, "text")
