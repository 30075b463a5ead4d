"""A search's configuration: written and read, compared, refused when it is none."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from searching import config
from thoroughness import examples

from dcdnas.core.budget import Budget
from dcdnas.core.objective import Objective
from dcdnas.core.task import TrainingTask
from dcdnas.engine.beginning import other_kernels
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.continuing import extend, listed
from dcdnas.engine.rules import versions
from dcdnas.errors import FileError, Resumable, RunError
from dcdnas.tasks import ACCURACY, LOSS

tasks = st.builds(
    TrainingTask,
    data=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=9),
    epochs=st.integers(1, 99),
    lr=st.floats(1e-6, 10),
    augment=st.sampled_from(["none", "flip"]),
    deadline=st.floats(0, 1e6),
)
configs = st.builds(
    SearchConfig,
    space=st.just(config().space),
    budgets=st.lists(st.builds(Budget, st.sampled_from(["flops", "params"]), st.floats(1, 1e12)), max_size=2).map(tuple),
    objectives=st.sampled_from([(ACCURACY,), (LOSS, ACCURACY), (Objective("auc", "maximize", 0.5, 1.0, "a.u.", "AUC"),)]),
    minimize=st.sampled_from([("flops",), ("params", "flops"), ()]),
    trials=st.integers(1, 10**6),
    task=tasks,
    seed=st.integers(0, 2**31),
    early_stopping=st.booleans(),
    confirm=st.integers(0, 9),
    plugins=st.sampled_from([{}, {"gate": {"kind": "operator", "path": "/gate.py", "sha256": "00"}}]),
)

OTHER: dict[str, Any] = {
    "space": {**config().space, "name": "other"},
    "budgets": (Budget("flops", 7.0),),
    "objectives": (Objective("auc", "maximize", worst=0.5, best=1.0),),
    "minimize": ("params",),
    "task": TrainingTask(epochs=77),
    "sampler": "nsga2",
    "seed": 5,
    "starts": 1,
    "chances": "networks",
    "latency": {"device": {"name": "cpu: A"}},
    "early_stopping": True,
    "confirm": 9,
    "confirm_top": 8,
    "table": {"about": "results", "networks": 3, "path": "/t.json", "sha256": "00"},
    "plugins": {"gate": {"kind": "operator", "path": "/gate.py", "sha256": "00"}},
    "start_from": {"run": "first", "networks": [{"width": 1.5}]},
}


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(configs)
def test_a_configuration_comes_back_as_it_was_written(tmp_path: Path, c: SearchConfig) -> None:
    c.write(tmp_path / "search.yaml")
    read = SearchConfig.read(tmp_path / "search.yaml")
    assert read == c
    assert read.differences(c) == []


def test_the_file_says_which_versions_made_it(tmp_path: Path) -> None:
    config().write(tmp_path / "search.yaml")
    said = yaml.safe_load((tmp_path / "search.yaml").read_text())["versions"]
    assert {"python", "dcdnas", "torch", "optuna", "ray"} <= set(said)


def test_a_file_that_is_written_again_says_what_its_run_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "search.yaml"
    config().write(path)
    before = yaml.safe_load(path.read_text())
    monkeypatch.setattr("dcdnas.engine.config.versions", lambda: {"torch": "99"})
    monkeypatch.setattr("dcdnas.engine.config.processor", lambda: "another")
    extend(tmp_path, 99)
    after = yaml.safe_load(path.read_text())
    assert after == {**before, "trials": 99}


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "ray":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr("dcdnas.engine.rules.version", version)
    assert set(versions()) == {"python", "dcdnas", "torch", "optuna", "fvcore", "numpy"}


def test_every_setting_but_the_number_of_trials_kept_weights_and_kernels_makes_another_search() -> None:
    assert {f.name for f in fields(SearchConfig)} == {*OTHER, "trials", "keep_weights", "kernels"}
    for name, value in OTHER.items():
        assert config().differences(replace(config(), **{name: value})), name
    assert config().differences(replace(config(), trials=999, keep_weights="none", kernels="other")) == []
    moved = replace(config(), plugins={"gate": {"path": "/elsewhere/gate.py", "sha256": "00", "kind": "operator"}})
    assert moved.differences(replace(config(), plugins=OTHER["plugins"])) == []


def test_a_difference_shows_both_values() -> None:
    assert config(seed=1).differences(config(seed=2)) == ["seed: 1 there, 2 here"]
    inner = config(task=TrainingTask(epochs=9))
    assert config().differences(inner) == ["epochs: 3 there, 9 here"]
    budgets = (Budget("flops", 2e6), Budget("params", 1e6))
    one = replace(config(), budgets=(), minimize=("flops",), early_stopping=True)
    assert one.differences(replace(one, budgets=budgets, minimize=(), early_stopping=False)) == [
        "budgets: nothing there, flops <= 2 MFLOPs, params <= 1 Mparams here",
        "minimize: flops there, nothing here",
        "early stopping: yes there, no here",
    ]


def test_a_folder_without_a_configuration_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run"):
        SearchConfig.read(tmp_path / "search.yaml")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "format: dcdnas/search-9",
        "format: dcdnas/search-1",
        "format: dcdnas/search-1\nbudgets: []\nminimize: []\nplugins: 5\ntask: {}",
        "format: dcdnas/search-1\nbudgets: 5",
        "a: [",
        "\x00",
        "format: dcdnas/search-1\nbudgets: []\nminimize: []\ntask: {epochs: 0}\nspace: {}",
    ],
)
def test_a_damaged_configuration_is_said_with_its_place(tmp_path: Path, content: str) -> None:
    (tmp_path / "search.yaml").write_text(content)
    with pytest.raises((RunError, FileError), match=r"search\.yaml"):
        SearchConfig.read(tmp_path / "search.yaml")


@pytest.mark.parametrize("key", ["budgets", "task", "minimize", "space"])
def test_a_configuration_that_lacks_something_is_damaged(tmp_path: Path, key: str) -> None:
    content = config().to_dict()
    del content[key]
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RunError, match=r"damaged"):
        SearchConfig.read(tmp_path / "search.yaml")


def changed(path: Path, change: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **change}))


def test_a_run_says_its_format_and_its_rules(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    config(early_stopping=True, epochs=9, starts=7).write(path)
    content = yaml.safe_load(path.read_text())
    assert content["format"] == 2
    assert content["rules"]["stopping"] == {"rule": "scan-among-like-cost", "factor": 4, "at_least": 6, "scan": 1}
    assert content["rules"]["starts"] == {"first": "static-ladder", "draws": 7, "chances": "operators"}
    assert SearchConfig.to_go_on(path) == SearchConfig.read(path)


def test_a_search_without_early_stopping_has_no_rule_for_it() -> None:
    assert config(early_stopping=False).rules["stopping"] == {"rule": "none"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("losses", {"again": 1, "then": "last-and-alone"}, "losses.again: 1 there, 3 here"),
     ("readings", {"every_epochs": 1, "batch_norm": "running"}, "readings.batch norm: running there, re-estimated here"),
     ("initialisation", None, "initialisation.mixed kernels: nothing there, each-as-static here")],
)  # fmt: skip
def test_a_run_of_other_rules_is_looked_at_and_not_gone_on_with(tmp_path: Path, name: str, value: Any, said: str) -> None:
    path = tmp_path / "search.yaml"
    config().write(path)
    changed(path, {"rules": {**config().rules, name: value}})
    assert SearchConfig.read(path) == config()
    with pytest.raises(RunError, match="other rules") as refused:
        SearchConfig.to_go_on(path)
    assert said in str(refused.value)
    assert f"--start-from {tmp_path}`" in str(refused.value), "a run that is not in the folder of the runs is named by its path"


@pytest.mark.parametrize(("before", "now"), [("compiled", "off"), ("torch", "on")])
def test_a_run_may_go_on_with_other_kernels_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, now: str
) -> None:
    path = tmp_path / "search.yaml"
    monkeypatch.setattr("dcdnas.kernels.in_use", lambda: now == "on")
    config().write(path)
    assert other_kernels(tmp_path) == ""
    changed(path, {"rules": {**config().rules, "kernels": before}})
    assert SearchConfig.to_go_on(path) == config()
    for trials in (7, 8):
        assert extend(tmp_path, trials).trials == trials
        assert f"begun with {before} kernels" in other_kernels(tmp_path), "a longer run is still the one that was begun with them"


def test_a_task_of_an_earlier_version_has_the_parts_that_it_was_made_with(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    config().write(path)
    task = yaml.safe_load(path.read_text())["task"]
    assert task.pop("classifier_width") > 0
    changed(path, {"task": task})
    assert SearchConfig.read(path).task == replace(config().task, classifier_width=0)


def test_a_run_that_says_no_rules_is_not_gone_on_with(tmp_path: Path) -> None:
    config().write(tmp_path / "search.yaml")
    changed(tmp_path / "search.yaml", {"rules": None})
    with pytest.raises(RunError, match="other rules"):
        SearchConfig.to_go_on(tmp_path / "search.yaml")


@pytest.mark.parametrize(("error", "kind"), [(28, Resumable), (30, RunError)], ids=["full", "read-only"])
def test_a_disk_that_fails_leaves_the_old_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, kind: type[Exception]
) -> None:
    path = tmp_path / "search.yaml"
    config(seed=1).write(path)

    def failing(descriptor: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(kind, match=r"search\.yaml"):
        config(seed=2).write(path)
    assert SearchConfig.read(path).seed == 1
    assert [p.name for p in tmp_path.iterdir()] == ["search.yaml"]


def test_many_differences_are_counted_instead_of_cut() -> None:
    assert listed(["a", "b", "c"], 2) == ["a", "b", "and 1 more"]
    assert listed(["a", "b"], 2) == ["a", "b"]


def test_what_follows_from_a_listed_difference_is_left_out_or_says_what_it_follows_from() -> None:
    six, one = replace(config(), trials=6, starts=2), replace(config(), trials=1, starts=0)
    assert six.differences(one) == ["starts: 2 there, 0 here (it follows from the number of trainings: 6 there, 1 here)"]
    assert six.differences(replace(one, starts=5)) == ["starts: 2 there, 5 here"]
    side = config().space["input"][1]
    read, own = (replace(config(), task=TrainingTask(data=d, resolution=r)) for d, r in (("folder:a", side), ("npz:b", 0)))
    assert read.differences(own) == ["images: folder:a there, npz:b here"]
    small = replace(config(), task=TrainingTask(data="npz:b", resolution=side - 1))
    assert read.differences(small) == ["images: folder:a there, npz:b here", f"resolution: {side} there, {side - 1} here"]
    assert small.differences(own) == [f"resolution: {side - 1} there, the images' own here"]
    long, short = (replace(config(), task=TrainingTask(epochs=e, scan=s), early_stopping=s > 0) for e, s in ((9, 1), (9, 0)))
    assert long.differences(short) == ["early stopping: yes there, no here"]
