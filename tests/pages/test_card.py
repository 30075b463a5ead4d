"""The model card says what is in the folder, keeps a stranger's texts harmless, and cites exactly what the network is made of."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.task import TrainingTask
from dcdnas.cost import price
from dcdnas.export import MARK, Model, Normalisation, Written
from dcdnas.networks import networks, slots_of
from dcdnas.operators import operators
from dcdnas.pages.card import replaceable, write_card
from dcdnas.results.known import breakdown_of

SETTINGS = {"channels": (8, 16), "depth": (1, 2), "strides": (1, 2)}
LAYERS = {"stage1.block1.project": LayerChoice("odconv"), "stage2.block1.expand": LayerChoice("dcd")}
MODEL = Model(
    Architecture("mobilenetv2", SETTINGS, LAYERS, (3, 16, 16), 3),
    {"run": "a | b <script>", "trial": 3, "training": {"test_accuracy": 0.5, "epochs": 9, "mixup": 0.0}},
    Normalisation((0.5,) * 3, (0.25,) * 3),
    ("cat", "dog|s", "<b>"),
)
FILES = ("config.json", "model.safetensors", "network.py", "model.pt2", "model.onnx")


def card(model: Model, folder: Path, files: tuple[str, ...] = FILES, trained: bool = True, licence: str = "") -> str:
    write_card(model, folder, [Written(folder / name, "checked") for name in files], trained, licence)
    return (folder / "README.md").read_text(encoding="utf-8")


def keys(text: str) -> list[str]:
    return re.findall(r"@inproceedings\{(\w+),", text)


def test_it_cites_exactly_the_operators_that_stand_in_the_network(tmp_path: Path) -> None:
    assert keys(card(MODEL, tmp_path)) == ["sandler2018mobilenetv2", "li2022omni", "li2021revisiting"]
    static = replace(MODEL, architecture=replace(MODEL.architecture, layers={}))
    assert keys(card(static, tmp_path)) == ["sandler2018mobilenetv2"]
    gated = Architecture("mobilenetv2", {**SETTINGS, "se": 0.25}, {}, (3, 16, 16), 3)
    assert keys(card(Model(gated), tmp_path)) == ["sandler2018mobilenetv2", "hu2018squeeze"]
    dense = Architecture("mobilenetv2", {**SETTINGS, "upsampling": "ddf-up"}, {}, (3, 16, 16), 3, "decoder")
    assert keys(card(Model(dense), tmp_path)) == ["sandler2018mobilenetv2", "lin2017feature", "zhou2021decoupled"]


def test_every_entry_but_the_static_one_has_a_reference_that_its_file_names() -> None:
    for table in (operators, networks):
        for name, entry in table.items():
            reference = vars(entry).get("REFERENCE")
            assert (reference is None) == (name == "static"), name
            if reference is not None:
                said = (table.module(name).__doc__ or "") + (entry.__doc__ or "")
                assert reference.arxiv in said, f"{name}: {reference.arxiv}"
                assert reference.authors.split(",")[0] in said, name
                assert reference.bibtex().count("{") == reference.bibtex().count("}")


def test_its_head_is_what_hubs_read(tmp_path: Path) -> None:
    head = yaml.safe_load(card(MODEL, tmp_path, licence="cc-by-4.0").split("---")[1])
    assert (head["license"], head["library_name"], head["pipeline_tag"]) == ("cc-by-4.0", "dcdnas", "image-classification")
    assert head["tags"] == ["dcdnas", "dynamic-convolution", "mobilenetv2", "dcd", "odconv"]
    assert "license" not in yaml.safe_load(card(MODEL, tmp_path).split("---")[1])


def test_it_says_only_what_had_an_effect_in_the_training(tmp_path: Path) -> None:
    recipe = asdict(TrainingTask(epochs=9))
    for more, said in (({}, False), ({"teacher": "big/seed-0"}, True)):
        text = card(replace(MODEL, provenance={"training": {**recipe, **more}}), tmp_path)
        assert ("| distillation | 0.5 |" in text, "| teacher | big/seed-0 |" in text) == (said, said)
        assert "| epochs | 9 |" in text
        assert not any(f"| {name} |" in text for name in ("magnitude", "crop area", "step epochs", "step factor"))
    stepped = recipe | {"schedule": "steps", "randaugment": 2, "augment": "resized-crop", "cutmix": 1.0, "mixup_ramp": 5}
    text = card(replace(MODEL, provenance={"training": stepped}), tmp_path)
    assert all(f"| {name} |" in text for name in ("magnitude", "crop area", "step epochs", "step factor", "mixup ramp"))


def test_it_says_the_costs_the_files_and_what_was_trained(tmp_path: Path) -> None:
    text = card(MODEL, tmp_path)
    assert "| test accuracy | 50.0 % |" in text
    assert "mixup" not in text
    assert "| Parameters | " in text
    assert all(f"| `{name}` | checked |" in text for name in FILES)
    assert f"{price(MODEL.architecture)['params'] / 1000:.3g} kparams" in text
    assert "not trained" not in text
    assert "not trained" in card(MODEL, tmp_path, trained=False)


def test_texts_of_a_stranger_stay_in_their_cells(tmp_path: Path) -> None:
    text = card(MODEL, tmp_path)
    assert r"| run | a \| b &lt;script> |" in text
    assert r"cat, dog\|s, &lt;b>." in text


def test_examples_are_of_the_files_that_are_there(tmp_path: Path) -> None:
    text = card(MODEL, tmp_path, ("config.json",))
    assert "dcdnas.build(" in text
    for word in ("dcdnas.load(", "onnxruntime", "from network import", "dcdnas predict"):
        assert word not in text
        assert word in card(MODEL, tmp_path)


def test_the_picture_has_a_bar_a_layer_and_says_its_numbers(tmp_path: Path) -> None:
    card(MODEL, tmp_path)
    root = ElementTree.fromstring((tmp_path / "architecture.svg").read_text(encoding="utf-8"))
    titles = [
        t.text or "" for g in root.iter("{http://www.w3.org/2000/svg}g") for t in g.iter("{http://www.w3.org/2000/svg}title")
    ]
    assert len(titles) == len(slots_of(MODEL.architecture)) == len(breakdown_of(MODEL.architecture).layers)
    assert any("odconv" in title for title in titles)


@pytest.mark.parametrize(("content", "ours"), [(None, True), (f"x\n{MARK}\n", True), ("# my own", False)])
def test_a_readme_of_somebodys_own_is_told_from_ours(tmp_path: Path, content: str | None, ours: bool) -> None:
    if content is not None:
        (tmp_path / "README.md").write_text(content)
    assert replaceable(tmp_path) is ours


def test_shares_are_written_in_percent_like_everywhere_else(tmp_path: Path) -> None:
    again = {"mean": 0.705, "standard_deviation": 0.006, "seeds": 3}
    found = {"validation_accuracy": 0.71, "confirmed_accuracy": again, "validation_loss": 0.81, "validation_images": 12}
    text = card(replace(MODEL, provenance=found), tmp_path)
    assert "| validation accuracy | 71.0 % |" in text
    assert "| confirmed accuracy | mean 70.5 %, standard deviation 0.6 points, seeds 3 |" in text
    assert "| validation loss | 0.81 |" in text
    assert "| validation images | 12 |" in text
    masks = replace(MODEL, provenance={"training": {"test_mean_iou": 0.5}})
    assert "| test mean iou | 50.0 % |" in card(masks, tmp_path)
    own = replace(MODEL, provenance={"validation_accuracy": 71.0, "recipe": {"data": "task:mine"}})
    assert "| validation accuracy | 71.0 |" in card(own, tmp_path), "an own task may have another scale"
