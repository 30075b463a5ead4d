"""Published states as they are found: in wrappers, with prefixes and counters, in half precision; and files that are none."""

from __future__ import annotations

import argparse
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from thoroughness import slow_but

from dcdnas.errors import FileError, UsageError
from dcdnas.published import architecture, build, load, read_state
from dcdnas.published._layer import load_renamed
from dcdnas.published._state import SHELLS, WRAPPERS, unwrapped

STATE = {
    "features.0.0.weight": torch.ones(2, 3),
    "features.0.1.running_mean": torch.zeros(3),
    "classifier.1.bias": torch.full((4,), 2.0),
    "features.0.1.num_batches_tracked": torch.tensor(0),
}

SMALL = {"num_classes": 10, "input_size": 32}


@st.composite
def wrapped(draw):
    """`STATE` in a random nesting of what trainings wrap states in."""
    state = dict(STATE)
    for shell in draw(st.lists(st.sampled_from(sorted(SHELLS)), max_size=3)):
        where = draw(st.integers(0, 2))
        split = [k.split(".") for k in state]
        state = {".".join([*p[:where], shell, *p[where:]]): v for p, v in zip(split, state.values(), strict=True)}
    if draw(st.booleans()):
        state |= {"total_ops": torch.zeros(1, dtype=torch.float64), "features.0.total_params": torch.zeros(1)}
        state["n_averaged"] = torch.tensor(3)
    for key in draw(st.lists(st.sampled_from(WRAPPERS), max_size=2)):
        state = {f"{key}.{k}": v for k, v in state.items()}
    for key in draw(st.lists(st.sampled_from(WRAPPERS), max_size=2)):
        optimizer = {"state": {0: {"momentum_buffer": torch.ones(2, 3)}}, "param_groups": [{"lr": 0.1}]}
        state = {"epoch": 3, "best_acc1": torch.tensor(0.5), "optimizer": optimizer, key: state}
    return state


@given(wrapped())
def test_a_state_is_found_in_every_nesting_of_wrappers(state):
    found = unwrapped(state)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[k], v) for k, v in STATE.items())


def test_a_wrapper_of_an_unknown_name_is_opened_when_it_is_the_only_one_with_tensors():
    assert unwrapped({"epoch": 1, "my_weights": STATE, "optimizer": {"state": {0: {"m": torch.ones(1)}}}}).keys() == STATE.keys()


def test_plain_weights_come_before_averaged_ones():
    averaged = {k: v + 1 for k, v in STATE.items()}
    assert torch.equal(unwrapped({"state_dict_ema": averaged, "state_dict": STATE})["classifier.1.bias"], torch.full((4,), 2.0))
    assert torch.equal(unwrapped({"state_dict_ema": averaged, "epoch": 1})["classifier.1.bias"], torch.full((4,), 3.0))


def test_what_holds_no_tensors_or_two_of_one_name_is_refused():
    with pytest.raises(FileError, match="no named tensors, only: epoch, args"):
        unwrapped({"epoch": 1, "args": {"lr": 0.1}})
    with pytest.raises(FileError, match=r"holds a\.weight twice"):
        unwrapped({"a.weight": torch.ones(1), "module.a.weight": torch.ones(1)})
    for shell in ("module", "module._orig_mod"):
        with pytest.raises(FileError, match=f"holds a tensor named only '{shell}'"):
            unwrapped({shell: torch.ones(1)})


NETWORKS = [
    "condconv/cond_mobilenetv2", "dcd/mobilenetv2_dcd", "dcd/resnet18_dcd", "ddf/ddf_resnet50", "dyconv/dy_resnet18",
    "odconv/od_mobilenetv2", "odconv/base_resnet18", "torchvision/shufflenet_v2_x0_5", "torchvision/mobilenet_v3_small",
]  # fmt: skip


def published_state(name):
    """The state of a network with fresh weights by names that its published code has."""
    from dcdnas.published import sources

    folder, _, plain = name.partition("/")
    preset, network = sources[folder].presets[plain], build(name, **SMALL)
    places, modules = preset.places(network.architecture), dict(network.named_modules())
    inner = {ours: theirs for theirs, ours in (preset.layer.names if preset.layer else {}).items()}
    state = {}
    for key, value in network.state_dict().items():
        candidates = [(t, o) for t, o in places.items() if key.startswith(f"{o}.")]
        longest = max(len(o) for _, o in candidates)
        for theirs, ours in (c for c in candidates if len(c[1]) == longest):
            rest = key.removeprefix(f"{ours}.")
            parts = [p for p in inner if rest == p or rest.startswith(f"{p}.")]
            options = [rest, *(inner[p] + rest[len(p) :] for p in parts)]
            name = next((f"{theirs}.{o}" for o in options if preset._renamed(f"{theirs}.{o}", places, modules) == key), None)
            if name is not None:
                state[name] = value
                break
    return state, network


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_layer_may_stand_behind_a_dropout_or_not(name):
    state, network = published_state(name)
    last = next(k for k in state if k.startswith(("classifier.", "fc.")) and network.architecture.classes in state[k].shape)
    stem = last.split(".")[0] + ("." + last.split(".")[1] if last.split(".")[1].isdigit() else "")
    numbers = ("2", "3") if "mobilenet_v3" in name else ("0", "1")
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = load(name, state, **SMALL)(image)
        for number in numbers:
            other = f"{stem.split('.')[0]}.{number}"
            moved = {other + k[len(stem) :] if k.startswith(f"{stem}.") else k: v for k, v in state.items()}
            assert torch.equal(load(name, moved, **SMALL)(image), expected), other


@pytest.mark.parametrize("name", ["dcd/mobilenetv2_dcd", "odconv/od_resnet18", "torchvision/mobilenet_v3_small"])
def test_no_dropout_is_a_value_and_another_than_a_probability_is_refused(name):
    assert architecture(name, dropout=None) == architecture(name, dropout=0.0)
    for wrong in (-1, 1.5, "much"):
        with pytest.raises(UsageError, match=r"dropout cannot be .*Allowed: 0 to 1, or None"):
            architecture(name, dropout=wrong)


@pytest.mark.parametrize("kind", slow_but([torch.float16], [torch.float16, torch.bfloat16]))
def test_a_state_in_half_precision_becomes_float32(kind):
    state, _ = published_state("dcd/mobilenetv2_dcd")
    half = {k: v.to(kind) if v.is_floating_point() else v for k, v in state.items()}
    half["total_ops"] = torch.zeros(1, dtype=torch.float64)
    network = load("dcd/mobilenetv2_dcd", half, **SMALL)
    assert {v.dtype for v in network.state_dict().values()} == {torch.float32, torch.int64}
    assert network(torch.zeros(1, 3, 32, 32)).isfinite().all()


def test_a_state_of_another_network_is_said_in_a_line():
    with pytest.raises(FileError, match=r"^none of the 1 names in the state dict belongs to .*first are: encoder.weight\.$"):
        load("dcd/resnet18_dcd", {"encoder.weight": torch.ones(2)})


def test_two_last_layers_are_said():
    state, _ = published_state("odconv/base_resnet18")
    with pytest.raises(FileError, match=r"has the same place as another entry: classifier\.weight"):
        load("odconv/base_resnet18", {**state, "fc.weight": torch.zeros(10, 512)}, **SMALL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>404 not found</html>", "a web page"),
        (b"\n\n<!DOCTYPE html><html>", "a web page"),
        (b"<?xml version='1.0'?><Error>NoSuchKey</Error>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer"),
        (b'{"error": "not found"}', "JSON"),
        (b"\x1f\x8b\x08\x00 and so on", "a packed archive"),
        (b"", "is empty"),
        (bytes(4096), "nothing but zeros"),
        (b"some text", "not a checkpoint, or damaged"),
        (pickle.dumps({"a": 1}, 4), "not a checkpoint, or damaged"),
    ],
    ids=["html", "doctype", "xml", "lfs", "json", "gzip", "empty", "zeros", "text", "pickle"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(tmp_path: Path, content: bytes, said: str, suffix: str):
    path = tmp_path / f"c{suffix}"
    path.write_bytes(content)
    with pytest.raises(FileError, match=rf"c{suffix}: .*{said}") as caught:
        read_state(path)
    assert "could run code" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_safetensors_are_known_by_their_content(tmp_path):
    from safetensors.torch import save_file

    save_file(STATE, tmp_path / "model.bin")
    assert read_state(tmp_path / "model.bin").keys() == STATE.keys()


@pytest.mark.parametrize("length", [0x7B20, 0x5B20, 0x8B1F, 0x613C], ids=["JSON object", "JSON list", "gzip", "web page"])
def test_a_safetensors_file_may_begin_with_any_length(tmp_path: Path, length: int):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode().ljust(length)
    (tmp_path / "a.pth").write_bytes(length.to_bytes(8, "little") + header + np.float32(3).tobytes())
    assert read_state(tmp_path / "a.pth") == {"a": torch.tensor([3.0])}


def test_json_is_not_taken_for_safetensors_by_its_ninth_byte(tmp_path: Path):
    (tmp_path / "a. get.pth").write_text('{"err": {"code": 404}}')
    with pytest.raises(FileError) as caught:
        read_state(tmp_path / "a. get.pth")
    assert str(caught.value) == (
        f"{tmp_path}/a. get.pth: is JSON, not a checkpoint. Get the file again. Allowed: .pth, .safetensors."
    )


def test_arguments_and_numbers_beside_a_state_are_read_and_code_is_not(tmp_path):
    beside = {"args": argparse.Namespace(lr=0.1), "best": np.float64(0.5)}
    torch.save({"state_dict": STATE, **beside}, tmp_path / "a.pth")
    assert unwrapped(read_state(tmp_path / "a.pth")).keys() == STATE.keys()
    torch.save({"state_dict": STATE, "model": torch.nn.Linear(2, 2)}, tmp_path / "b.pth")
    with pytest.raises(FileError, match=r"plain values \(torch.nn.modules.linear.Linear\), which could run code"):
        read_state(tmp_path / "b.pth")


def test_a_list_is_no_state(tmp_path):
    torch.save([STATE, 3], tmp_path / "a.pth")
    with pytest.raises(FileError, match="holds a list, not a state dict"):
        read_state(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_text(json.dumps([1]))
    with pytest.raises(FileError, match="JSON"):
        read_state(tmp_path / "b.pth")


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda v: v.int(), "holds int32. Allowed: floating-point numbers"),
        (lambda v: v.to(torch.complex64), "holds complex64. Allowed: floating-point numbers"),
        (lambda v: v * torch.nan, "holds numbers that are not finite"),
        (lambda v: v.to_sparse(), "is sparse. Allowed: dense tensors"),
        (lambda v: v.to("meta"), "is without values. Allowed: dense tensors"),
        (lambda v: torch.quantize_per_tensor(v, 0.1, 0, torch.qint8), "is quantized. Allowed: dense tensors"),
    ],
)
def test_tensors_that_are_no_weights_are_refused_by_name(changed, message):
    layer = torch.nn.Linear(3, 2)
    state = layer.state_dict() | {"weight": changed(layer.weight.detach())}
    with pytest.raises(FileError, match=f"weight {message}"):
        load_renamed(layer, state, str, "a layer")


def test_weights_of_8_bits_are_loaded_as_float32():
    layer = torch.nn.Linear(1, 2)
    load_renamed(layer, {"weight": torch.tensor([[0.5], [-3.0]]).to(torch.float8_e4m3fn), "bias": torch.zeros(2)}, str, "a layer")
    assert torch.equal(layer.weight, torch.tensor([[0.5], [-3.0]]))


def test_a_state_that_contains_itself_is_refused():
    state = {}
    state["model"] = state
    with pytest.raises(FileError, match="the checkpoint contains itself"):
        unwrapped(state)


def test_a_program_is_told_from_a_checkpoint(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(3, 2), torch.ones(1, 3)), tmp_path / "program.pt")
    with pytest.raises(FileError, match=r"program.pt: a TorchScript program, not a checkpoint"):
        read_state(tmp_path / "program.pt")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(FileError, match="it is a pipe or a socket"):
        read_state(tmp_path / "pipe.pth")
