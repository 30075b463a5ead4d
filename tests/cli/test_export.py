"""`dcdnas export`: configs and programs that stand alone."""

from __future__ import annotations

import io
import sys
from importlib.machinery import ModuleSpec
from itertools import product
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from commands import Run
from PIL import Image
from safetensors.torch import save_file
from torch.export import ExportedProgram
from written_runs import trial, write_run

import dcdnas
from dcdnas.cost import measure
from dcdnas.export import Normalisation, load_weights, read_model
from dcdnas.results import load_run


def test_an_exported_config_builds_the_network_that_was_found(run: Run, searched: Path) -> None:
    assert run("export", "done", "--to", "config", "-o", "out").code == 0
    best = load_run("done").best
    assert best is not None
    for name in ("config.yaml", "config.json"):
        network = dcdnas.build(searched / "out" / name)
        assert network.architecture == best.architecture
        assert dict(measure(network).values) == dict(best.cost.values)


def test_a_run_is_cut_again_at_another_budget(run: Run, searched: Path) -> None:
    assert run("export", "done", "-b", "0.15MFLOPs", "--to", "config", "-o", "small").code == 0
    assert measure(dcdnas.build(searched / "small" / "config.yaml"))["flops"] <= 150_000


def test_a_budget_that_no_trial_meets_is_refused(run: Run, searched: Path) -> None:
    said = run("export", "done", "-b", "1kFLOPs")
    assert said.code == 2
    assert "no finished trial within flops <= 1 kFLOPs" in said.err


def test_a_trial_over_the_budget_is_refused(run: Run, searched: Path) -> None:
    said = run("export", "done", "--trial", "0", "-b", "80kFLOPs")
    assert said.code == 2
    assert "outside" in said.err


def test_the_whole_front_gets_a_folder_a_network(run: Run, searched: Path) -> None:
    documents = run("export", "done", "--trial", "front", "--to", "config", "-o", "out", "--json").json
    assert [d["name"] for d in documents] == [f"done-{t.number}" for t in load_run("done").front()]
    assert all(Path(f["path"]).is_file() for d in documents for f in d["files"])


@pytest.mark.slow
def test_what_was_trained_is_exported_as_a_folder_that_stands_alone(run: Run, searched: Path) -> None:
    pytest.importorskip("onnxscript")
    run("train", "done", "-d", "npz:some.npz", "--epochs", "1", "-o", "out")
    said = run("export", "out/seed-0", "--standalone", "--license", "mit", "-o", "net", "--json").json[0]
    assert sorted(p.name for p in Path("net").iterdir()) == sorted(Path(f["path"]).name for f in said["files"])
    assert {Path(f["path"]).name for f in said["files"]} == {
        "config.yaml", "config.json", "model.safetensors", "network.py", "model.pt2", "model.onnx", "model-batch1.onnx",
        "README.md", "architecture.svg",
    }  # fmt: skip
    assert "license: mit" in Path("net/README.md").read_text()
    assert run("predict", "net/model.onnx", "net/none.png").code == 7


@pytest.mark.slow
def test_an_eight_bit_model_says_its_accuracy_and_evaluates_to_about_the_same(run: Run, searched: Path) -> None:
    pytest.importorskip("onnxruntime.quantization")
    run("train", "done", "-d", "npz:some.npz", "--epochs", "2", "-o", "out")
    said = run("export", "out", "--to", "config", "--quantize", "int8", "-o", "net")
    assert (said.code, "model-int8.onnx: int8, scales of" in said.out, " before; " in said.out) == (0, True, True)
    assert "`model-int8.onnx`" in Path("net/README.md").read_text()
    eight, full = (run("evaluate", f"net/{n}", "-d", "npz:some.npz", "--json").json for n in ("model-int8.onnx", "model.onnx"))
    assert abs(eight["loss"] - full["loss"]) < 0.1


@pytest.mark.slow
def test_an_eight_bit_model_is_calibrated_without_the_damaged_pictures_of_the_training(run: Run, searched: Path) -> None:
    pytest.importorskip("onnxruntime.quantization")
    for part, name in product(("train", "test"), "ab"):
        folder = searched / "set" / part / name
        folder.mkdir(parents=True)
        for number in range(10):
            Image.new("L", (28, 28), 25 * number).save(folder / f"{number}.png")
    (searched / "set" / "train" / "a" / "1.png").write_bytes(b"damaged")
    trained = run("train", "done", "-d", "folder:set", "--epochs", "1", "--set", "skip_damaged=1", "-o", "out")
    assert trained.code == 0, trained.err
    again = "export", "out/seed-0", "--to", "config", "--quantize", "int8", "-o", "net"
    said = run(*again)
    assert said.code == 0, said.err
    assert "folder:set, train part: 1 damaged left out." in said.err
    assert Path("net/model-int8.onnx").is_file()
    (searched / "set" / "train" / "a" / "2.png").write_bytes(b"damaged")
    assert "2 of 20 pictures cannot be read; 1 may be left out." in " ".join(run(*again).err.split())
    said = run(*again, "--skip-damaged", "10%")
    assert said.code == 0, said.err
    assert "folder:set, train part: 2 damaged left out." in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("done", "--quantize", "int4"), "--quantize int4: no such number format. Allowed: int8."),
        (("runs/done/front/best.yaml", "--quantize", "int8"), "--quantize int8 needs trained weights (--weights)"),
    ],
)
def test_what_cannot_be_quantised_is_said(run: Run, searched: Path, words: tuple[str, ...], said: str) -> None:
    found = run("export", *words, "-o", "out")
    assert (found.code, said in found.err) == (2, True)
    assert not Path("out").exists()


def test_a_config_has_a_card_beside_it_and_a_readme_of_ones_own_stays(run: Run, searched: Path) -> None:
    assert run("export", "done", "--to", "config", "-o", "out").code == 0
    assert "# mobilenetv2" in Path("out/README.md").read_text()
    assert run("export", "done", "--to", "config", "-o", "out").code == 0
    Path("out/README.md").write_text("mine")
    said = run("export", "done", "--to", "config", "-o", "out")
    assert (said.code, "out/README.md was not written by dcdnas" in said.err) == (0, True)
    assert Path("out/README.md").read_text() == "mine"


def test_what_is_not_trained_is_a_config_and_its_card_unless_more_is_asked_for(run: Run, searched: Path) -> None:
    files = run("export", "runs/done/front/best.yaml", "-o", "out", "--json").json[0]["files"]
    assert [Path(f["path"]).name for f in files] == ["config.yaml", "config.json", "README.md", "architecture.svg"]
    assert "not trained" in Path("out/README.md").read_text()


def test_a_file_that_computes_something_else_is_exit_5_and_leaves_nothing(
    run: Run, searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcdnas.export.programs.ALLOWED", -1.0)
    said = run("export", "done", "--trial", "0", "--to", "config,pt2", "-o", "out")
    assert (said.code, "out/model.pt2: at batch 1 it differs" in said.err) == (5, True)
    assert not list(searched.glob("*out*"))


def test_a_config_can_be_exported_again_with_its_provenance(run: Run, searched: Path) -> None:
    run("export", "done", "--to", "config", "-o", "one")
    run("export", "one/config.yaml", "-o", "two")
    assert (searched / "one" / "config.json").read_text() == (searched / "two" / "config.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_a_program_computes_the_same_at_other_batch_sizes(run: Run, searched: Path, format: str) -> None:
    if format == "onnx":
        pytest.importorskip("onnxscript")
    trial = next(t.number for t in load_run("done").trials if "odconv" in {c.operator for c in t.architecture.layers.values()})
    document = run("export", "done", "-t", str(trial), "--to", format, "-o", "out", "--json").json[0]
    names = ["model.pt2"] if format == "pt2" else ["model.onnx", "model-batch1.onnx"]
    assert [Path(file["path"]).name for file in document["files"]] == names
    for file in document["files"]:
        assert Path(file["path"]).is_file()
        assert 0 <= file["error"] < 1e-4
        assert "random" in file["said"]


def test_weights_are_written_and_load_again(run: Run, searched: Path) -> None:
    run("export", "done", "--to", "config", "-o", "out")
    torch.manual_seed(1)
    save_file(dcdnas.build("out/config.yaml").state_dict(), "mine.safetensors")
    assert run("export", "done", "--to", "config,torch", "--weights", "mine.safetensors", "-o", "out").code == 0
    first, second = dcdnas.load("out"), dcdnas.build("out/config.yaml").eval()
    load_weights(second, Path("mine.safetensors"))
    x = torch.randn(2, 1, 28, 28)
    assert torch.equal(first(x), second(x))


def test_weights_of_another_network_are_refused(run: Run, searched: Path) -> None:
    save_file({"something": torch.zeros(1)}, "other.safetensors")
    said = run("export", "done", "--to", "torch", "--weights", "other.safetensors")
    assert said.code == 2
    assert "weights of another network" in said.err


def test_weights_that_are_wanted_and_not_given_are_asked_for(run: Run, searched: Path) -> None:
    said = run("export", "runs/done/front/best.yaml", "--to", "torch")
    assert said.code == 2
    assert "--weights" in said.err


def test_a_mistyped_format_gets_the_nearest(run: Run, searched: Path) -> None:
    assert "Did you mean 'onnx'?" in run("export", "done", "--to", "onx").err


@pytest.fixture
def like_executorch(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Puts modules in executorch's place, whose programs are those of `torch.export`; returns what they were asked for."""
    asked: list[object] = []

    class Lowered:
        def __init__(self, program: ExportedProgram, partitioner: list[object]) -> None:
            asked.extend((program, *partitioner))
            self.program = program

        def to_executorch(self) -> SimpleNamespace:
            file = io.BytesIO()
            torch.export.save(self.program, file)
            return SimpleNamespace(buffer=file.getvalue())

    class Program:
        def __init__(self, path: Path) -> None:
            self.module = torch.export.load(io.BytesIO(path.read_bytes())).module()

        def load_method(self, name: str) -> SimpleNamespace:
            assert name == "forward"
            return SimpleNamespace(execute=lambda inputs: [self.module(*inputs)])

    runtime = SimpleNamespace(get=lambda: SimpleNamespace(load_program=Program))
    partition = "executorch.backends.xnnpack.partition"
    contents: dict[str, dict[str, object]] = {
        "executorch": {"__spec__": ModuleSpec("executorch", None)},
        "executorch.backends": {},
        "executorch.backends.xnnpack": {},
        partition: {},
        f"{partition}.xnnpack_partitioner": {"XnnpackPartitioner": lambda: "xnnpack"},
        "executorch.exir": {"to_edge_transform_and_lower": Lowered},
        "executorch.runtime": {"Runtime": runtime},
    }
    for name, content in contents.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return asked


@pytest.mark.slow
def test_an_executorch_program_is_lowered_for_one_image_and_compared(
    run: Run, searched: Path, like_executorch: list[object]
) -> None:
    document = run("export", "done", "--trial", "0", "--to", "executorch", "-o", "out", "--json").json[0]
    assert Path(document["files"][0]["path"]).name == "model.pte"
    assert 0 <= document["files"][0]["error"] < 1e-4
    assert document["files"][0]["said"].startswith("takes one image at a time; computes the same, largest relative error")
    program, partitioner = like_executorch
    assert partitioner == "xnnpack"
    assert isinstance(program, ExportedProgram)
    assert not program.range_constraints


@pytest.mark.slow
def test_a_program_that_computes_something_else_exits_with_5_and_is_not_kept(
    run: Run, searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcdnas.export.programs.ALLOWED", -1.0)
    said = run("export", "done", "--trial", "0", "--to", "pt2", "-o", "out")
    assert said.code == 5
    assert not (searched / "out" / "model.pt2").exists()


def test_a_folder_that_cannot_be_made_is_said(run: Run, searched: Path) -> None:
    (searched / "file").write_text("")
    said = run("export", "done", "--to", "config", "-o", "file/inside")
    assert said.code == 2
    assert "file/inside: cannot be written to" in said.err


def test_the_config_of_a_run_has_the_names_of_its_classes_and_its_normalisation(run: Run, searched: Path) -> None:
    run("export", "done", "--to", "config", "-o", "out")
    images, model = load_run("done").images, read_model(searched / "out" / "config.yaml")
    assert model.labels == tuple(images["classes"])
    assert len(model.labels) == 10
    assert model.normalisation == Normalisation(tuple(images["mean"]), tuple(images["std"]))


def test_a_trial_that_was_refused_says_that_it_was_never_trained_and_why(run: Run, project: Path) -> None:
    reason = "500 FLOPs is outside flops <= 100 FLOPs"
    write_run(project / "runs" / "small", [trial(0, 0.7, 90.0), trial(1, None, 500.0, "refused", reason=reason)])
    said = run("export", "small", "--trial", "1", "--to", "config", "-o", "out")
    assert said.code == 0, said.err
    assert "Trial 1 of small: refused and never trained: 500 FLOPs is outside flops <= 100 FLOPs; " in " ".join(said.out.split())
    assert "one training" not in said.out
    assert "| result | refused and never trained: 500 FLOPs is outside" in (project / "out" / "README.md").read_text()
    (plain,) = run("export", "small", "--trial", "1", "--to", "config", "-o", "out", "--json").json
    assert (plain["accuracy"], plain["accuracy_from"]) == (None, f"refused and never trained: {reason}")
