from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import yaml
from commands import Run

import dcdnas
from dcdnas.errors import FileError
from dcdnas.published import build
from dcdnas.published._base import preset
from dcdnas.training.weights import read_metadata

pytestmark = pytest.mark.usefixtures("project")

SETTINGS = ("--set", "width=0.25", "--set", "num_classes=7", "--set", "input_size=32", "-o", "base")


@pytest.fixture
def checkpoint(project: Path) -> Path:
    """A small static MobileNetV2 as it would be published: torchvision's names, wrapped, with DataParallel's prefix."""
    network = build("odconv/base_mobilenetv2", width=0.25, num_classes=7, input_size=32)
    places = {ours: theirs for theirs, ours in preset("odconv/base_mobilenetv2").places(network.architecture).items()}
    state = {}
    for name, value in network.state_dict().items():
        ours = max((p for p in places if name.startswith(f"{p}.")), key=len)
        state[f"module.{places[ours]}{name[len(ours) :]}"] = torch.rand_like(value) if value.is_floating_point() else value
    torch.save({"epoch": 3, "state_dict": state}, project / "published.pth")
    return project / "published.pth"


def test_a_checkpoint_becomes_a_network_that_loads(run: Run, checkpoint: Path) -> None:
    said = run("import", "odconv/base_mobilenetv2", str(checkpoint), *SETTINGS)
    assert said.code == 0, said.err
    direct = dcdnas.load_published("odconv/base_mobilenetv2", checkpoint, width=0.25, num_classes=7, input_size=32)
    again, x = dcdnas.load("base"), torch.randn(2, 3, 32, 32)
    assert torch.equal(again(x), direct(x))
    assert torch.equal(again.stem.conv.weight, torch.load(checkpoint)["state_dict"]["module.features.0.0.weight"])


def test_the_config_says_what_was_imported_and_how_images_are_prepared(run: Run, checkpoint: Path) -> None:
    run("import", "odconv/base_mobilenetv2", str(checkpoint), *SETTINGS)
    written = yaml.safe_load(Path("base/config.yaml").read_text())
    assert written["dcdnas"]["provenance"] == {
        "published": "odconv/base_mobilenetv2", "checkpoint": "published.pth",
        "settings": {"width": 0.25, "num_classes": 7, "input_size": 32},
    }  # fmt: skip
    assert written["pretrained_cfg"]["mean"] == [0.485, 0.456, 0.406]
    assert read_metadata(Path("base/model.safetensors"))["mean"] == "[0.485, 0.456, 0.406]"


def test_names_of_files_that_are_no_text_are_imported(run: Run, checkpoint: Path) -> None:
    name, folder = os.fsdecode(b"caf\xe9.pth"), Path(os.fsdecode(b"tas\xe9"))
    checkpoint.rename(name)
    said = run("import", "odconv/base_mobilenetv2", name, *SETTINGS[:-1], str(folder))
    assert said.code == 0, said.err
    assert yaml.safe_load((folder / "config.yaml").read_text())["dcdnas"]["provenance"]["checkpoint"] == r"caf\xe9.pth"
    assert dcdnas.load(folder).architecture.classes == 7


def test_settings_that_are_not_the_checkpoints_list_what_does_not_fit(run: Run, checkpoint: Path) -> None:
    said = run("import", "odconv/base_mobilenetv2", str(checkpoint), "--set", "num_classes=7")
    assert said.code == 2
    assert "module." not in said.err
    assert "features.0.0.weight is (8, 3, 3, 3), which does not fit stem.conv.weight (32, 3, 3, 3)" in said.err
    assert not Path("odconv-base_mobilenetv2").exists()


def test_a_preset_that_is_misspelled_is_suggested(run: Run, checkpoint: Path) -> None:
    said = run("import", "odconv/od_resnet81", str(checkpoint))
    assert (said.code, "Did you mean 'odconv/od_resnet18'?" in said.err) == (2, True)


def test_a_file_that_could_run_code_is_refused(run: Run, project: Path) -> None:
    torch.save({"state_dict": {}, "hook": Path("x")}, project / "evil.pth")
    said = run("import", "odconv/base_resnet18", "evil.pth")
    assert said.code == 2
    assert "could run code" in said.err


def test_a_published_network_takes_a_state_dict_too() -> None:
    with pytest.raises(FileError, match=r"holds no named tensors"):
        dcdnas.load_published("odconv/base_resnet18", {})


def test_a_folder_with_a_training_is_not_overwritten(run: Run, checkpoint: Path) -> None:
    Path("base/seed-0").mkdir(parents=True)
    Path("base/seed-0/last.safetensors").write_bytes(b"")
    Path("base/config.yaml").write_text("of the training")
    said = run("import", "odconv/base_mobilenetv2", str(checkpoint), *SETTINGS)
    assert said.code != 0
    assert "base contains a training (seed-0)" in said.err
    assert [p.name for p in Path("base").iterdir() if p.is_file()] == ["config.yaml"]
    assert Path("base/config.yaml").read_text() == "of the training"


@pytest.mark.parametrize("left", ["epochs.csv", "last.safetensors"])
def test_nor_is_the_folder_of_one_of_its_seeds(run: Run, checkpoint: Path, left: str) -> None:
    Path("base").mkdir()
    for name in (left, "model.safetensors"):
        Path("base", name).write_bytes(b"of the training")
    said = run("import", "odconv/base_mobilenetv2", str(checkpoint), *SETTINGS)
    assert (said.code, f"base contains a training ({left})" in said.err) == (2, True)
    assert sorted(p.name for p in Path("base").iterdir()) == sorted([left, "model.safetensors"])
    assert Path("base/model.safetensors").read_bytes() == b"of the training"


def test_programs_of_an_earlier_network_do_not_stay_beside_the_weights(run: Run, checkpoint: Path) -> None:
    given = "import", "odconv/base_mobilenetv2", str(checkpoint), *SETTINGS
    assert run(*given).code == 0
    Path("base/model.onnx").write_bytes(b"of the same weights")
    Path("base/notes.txt").write_text("mine")
    assert run(*given).code == 0
    assert sorted(p.name for p in Path("base").iterdir()) == ["config.yaml", "model.onnx", "model.safetensors", "notes.txt"]
    kept = torch.load(checkpoint)
    kept["state_dict"]["module.features.0.0.weight"] += 1
    torch.save(kept, checkpoint)
    assert run(*given).code == 0
    assert sorted(p.name for p in Path("base").iterdir()) == ["config.yaml", "model.safetensors", "notes.txt"]
    assert torch.equal(dcdnas.load("base").stem.conv.weight, kept["state_dict"]["module.features.0.0.weight"])
