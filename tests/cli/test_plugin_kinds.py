"""Plugins of every kind in one search, and afterwards in all that looks at it; and what breaks a kind's rules."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plugged
import pytest
import yaml
from commands import Run
from contributing import METRIC, NETWORK, OPERATOR, SAMPLER, TRACKER

from dcdnas.core import plugins
from dcdnas.core.plugins import KINDS, load_plugin
from dcdnas.errors import FileError, UsageError
from dcdnas.results import load_run

SPACE = """\
format: dcdnas/space-1
name: own
network: stack
input: [1, 28, 28]
classes: 10
settings:
  channels: [8, 16]
  strides: [2, 2]
  width: [0.5, 1.0]
  kernel_size: {share: network, "*": [1, 3]}
slots:
  "*":
    static:
    gate: {temperature: [1, 2]}
plugins: [stack.py, gate.py]
proxy:
  data: piles:some.npz
  epochs: 1
  batch_size: 32
  augment: none
"""

SOURCE = '''"""Images in a file of numpy: ``piles:FILE``."""

from __future__ import annotations

import numpy as np

from dcdnas.data._base import Part, Raw, Source

__all__ = ["Piles"]


class Piles(Source):
    """Grey images."""

    ARGUMENT = "FILE"

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Reads one part."""
        with np.load(self.argument) as file:
            pixels, labels = file[f"{part}_images"], file[f"{part}_labels"]
            return Raw(pixels.reshape(-1, 1, *pixels.shape[-2:]), labels.astype(np.int64), tuple(map(str, file["classes"])))
'''

EXECUTOR = '''"""Trainings in this process, until one raises."""

from __future__ import annotations

from dcdnas.engine.executors import Executor
from dcdnas.engine.job import WAIT, Outcome
from dcdnas.engine.loop import SearchLoop

__all__ = ["Solo"]


class Solo(Executor):
    """One after the other."""

    in_process = True

    def run(self, loop: SearchLoop) -> None:
        """See `Executor.run`."""
        train = self.execution.training()
        while (job := loop.next()) is not None and job != WAIT:
            loop.end(job, Outcome(train(job, lambda reached, job=job: loop.report(job, reached))))
            with (self.folder / "solo.txt").open("a", encoding="utf-8") as file:
                file.write(f"{job.number}\\n")
'''

FILES = {
    "gate": OPERATOR, "stack": NETWORK, "energy": METRIC, "mutation": SAMPLER, "piles": SOURCE, "lines": TRACKER,
    "solo": EXECUTOR,
}  # fmt: skip
KIND = {"gate": "operator", "stack": "network", "energy": "cost metric", "mutation": "sampler", "piles": "data source"}

NAMED = [word for name in ("energy", "mutation", "piles", "lines", "solo") for word in ("--plugin", f"{name}.py")]


@pytest.fixture
def own(project: Path) -> Iterator[Path]:
    """A project with a plugin of each kind, two of them named in its space."""
    for name, text in FILES.items():
        (project / f"{name}.py").write_text(text, encoding="utf-8")
    (project / "own.yaml").write_text(SPACE, encoding="utf-8")
    with plugged.forgotten():
        yield project


def search(executor: str, *more: str) -> tuple[str, ...]:
    words = ("search", "own.yaml", "-b", "energy<=5mJ", "--sampler", "mutation", "--executor", executor, "--jobs", "1")
    return (*words, "--set", "starts=2", "--confirm", "0", "--name", "own", *NAMED, *more)


def in_a_new_process() -> None:
    """Forgets what was loaded; the files have been removed, so that only the run's copies are left."""
    plugged.forget()
    for name in FILES:
        Path(f"{name}.py").unlink(missing_ok=True)


def executed() -> set[str]:
    """The plugins that were run in this process."""
    return {name.removeprefix("dcdnas_plugins.") for name in sys.modules if name.startswith("dcdnas_plugins.")}


@pytest.mark.slow
def test_one_search_with_a_plugin_of_each_kind_and_all_that_looks_at_it(run: Run, own: Path) -> None:
    said = run(*search("solo", "-n", "4", "--log", "lines"))
    assert said.code == 0, said.err
    folder = own / "runs" / "own"
    assert len((folder / "lines.txt").read_text(encoding="utf-8").splitlines()) == 4
    assert len((folder / "solo.txt").read_text(encoding="utf-8").splitlines()) == 4
    recorded = yaml.safe_load((folder / "search.yaml").read_text(encoding="utf-8"))["plugins"]
    assert {name: record["kind"] for name, record in recorded.items()} == KIND
    assert {path.stem for path in (folder / "plugins").glob("*.py")} == set(KIND)

    in_a_new_process()
    trials = run("trials", "own", "--json").json
    assert "mutation" in {t.origin for t in load_run(folder).trials}
    assert all(0 < t["energy"] <= 5e-3 for t in trials)
    assert " uJ" in run("trials", "own").out
    assert run("status", "own").code == 0
    shown = run("show", "own", "--json")
    assert shown.code == 0, shown.err
    assert shown.json["cost"]["energy"] > 0
    assert not executed(), "what was kept of the networks suffices"

    for words in (
        ("compare", "own", "0", "1"), ("report", "own", "-o", "r.html"), ("export", "own", "--to", "config", "-o", "out"),
    ):  # fmt: skip
        said = run(*words)
        assert said.code == 0, (words, said.err)
    assert "energy" in (own / "r.html").read_text(encoding="utf-8").lower()
    config = yaml.safe_load((own / "out" / "config.yaml").read_text(encoding="utf-8"))["dcdnas"]
    assert set(config["plugins"]) >= {"stack"}
    assert not executed() & {"mutation", "piles", "energy"}

    said = run("resume", "own", "-n", "5", "--executor", "solo")
    assert (said.code, "unknown executor 'solo'" in said.err, "`--plugin FILE` loads one" in flat(said.err)) == (2, True, True)
    said = run("resume", "own", "-n", "5", "--executor", "inline")
    assert said.code == 0, said.err
    assert [t["state"] for t in run("trials", "own", "--json").json].count("finished") == 5


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_workers_know_the_plugins_and_run_only_what_a_training_needs(run: Run, own: Path, executor: str) -> None:
    marked = (
        f"\nimport os\nwith open({str(own / 'loaded.txt')!r}, 'a') as file:\n    file.write(f'{{os.getpid()}} {{__name__}}\\n')\n"
    )
    for name in ("gate", "stack", "energy", "piles", "mutation"):
        (own / f"{name}.py").write_text(FILES[name] + marked, encoding="utf-8")
    said = run(*search(executor, "-n", "3"))
    assert said.code == 0, said.err
    in_a_new_process()
    said = run("resume", "own", "-n", "4", "--executor", executor, "--jobs", "1")
    assert said.code == 0, said.err
    assert {t["state"] for t in run("trials", "own", "--json").json} <= {"finished", "replayed"}
    lines = [line.split() for line in (own / "loaded.txt").read_text(encoding="utf-8").splitlines()]
    in_workers = {name.removeprefix("dcdnas_plugins.") for process, name in lines if int(process) != os.getpid()}
    assert {"stack", "energy"} <= in_workers <= {"stack", "energy", "gate", "piles"}


def test_a_list_has_the_plugins_of_its_kind_and_no_others(run: Run, own: Path) -> None:
    every = [word for name in FILES for word in ("--plugin", f"{name}.py")]
    for kind, name in (
        ("operators", "gate"), ("networks", "stack"), ("metrics", "energy"), ("samplers", "mutation"), ("data", "piles:FILE"),
        ("trackers", "lines"), ("executors", "solo"),
    ):  # fmt: skip
        plugged.forget()
        plain, found = ({e["name"] for e in run("list", kind, *words, "--json").json} for words in ((), every))
        assert found - plain == {name}


BAD = {
    "a network without slots": (NETWORK.replace("def slots(", "def places("), r"stack.py:21: .*Stack: it has no slots"),
    "a classifier that is none": (NETWORK.replace(', kind="linear"', ""), r"stack.py:21: .*the last slot is classifier, conv"),
    "a slot of another input": (NETWORK.replace("ConvGeometry(last, out,", "ConvGeometry(4, out,"), "takes 4 channels of"),
    "slots of one name": (NETWORK.replace("stage{stage}.block1", "block1"), "names block1 more than once"),
    "an operator without a count": (OPERATOR.replace("static import", "_base import Operator as").replace("def multi", "def "),
                                    r"gate.py:17: .*Gate: it has no multiply_adds, which an operator has to define"),
    "an operator of another shape": (OPERATOR.replace("[:, :, None, None])", "[:, :, None, None])[:, :-1]"), "that of a Conv2d"),
    "an operator that fails": (OPERATOR.replace("x.mean((2, 3))", "x.mean((2, 7))"), r"gate.py:27: .*IndexError"),
    "an operator that is not counted": (OPERATOR.replace("return super().multiply_adds", "return -super().multiply_adds"),
                                        "whole number above 0"),
    "a metric of another name": (METRIC.replace('Notation("energy"', 'Notation("power"'), "its notation is of 'power'"),
    "a metric that takes a word": (METRIC.replace('number="float"', 'words=("madds",)'), "means 'flops' already"),
    "a metric below zero": (METRIC.replace("EACH = 3.1e-9", "EACH = -3.1e-9"), "finite number from 0 on"),
    "a sampler that makes none": (SAMPLER.replace("return Mutation(seed)", "return seed"), "gives int; it has to give a sampler"),
    "a source that reads nothing": (SOURCE.replace("def read(", "def reads("), r"piles.py:12: .*it has no read"),
    "a tracker that is told nothing": (TRACKER.replace("def trial", "def trials").replace("def search", "def searched"),
                                       r"lines.py:11: the tracker Lines: it has no search and no trial, which a tracker has to"),
    "an executor that runs nothing": (EXECUTOR.replace("def run(", "def runs("), r"solo.py:12: the executor Solo: it has no run"),
    "a source of another argument": (SOURCE.replace('"FILE"', '"FOLDER"'), "ARGUMENT is 'FOLDER'. Allowed: empty, DIR"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_plugin_that_breaks_its_kinds_rules_is_refused_with_its_line(tmp_path: Path, what: str) -> None:
    text, message = BAD[what]
    name = next(name for name, sound in FILES.items() if sound.split("\n")[0] == text.split("\n")[0])
    assert text != FILES[name]
    path = tmp_path / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    with plugged.forgotten():
        with pytest.raises(FileError, match=rf"(?s){name}\.py:\d+: .*{message}" if ".py:" not in message else message):
            load_plugin(path)
        assert not plugins._KNOWN
        assert not executed()


WRONG = {
    "gate": ("g.out_channels * (g.in_channels + g.out_pixels)", "1"),
    "energy": ("return EACH * count_flops(module, shape)", "return 7"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_plugin_that_prices_wrongly_is_refused_before_a_run_is_made(run: Run, own: Path, name: str) -> None:
    wrong, right = WRONG[name]
    assert wrong in FILES[name]
    (own / f"{name}.py").write_text(FILES[name].replace(wrong, right), encoding="utf-8")
    said = run(*search("inline", "-n", "4"))
    assert said.code == 2
    assert re.search(rf"{name}.py:\d+: the .*{name}.*: a network with it costs .* by table, .* measured\. Both", flat(said.err))
    assert not (own / "runs").exists()


def flat(text: str) -> str:
    """What was said, without the terminal's line breaks."""
    return " ".join(text.split())


def test_two_files_of_one_name_are_refused_whatever_they_hold(tmp_path: Path) -> None:
    for folder, text in (("a", OPERATOR), ("b", SAMPLER)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "gate.py").write_text(text, encoding="utf-8")
    with plugged.forgotten():
        load_plugin(tmp_path / "a" / "gate.py")
        with pytest.raises(UsageError, match=r"b/gate.py: the operator 'gate' was read from .*a/gate.py with another content"):
            load_plugin(tmp_path / "b" / "gate.py")


def test_the_kinds_in_the_messages_are_those_that_folders_accept() -> None:
    import dcdnas.api  # noqa: F401

    said: Any = re.split(r", | or ", re.sub(r"\ban? ", "", KINDS))
    assert set(plugins._PLACES) <= set(said)
