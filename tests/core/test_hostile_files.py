"""Files that anybody may have written: whatever is in them is read or refused by an error with its place, and quickly."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from thoroughness import slow_but

from dcdnas.core import files, json_files, yaml_lines
from dcdnas.core.architecture import Architecture
from dcdnas.core.json_files import parse_json, read_json
from dcdnas.core.lock import live_driver
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.engine.config import SearchConfig
from dcdnas.errors import DcdnasError, FileError, RunError
from dcdnas.export import read_model
from dcdnas.results.attention import read_attentions
from dcdnas.results.notes import read_notes

SECONDS = 5.0
"""Of processor time that a file may cost."""

ALIASES = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))])
MERGES = "\n".join(["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12))])
IN_A_KEY = f"? [&a0 [x], {', '.join(f'&a{i} [' + ', '.join([f'*a{i - 1}'] * 9) + ']' for i in range(1, 12))}]\n: 1"

YAML: dict[str, tuple[bytes, str]] = {
    "aliases that multiply": (ALIASES.encode(), r":\d+: more than 50,000 keys and values, with what aliases"),
    "merges that multiply": (MERGES.encode(), r":\d+: more than 50,000 keys and values"),
    "aliases that multiply in a key": (IN_A_KEY.encode(), ":1: a list or mapping cannot be a key"),
    "an alias to what it is in": (b"a: &x\n  b: *x", r":\d+: .*nested more than 64 deep"),
    "lists in lists": (b"format: x\na: " + b"[" * 10_000 + b"]" * 10_000, ":2: .*nested more than 64 deep"),
    "lists in lists that never end": (b"\n" + b"[" * 10_000, ":2: .*nested more than 64 deep"),
    "blocks in blocks": (b"- " * 10_000, ":1: .*nested more than 64 deep"),
    "keys in keys": (b"? " * 10_000, ":1: .*nested more than 64 deep"),
    "a key twice": (b"format: a\nb: 1\nformat: c", r":3: 'format' is given twice \(first on line 1\)"),
    "no text": (b"format: a\nb: \xff\xfe\x00", ":2: cannot be read as UTF-8 text: byte 0xff"),
    "a NUL": (b"format: a\nb: \x00", ":2: not valid YAML"),
    "a number of many digits": (b"format: a\nb: " + b"9" * 5000, ":2: a number of 5,000 characters. Allowed: 300"),
    "a key of many digits": (b"format: a\n" + b"9" * 5000 + b": 1", ":2: "),
    "another type": (b"format: a\nb: !!python/object:os.system x", ":2: .*cannot stand here"),
    "many values": (b"format: a\nb:\n" + b"- 1\n" * 60_000, r":\d+: more than 50,000 keys and values"),
    "many bytes": (b"# " + b"x" * 1_000_000, ": the file is too large. Allowed: 1,000,000 bytes"),
    "brackets that do not match": (b"format: a\nb: [1,\nc: }", ":3: not valid YAML"),
}

READERS: dict[str, Callable[[Path], Any]] = {
    "YAML": read_yaml,
    "an architecture": Architecture.read,
    "a model": read_model,
    "a search": SearchConfig.read,
}


def refused(read: Callable[[], Any], kind: type[DcdnasError] = FileError) -> str:
    """The message with which something is refused, soon."""
    began = time.process_time()
    with pytest.raises(kind) as error:
        read()
    assert time.process_time() - began < SECONDS
    return str(error.value)


@pytest.mark.parametrize("case", slow_but(YAML.keys() - {"many values"}, YAML))
def test_yaml_is_refused_with_file_and_line(tmp_path: Path, case: str) -> None:
    content, said = YAML[case]
    path = tmp_path / "net.yaml"
    path.write_bytes(content)
    assert re.match(re.escape(str(path)) + said, message := refused(lambda: read_yaml(path))), message


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "case",
    [
        "aliases that multiply",
        pytest.param("lists in lists", marks=pytest.mark.slow),
        "a key twice",
        "no text",
        "a number of many digits",
    ],
)
def test_every_reader_of_yaml_is_this_one(tmp_path: Path, case: str, reader: str) -> None:
    path = tmp_path / "net.yaml"
    path.write_bytes(YAML[case][0])
    assert refused(lambda: READERS[reader](path)) == refused(lambda: read_yaml(path))


@pytest.mark.parametrize("reader", ["YAML", "an architecture", "a model"])
def test_a_folder_in_the_place_of_a_file_is_said(tmp_path: Path, reader: str) -> None:
    assert refused(lambda: READERS[reader](tmp_path)) == f"{tmp_path}: cannot be read: Is a directory."
    assert "cannot be read" in refused(lambda: READERS[reader](tmp_path / "a\0b.yaml"))


@pytest.mark.parametrize("nodes", [2_000, pytest.param(yaml_lines.NODES, marks=pytest.mark.slow)])
def test_what_is_large_and_fine_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: int) -> None:
    monkeypatch.setattr(yaml_lines, "NODES", nodes)
    path = tmp_path / "net.yaml"
    path.write_text("a:\n" + "- 1\n" * (nodes - 3))
    assert len(read_yaml(path).data["a"]) == nodes - 3
    deep = yaml_lines.DEPTH - 1
    path.write_text("[" * deep + "1" + "]" * deep)
    assert read_yaml(path).data


def test_a_text_that_begins_with_a_mark_of_its_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"a": 1}')
    assert read_yaml(path).data == read_json(path) == {"a": 1}


CONFIG = {
    "format": "dcdnas/architecture-1",
    "network": "mobilenetv2",
    "input": [3, 16, 16],
    "classes": 4,
    "settings": {"channels": [8, 16], "depth": [1, 1], "strides": [1, 2], "width": 1e-5},
    "layers": {"a": "dcd", "b": {"operator": "odconv"}},
}


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump, lambda content: json.dumps(content, indent=2)])
def test_a_config_means_the_same_as_json_and_as_yaml(tmp_path: Path, write: Callable[[Any], str]) -> None:
    for content in (CONFIG, {"architecture": "mobilenetv2", "dcdnas": CONFIG}):
        (tmp_path / "net").write_text(write(content))
        assert Architecture.read(tmp_path / "net").to_dict() == Architecture.from_dict(CONFIG).to_dict()


@pytest.mark.parametrize(
    "pretrained",
    [
        {"mean": 5, "std": 5},
        {"mean": [0.5], "std": [0.2]},
        {"mean": ["a"] * 3, "std": [1] * 3},
        {"mean": [0.5] * 3, "std": [1, 0, 1]},
        {"mean": [0.5] * 3, "std": [1, 1, float("nan")]},
    ],
)
def test_a_normalisation_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, pretrained: Any) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(yaml.safe_dump({"dcdnas": CONFIG, "pretrained_cfg": pretrained}))
    assert ": pretrained_cfg." in refused(lambda: read_model(path))


def test_a_provenance_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(yaml.safe_dump({"dcdnas": {**CONFIG, "provenance": [1]}}))
    assert "provenance: [1]" in refused(lambda: read_model(path))


JSON: dict[str, tuple[bytes, str]] = {
    "lists in lists": (b"[" * 10_000 + b"]" * 10_000, ": .*nested more than 64 deep"),
    "lists in lists, not too deep for Python": (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", ": .*nested more than 64 deep"),
    "lists that never end": (b"[" * 100_000, ": .*nested more than 64 deep"),
    "a key twice": (b'{"a": 1, "a": 2}', ": 'a' is given twice in one object"),
    "no text": (b'{\n"a": "\xff"}', ":2: cannot be read as UTF-8 text: byte 0xff"),
    "a NUL": (b'{\n"a": \x00}', ":2: not valid JSON"),
    "a number of many digits": (b'{\n"a": ' + b"9" * 5000 + b"}", ":2: a number of 5,000 characters. Allowed: 300"),
    "an end too early": (b'{\n"a": 1,', ":2: not valid JSON"),
}


@pytest.mark.parametrize("case", JSON)
def test_json_is_refused_with_its_file(tmp_path: Path, case: str) -> None:
    content, said = JSON[case]
    path = tmp_path / "table.json"
    path.write_bytes(content)
    message = refused(lambda: read_json(path))
    assert re.match(re.escape(str(path)) + said, message), message


def test_json_has_a_length_and_a_depth_that_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text("[1]")
    assert read_json(path, most=3) == [1]
    assert refused(lambda: read_json(path, most=2)).endswith("Allowed: 2 bytes.")
    assert parse_json("[" * json_files.DEPTH + "]" * json_files.DEPTH, "text")
    assert refused(lambda: read_json(tmp_path)) == f"{tmp_path}: cannot be read: Is a directory."


@pytest.mark.parametrize("case", JSON)
def test_the_files_of_a_run_are_passed_over_or_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / "attention").mkdir()
    for name in ("driver.json", "notes.json", "attention/trial-3.json"):
        (tmp_path / name).write_bytes(JSON[case][0])
    assert live_driver(tmp_path) is None
    assert read_attentions(tmp_path, 3) is None
    assert "notes.json" in refused(lambda: read_notes(tmp_path), RunError)


@pytest.mark.parametrize(("path", "waits"), [("/dev/fd/63", True), ("/dev/stdin", True), ("/dev/shm/run/notes.json", False)])
def test_only_the_pipes_of_a_shell_are_waited_for(path: str, waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "stat", lambda _: SimpleNamespace(st_mode=stat.S_IFIFO))
    with nullcontext() if waits else pytest.raises(OSError, match="it is a pipe or a socket"):
        files.check_ends(path)
