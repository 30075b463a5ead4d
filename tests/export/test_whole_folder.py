"""An export leaves all of its files or none, and a file of plain PyTorch that needs torch alone."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from test_metadata import ARCHITECTURE, MODEL
from torch import nn

import dcdnas
from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.errors import GeometryError, MismatchError, UsageError
from dcdnas.export import FORMATS, MARK, Model, Written, export_model, programs, save_weights, standalone
from dcdnas.networks import build_network, slots_of
from dcdnas.operators import operators

BLOCK = {"channels": (8,), "depth": 1, "strides": (2,), "expansion": (2,), "stem_channels": 8, "head_channels": 0}


def of_operator(name: str) -> Architecture:
    """A block of MobileNetV2 with an operator wherever it fits."""
    plain = Architecture("mobilenetv2", BLOCK, {}, (3, 12, 12), 4)
    layers = {}
    for slot in slots_of(plain):
        try:
            layers[slot.name] = LayerChoice(name, operators[name].resolve(slot.geometry))
        except GeometryError:
            continue
        if slot.kind == "linear":
            del layers[slot.name]
    return replace(plain, layers=layers)


def trained(architecture: Architecture, folder: Path) -> tuple[nn.Module, Path]:
    """A network with weights that are no start, and their file."""
    torch.manual_seed(0)
    network = build_network(architecture).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network, save_weights(network, folder / "trained.safetensors").path


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "dcd")) for n in sorted(operators)])
def test_a_standalone_file_computes_the_same_and_can_be_trained(tmp_path: Path, name: str) -> None:
    network, weights = trained(of_operator(name), tmp_path)
    written = export_model(Model(network.architecture), tmp_path / "out", ["standalone"], weights)
    assert [file.path.name for file in written] == ["model.safetensors", "network.py"]
    names: dict[str, object] = {"__file__": str(tmp_path / "out" / "network.py")}
    source = (tmp_path / "out" / "network.py").read_text(encoding="utf-8")
    exec(compile(source, "network.py", "exec"), names)
    again = names["load"]()
    assert "import dcdnas" not in source
    assert "(N, 3, 12, 12) -> (N, 4)" in source
    assert {n: p.requires_grad for n, p in again.named_parameters()} == {n: True for n, _ in network.named_parameters()}
    x = torch.randn(3, 3, 12, 12)
    y = again(x)
    torch.testing.assert_close(y, network(x), rtol=1e-4, atol=1e-5)
    y.square().sum().backward()
    network(x).square().sum().backward()
    reached = [{n for n, p in net.named_parameters() if p.grad is not None} for net in (again, network)]
    assert reached[0] == reached[1]
    assert all(p.grad.isfinite().all() for p in again.parameters() if p.grad is not None)


def test_a_standalone_file_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    plain = of_operator("static")
    network, weights = trained(replace(plain, head="decoder"), tmp_path)
    export_model(Model(network.architecture), tmp_path / "out", ["standalone"], weights)
    assert "(N, 3, 12, 12) -> (N, 4, 12, 12)" in (tmp_path / "out" / "network.py").read_text(encoding="utf-8")


def test_a_standalone_file_states_a_range_of_grey_only_where_there_is_one(tmp_path: Path) -> None:
    network, weights = trained(of_operator("static"), tmp_path)
    texts = {}
    for grey_range in (None, 4095.0):
        export_model(Model(network.architecture, grey_range=grey_range), tmp_path / str(grey_range), ["standalone"], weights)
        texts[grey_range] = (tmp_path / str(grey_range) / "network.py").read_text(encoding="utf-8")
    added = set(texts[4095.0].splitlines()) - set(texts[None].splitlines())
    said = "Grey pictures of more than 8 bits are divided by GREY_RANGE first, and values above 1 are set to 1."
    assert added == {said, "GREY_RANGE = 4095.0"}
    assert "GREY_RANGE" not in texts[None]


def test_a_standalone_file_reads_buffers_of_every_kind_of_number(tmp_path: Path) -> None:
    kinds = [
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool,
    ]  # fmt: skip
    tensors = {str(kind).replace(".", "_"): torch.tensor([[0, 1], [1, 1]]).to(kind) for kind in kinds}
    save_file(tensors, tmp_path / "w.safetensors")
    state = "".join(f"    {name!r}: ((2, 2), {tensor.dtype}, False),\n" for name, tensor in tensors.items())
    said = dict.fromkeys(["what", "version", "channels", "height", "width", "outputs", "input", "mean", "std", "labels"], "0")
    said |= {"deep": "", "grey_range": ""}
    source = standalone.HEAD.format(**said, weights="w.safetensors", state=state, constants="", body="        return x\n")
    names: dict[str, Any] = {"__file__": str(tmp_path / "network.py")}
    exec(compile(source, "network.py", "exec"), names)
    again = names["load"]().state_dict()
    assert all(torch.equal(again[name], tensor) and again[name].dtype == tensor.dtype for name, tensor in tensors.items())


@pytest.mark.slow
def test_a_standalone_file_needs_torch_alone(tmp_path: Path) -> None:
    network, weights = trained(of_operator("odconv"), tmp_path)
    model = Model(network.architecture, {}, None, ("a", 'b"""', "c\\", "d'"))
    export_model(model, tmp_path / "out", ["standalone"], weights)
    x = torch.randn(2, 3, 12, 12)
    torch.save({"x": x, "y": network(x).detach()}, tmp_path / "numbers.pt")
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["dcdnas", "numpy.core", "safetensors", "timm", "ray", "optuna", "fvcore"]))
import torch
sys.path.insert(0, {str(tmp_path / "out")!r})
import network
said = torch.load({str(tmp_path / "numbers.pt")!r}, weights_only=True)
torch.testing.assert_close(network.load()(said["x"]), said["y"], rtol=1e-4, atol=1e-5)
assert network.LABELS == {model.labels!r} and network.INPUT == (3, 12, 12)
print("equal")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env={"PATH": ""})
    assert (done.returncode, done.stdout) == (0, "equal\n"), done.stderr


def test_config_and_weights_are_loaded_again_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, weights = trained(ARCHITECTURE, tmp_path)
    export_model(MODEL, tmp_path / "out", ["config", "torch"], weights)
    x = torch.randn(8, 3, 9, 9)
    assert torch.equal(dcdnas.load(tmp_path / "out")(x), network(x))
    monkeypatch.setattr(programs, "ALLOWED", -1.0)
    with pytest.raises(MismatchError, match=r"again/model.safetensors: at batch 1 it differs"):
        export_model(MODEL, tmp_path / "again", ["config", "torch"], weights)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "trained.safetensors"]


def interrupted(made: Path, written: object) -> list[Written]:
    assert (made / "config.json").is_file()
    raise KeyboardInterrupt


def test_an_interrupted_export_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        export_model(MODEL, tmp_path / "deep" / "out", ["config"], beside=interrupted)
    assert list((tmp_path / "deep").iterdir()) == []


def test_an_interrupted_export_leaves_a_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("before")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt):
        export_model(MODEL, tmp_path, ["config"], beside=interrupted)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"config.json": "before", "mine.txt": "mine"}
    export_model(MODEL, tmp_path, ["config"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "config.yaml", "mine.txt"]
    assert (tmp_path / "config.json").read_text() != "before"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_process_leaves_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def asked(made: Path, written: object) -> list[Written]:
        signal.raise_signal(number)
        return []

    with pytest.raises(SystemExit) as ended:
        export_model(MODEL, tmp_path / "out", ["config"], beside=asked)
    assert ended.value.code == 128 + number
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) == before


def test_what_a_killed_export_left_is_removed_by_the_next_one_and_that_of_a_live_one_stays(tmp_path: Path) -> None:
    (tmp_path / ".out.0123abcd.new").mkdir()
    (tmp_path / ".out.0123abcd.new" / "config.json").write_text("half")

    def another(made: Path, written: object) -> list[Written]:
        export_model(MODEL, tmp_path / "out", ["config"])
        assert made.is_dir()
        return []

    export_model(MODEL, tmp_path / "out", ["config"], beside=another)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_said_of_a_program_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer of torch would end the process, so it does not get to the disk."""
    real = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if ".pt2" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match=r"out/model\.pt2: cannot be written: No space left on device"):
        export_model(MODEL, tmp_path / "out", ["pt2"])
    assert list(tmp_path.iterdir()) == []


def test_the_working_folder_can_be_exported_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (written, _) = export_model(MODEL, Path(), ["config"])
    assert (written.path, written.path.is_file()) == (Path("config.yaml"), True)
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


def test_a_folder_that_is_made_follows_the_umask(tmp_path: Path) -> None:
    export_model(MODEL, tmp_path / "out", ["config"])
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="out: cannot be written to: File exists"):
        export_model(MODEL, tmp_path / "out", ["config"])
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_formats_are_written_in_their_own_order() -> None:
    assert list(FORMATS)[:3] == ["config", "torch", "standalone"]


OTHER = Model(replace(ARCHITECTURE, classes=ARCHITECTURE.classes + 1))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_no_file_of_another_network_stays_beside_the_config(tmp_path: Path) -> None:
    _, weights = trained(ARCHITECTURE, tmp_path)
    out = tmp_path / "out"
    export_model(MODEL, out, ["config", "torch"], weights)
    for name, content in {"model-int8.onnx": "", "README.md": MARK, "network.py": "mine", "mine.txt": ""}.items():
        (out / name).write_text(content)
    export_model(MODEL, out, ["config"], weights)
    assert len(names(out)) == 7, "the same network: all of its files stay"
    export_model(OTHER, out, ["config"])
    assert names(out) == ["config.json", "config.yaml", "mine.txt", "network.py"]


def test_other_weights_of_the_same_network_replace_its_earlier_files(tmp_path: Path) -> None:
    network, weights = trained(ARCHITECTURE, tmp_path)
    out = tmp_path / "out"
    export_model(MODEL, out, ["config", "torch"], weights)
    (out / "model.onnx").write_text("")
    with torch.no_grad():
        next(network.parameters()).add_(1)
    export_model(MODEL, out, ["config", "torch"], save_weights(network, tmp_path / "others.safetensors").path)
    assert names(out) == ["config.json", "config.yaml", "model.safetensors"]


@pytest.mark.parametrize(
    ("formats", "advice"), [(["torch"], "or export the config, too"), (["config"], "another folder with -o.")]
)
def test_the_folder_of_another_network_is_refused_without_a_config_and_that_of_a_training_always(
    tmp_path: Path, formats: list[str], advice: str
) -> None:
    export_model(MODEL, tmp_path / "out", ["config"])
    if "config" in formats:
        (tmp_path / "out" / "epochs.csv").write_text("")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(UsageError, match=f"has the files of another network.*{advice}"):
        export_model(OTHER, tmp_path / "out", formats)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("what", [OSError(errno.EACCES, "no"), KeyboardInterrupt()])
def test_an_export_that_fails_while_its_files_are_moved_leaves_a_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: BaseException
) -> None:
    _, weights = trained(ARCHITECTURE, tmp_path)
    export_model(MODEL, tmp_path / "out", ["config", "torch"], weights)
    (tmp_path / "out" / "config.yaml").unlink()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    real = os.replace

    def failing(source: Path, to: Path) -> None:
        real(source, to)
        if to == tmp_path / "out" / "config.yaml":
            raise what

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises((UsageError, KeyboardInterrupt)):
        export_model(OTHER, tmp_path / "out", ["config"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert names(tmp_path) == ["out", "trained.safetensors"]


def test_without_weights_an_export_says_how_a_training_of_ones_own_gives_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"with safetensors\.torch\.save_file\(network\.state_dict\(\), FILE\)"):
        export_model(MODEL, tmp_path / "out", ["config", "torch"])
    network = build_network(ARCHITECTURE)
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    export_model(MODEL, tmp_path / "out", ["config", "torch"], tmp_path / "own.safetensors")
    loaded = dcdnas.load(tmp_path / "out").state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in network.state_dict().items())
