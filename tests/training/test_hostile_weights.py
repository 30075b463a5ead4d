"""Files of weights that are damaged, malicious or of something else: each is refused with its name, and nothing in it is run."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dcdnas.errors import FileError
from dcdnas.export.model import save_weights
from dcdnas.training import checkpoint
from dcdnas.training.weights import check_fit, read_weights

WHOLE = {"a.weight": torch.ones(2, 3), "a.count": torch.tensor(1)}


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("run",)


def of_header(header: bytes, data: bytes = b"", length: int | None = None) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)


def of(name: str, **entry: Any) -> bytes:
    return json.dumps({name: {"dtype": "F32", **entry}}).encode()


def cut(path: Path) -> None:
    save_file(WHOLE, path)
    path.write_bytes(path.read_bytes()[:-1])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda path: None, "no such file. Give weights as safetensors"),
    "a folder": (lambda path: path.mkdir(), "no such file"),
    "empty": (lambda path: path.touch(), "cannot be read as safetensors: .* get it again"),
    "cut": (cut, "cannot be read as safetensors"),
    "a header as long as no file": (of_header(b"{}", length=2**40), "cannot be read as safetensors"),
    "deep JSON": (of_header(b"[" * 100_000), "cannot be read as safetensors"),
    "more data than the file has": (of_header(of("a", shape=[2**40], data_offsets=[0, 2**42])), "cannot be read as safetensors"),
    "a shape that is not the data's": (of_header(of("a", shape=[3], data_offsets=[0, 8]), b"8" * 8), "cannot be read"),
    "an overflowing shape": (of_header(of("a", shape=[2**40, 2**40], data_offsets=[0, 8]), b"8" * 8), "cannot be read"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps(Evil())), "a file of torch.save or pickle, which may run code"),
    "a file of torch": (lambda path: torch.save({"x": Evil()}, path), ".* may run code and is never read here. .*dcdnas import"),
    "no numbers": (
        lambda path: save_file(WHOLE | {"a.weight": torch.tensor([1, torch.nan]), "b": torch.tensor(torch.inf)}, path),
        "a.weight and 1 more: numbers that are not finite",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_with_its_name(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write, message = BAD[kind]
    write(tmp_path / "bad.safetensors")
    with pytest.raises(FileError, match=rf"bad\.safetensors: {message}"):
        read_weights(tmp_path / "bad.safetensors")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("beside", [(), ("best",), ("model", "best")])
def test_a_checkpoint_is_told_from_weights_and_the_files_beside_it_are_named(tmp_path: Path, beside: tuple[str, ...]) -> None:
    path, files = tmp_path / "last.safetensors", [tmp_path / f"{name}.safetensors" for name in beside]
    save_file({"network.a.weight": torch.full((1,), torch.nan)}, path, {"format": checkpoint.FORMAT, "training": "{}"})
    for file in files:
        save_file(WHOLE, file)
    advice = " or ".join(map(str, files)) if files else "weights, like the model.safetensors of a finished training"
    said = "the checkpoint of a training, from which `dcdnas train` continues with --resume, and not weights"
    with pytest.raises(FileError) as error:
        read_weights(path)
    assert str(error.value) == f"{path}: {said}. Give {advice}."


@pytest.mark.parametrize("said", ["", "{", '{"a": 1}', "[1, 2]", "[" * 100_000, '["cat", "dog"]'])
def test_names_of_classes_are_a_list_of_texts_or_none(said: str, tmp_path: Path) -> None:
    save_file(WHOLE, tmp_path / "w.safetensors", {"label_names": said})
    found = read_weights(tmp_path / "w.safetensors")
    assert found.classes == (("cat", "dog") if "cat" in said else ())
    assert torch.equal(found.tensors["a.weight"], WHOLE["a.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a.weight": torch.ones(3, 2)}, r"a\.weight has shape \(3, 2\) instead of \(2, 3\)"),
        ({"a.weight": torch.ones(2, 3, dtype=torch.int8)}, r"a\.weight holds int8 instead of float32"),
        ({"a.count": torch.tensor(1.0)}, r"a\.count holds float32 instead of int64"),
        ({"b": torch.ones(1)}, "b is not in the network"),
        ({f"b{i}": torch.ones(1) for i in range(5)}, "b0 is not in the network; b1 is not in the network; b2 .* and 2 more"),
    ],
)
def test_weights_of_another_network_are_refused(change: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(FileError, match=rf"w: weights of another network: {message}. Give weights of this network"):
        check_fit(Path("w"), WHOLE, WHOLE | change)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_numbers_of_8_bits_are_read_as_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    save_file({"a.weight": torch.tensor([0.5, -3.0]).to(dtype)}, tmp_path / "w.safetensors")
    found = read_weights(tmp_path / "w.safetensors").tensors["a.weight"]
    assert torch.equal(found, torch.tensor([0.5, -3.0]))
    save_file({"a.weight": torch.full((2,), torch.nan).to(dtype)}, tmp_path / "w.safetensors")
    with pytest.raises(FileError, match=r"a\.weight: numbers that are not finite"):
        read_weights(tmp_path / "w.safetensors")


def test_other_precisions_and_shapes_that_may_differ_are_taken() -> None:
    check_fit(Path("w"), WHOLE, WHOLE | {"a.weight": torch.ones(2, 3, dtype=torch.float64)})
    check_fit(Path("w"), WHOLE, WHOLE | {"a.weight": torch.ones(3, 2)}, ("a.weight",))


def test_a_path_that_is_no_text_is_read(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    written = save_weights(torch.nn.Linear(3, 2), folder / "model.safetensors")  # type: ignore[arg-type]
    assert written.error == 0.0
    assert set(read_weights(folder / "model.safetensors").tensors) == {"weight", "bias"}
