"""The example of docs/tasks.md works as written: a regression that a search judges by its error."""

from __future__ import annotations

import re
from pathlib import Path

import plugged
import pytest
import torch
from contributing import ROOT

import dcdnas
from dcdnas.core.architecture import Architecture
from dcdnas.core.plugins import load_plugin
from dcdnas.networks import build_network
from dcdnas.tasks import tasks

PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SPACE = """\
format: dcdnas/space-1
name: discs
network: mobilenetv2
input: [1, 16, 16]
classes: 10
settings: {channels: [8, 16], strides: [2, 2], stem_channels: 8, stem_stride: 1, head_channels: 16, depth: 1, width: [1.0, 2.0]}
slots: {"*.project": {share: network, static: , odconv: {num_kernels: 1}}}
"""


@pytest.fixture(autouse=True)
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with the example as a file."""
    (tmp_path / "radius.py").write_text(EXAMPLE, encoding="utf-8")
    (tmp_path / "discs.yaml").write_text(SPACE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)


def test_the_example_has_about_thirty_lines() -> None:
    assert len(EXAMPLE.splitlines()) < 45


@pytest.mark.slow
def test_a_search_finds_networks_that_know_the_radius() -> None:
    with plugged.forgotten():
        run = dcdnas.search(
            "discs.yaml", task="radius.py", trials=2, epochs=1, confirm=0, starts=1, executor="inline", name="discs"
        )
        assert run.objective == tasks["radius"]().objectives[0]
    assert run.best is not None
    reached = run.reading(run.best)
    assert reached is not None
    assert reached == min(v for t in run.trials if (v := run.reading(t)) is not None)
    assert run.best.architecture.classes == 1
    assert run.images == {"shape": [1, 16, 16], "outputs": 1}
    assert run.said(run.best).endswith(" px")


def test_training_lowers_the_error() -> None:
    with plugged.forgotten():
        load_plugin("radius.py")
        settings = {"channels": (8,), "strides": (2,), "depth": (1,), "stem_channels": 8, "head_channels": 16, "width": 1.0}
        torch.manual_seed(0)
        network = build_network(Architecture("mobilenetv2", settings, {}, (1, 16, 16), 1))
        errors: list[float] = []
        tasks["radius"]().evaluate(network, epochs=4, seed=0, report=lambda epoch, values: errors.append(values["rmse"]) or True)
    assert errors[-1] < 0.8 * errors[0]
