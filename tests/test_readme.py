"""The commands and examples of the README work as written."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from dcdnas.cli._app import make_app
from dcdnas.data import load
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators import operators
from dcdnas.space.reading.reader import read_space

sys.path.append(str(Path(__file__).parent / "cli"))
from commands import write_project

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
SHELL = [line for kind, block in BLOCKS if not kind for line in block.splitlines()]
COMMANDS = [line for line in SHELL if line.startswith("dcdnas ")] + re.findall(r"`(dcdnas \w[^`]*)`", PAGE)
PYTHON = [block for kind, block in BLOCKS if kind == "python"]
YAML = [block for kind, block in BLOCKS if kind == "yaml"]


def parsed(line: str) -> str:
    """Parses a command line with the real parser without running it; returns the subcommand."""
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "--help"]
    command: Any = typer.main.get_command(make_app(words))
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    command.make_context(name, words)
    return name


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_a_command_is_one_that_the_parser_takes(line: str) -> None:
    assert parsed(line)


def test_a_flag_that_does_not_exist_is_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed("dcdnas search -b 1MFLOPs --no-such-flag")


def test_there_are_commands_a_python_example_and_a_space() -> None:
    assert len(COMMANDS) > 8
    assert len(PYTHON) >= 1
    assert len(YAML) == 1


@pytest.mark.parametrize("target", sorted({w for line in SHELL for w in re.findall(r"^make ([a-z-]+)", line)}))
def test_a_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_space_is_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(YAML[0], encoding="utf-8")
    assert read_space(tmp_path / "mine.yaml").size > 10**6
    (tmp_path / "other.yaml").write_text(YAML[0].replace("width:", "widht:"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"other\.yaml:8: settings\.widht: .*width"):
        read_space(tmp_path / "other.yaml")


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)
    quick = {"executor": "inline", "data": "npz:some.npz", "epochs": 1, "batch_size": 64, "confirm": 0, "starts": 2}
    Path("dcdnas.yaml").write_text(yaml.safe_dump(quick))
    code = PYTHON[0].replace("trials=24", "trials=2")
    assert code != PYTHON[0]
    scope: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert "accuracy" in capsys.readouterr().out
    assert load("npz:some.npz").shape == (1, 28, 28)
    assert scope["network"].architecture.input == (1, 28, 28)  # type: ignore[attr-defined]


def test_the_operators_that_do_not_take_the_arguments_of_the_example_are_named() -> None:
    refusing = []
    for name in sorted(operators):
        try:
            operators[name](64, 128, 3, stride=2, padding=1)
        except GeometryError:
            refusing.append(f"`{name}`")
    named = f"{', '.join(refusing[:-1])} and {refusing[-1]} filter each channel by itself"
    assert named in " ".join(PAGE.split())
