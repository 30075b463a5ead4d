"""The examples of docs/plugins.md work as written, each as a separate file, and all together in one search."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import plugged
import pytest
from contributing import ROOT

import dcdnas
from dcdnas.core import plugins
from dcdnas.core.plugins import load_plugin
from dcdnas.engine.planning.settings import SearchSettings

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
EXAMPLES = dict(
    zip(
        re.findall(r"`(\w+)\.py`[.:;]", PAGE.partition("## The smallest")[2]),
        re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL),
        strict=False,
    )
)
KIND = {
    "scaled": "operator", "thin_resnet": "network", "weight_bits": "cost metric", "bold": "sampler", "stripes": "data source",
    "counting": "tracker", "noting": "executor",
}  # fmt: skip
SPACE = """\
format: dcdnas/space-1
name: own
network: thin-resnet
input: [1, 16, 16]
classes: 2
settings: {width: [0.5, 1.0]}
slots: {"*.conv1": {share: network, static: , scaled: }}
proxy: {data: stripes, epochs: 1, batch_size: 16, augment: none}
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the examples as files."""
    for name, text in EXAMPLES.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)
    with plugged.forgotten():
        yield tmp_path


def test_each_example_is_of_the_kind_that_the_page_says(files: Path) -> None:
    assert {name: load_plugin(f"{name}.py").kind for name in EXAMPLES} == KIND


def test_one_search_uses_them_all(files: Path) -> None:
    for name in EXAMPLES:
        load_plugin(f"{name}.py")
    Path("own.yaml").write_text(SPACE, encoding="utf-8")
    run = dcdnas.search(
        "own.yaml", "weight-bits<=2Mbits", trials=3, sampler="bold", starts=1, log="counting", executor="noting", confirm=0,
        name="own",
    )  # fmt: skip
    assert Path("runs/own/count.txt").read_text(encoding="utf-8") == "3\n"
    assert (
        Path("runs/own/now.txt").read_text(encoding="utf-8") == f"{max(t.number for t in run.trials if t.state == 'finished')}\n"
    )
    assert set(run.config["plugins"]) == {"scaled", "thin-resnet", "weight-bits", "bold", "stripes"}
    assert all(t.cost["weight-bits"] == 4 * t.cost["params"] for t in run.trials)


def test_the_command_of_the_page_names_flags_that_there_are(files: Path) -> None:
    assert set(re.findall(r"--plugin (\w+)\.py", PAGE.split("```")[1])) <= set(EXAMPLES)
    assert SearchSettings.gather({"sampler": "bold", "budget": ["weight-bits<=2e6"]}).sampler == "bold"


def test_the_refusal_that_the_page_shows_is_what_is_said(files: Path) -> None:
    path = files / "weight_bits.py"
    path.write_text(EXAMPLES["weight_bits"].replace('Notation("weight-bits"', 'Notation("bits"'), encoding="utf-8")
    with pytest.raises(Exception) as error:  # noqa: PT011
        load_plugin("weight_bits.py")
    assert f"`{error.value}`" in PAGE


@pytest.mark.slow
def test_the_check_of_the_page_passes(files: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE.partition("## Testing")[2], re.DOTALL)
    exec(code[0], {})


def test_the_page_names_every_kind_that_a_folder_accepts(files: Path) -> None:
    table = re.findall(r"^\| ([a-z ]+) \| a", PAGE, re.MULTILINE)
    assert set(table) == set(plugins._PLACES)
