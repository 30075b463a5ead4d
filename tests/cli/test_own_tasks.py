"""A task of one's own from the command line and from Python: its objectives are in every output, and no other ones."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import plugged
import pytest
from commands import SPACE, Run, command_in
from own_task import AUC, Sized
from thoroughness import slow_but

import dcdnas
from dcdnas.cli._dry_run import TIMES
from dcdnas.cli._source import Source
from dcdnas.core.architecture import Architecture
from dcdnas.core.trial import FailureKind
from dcdnas.dashboard.background import beside
from dcdnas.errors import UsageError
from dcdnas.results import load_run
from dcdnas.tasks import Objective

SEARCH = ("search", "tiny.yaml", "-b", "0.3MFLOPs", "--executor", "inline", "--set", "starts=3", "--task", "auc_task.py")


@pytest.fixture
def own(project: Path) -> Iterator[Path]:
    """A project with the file of a task, and no images."""
    (project / "auc_task.py").write_text(AUC, encoding="utf-8")
    (project / "some.npz").unlink()
    with plugged.forgotten():
        yield project


@pytest.fixture(scope="module")
def found_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the run ``done`` of the task ``auc-task``."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "tiny.yaml").write_text(SPACE, encoding="utf-8")
    (folder / "auc_task.py").write_text(AUC, encoding="utf-8")
    with plugged.forgotten():
        command_in(folder, *SEARCH, "-n", "5", "--confirm", "1", "--name", "done", "--quiet", "--log", "tensorboard")
    return folder


@pytest.fixture
def found(found_once: Path, own: Path) -> Path:
    """A copy of the searched project, as the working folder; the task's file is gone, the run has its own."""
    shutil.copytree(found_once / "runs", own / "runs")
    (own / "auc_task.py").unlink()
    return own


def flat(text: str) -> str:
    """What was said, without the terminal's line breaks."""
    return " ".join(text.split())


def check(text: str) -> None:
    """That a text names the objective that the task has, and none that it has not."""
    assert "auc" in text.lower()
    assert "accura" not in text.lower(), re.findall(r".{60}accura.{20}", text, re.IGNORECASE)[:3]


COMMANDS = (
    ("status", "done"),
    ("status",),
    ("status", "done", "--json"),
    ("show", "done"),
    ("trials", "done"),
    ("trials", "done", "--csv"),
    ("trials", "done", "--json", "--sort", "-auc"),
    ("compare", "done", "best", "static"),
    ("compare", "done", "best", "static", "--json"),
    ("report", "done"),
    ("export", "done", "--to", "config", "-o", "nets"),
    ("export", "done", "--to", "config", "-o", "nets", "--json"),
)


QUICK = [("status", "done"), ("show", "done"), ("trials", "done", "--csv"), ("compare", "done", "best", "static")]


@pytest.mark.parametrize("command", slow_but(QUICK, COMMANDS), ids=" ".join)
def test_every_command_names_the_objective_of_the_task(run: Run, found: Path, command: tuple[str, ...]) -> None:
    said = run(*command)
    assert said.code == 0, said.err
    check(f"{said.out}{said.err}")


@pytest.mark.slow
def test_a_search_names_it_on_the_way_and_at_its_end(run: Run, own: Path) -> None:
    said = run(*SEARCH, "-n", "3", "--confirm", "1", "--name", "seen")
    assert said.code == 0, said.err
    check(said.out)
    check(said.err)
    lines = run(*SEARCH, "-n", "4", "--confirm", "1", "--name", "seen", "--json")
    check(lines.out)
    assert all("auc" in line for line in lines.lines if line["event"] == "trial")


@pytest.mark.slow
def test_files_and_pages_of_a_run_name_it(run: Run, found: Path) -> None:
    folder = found / "runs" / "done"
    for name in ("search.yaml", "report.html", "pareto.csv", "front/best.yaml"):
        check((folder / name).read_text(encoding="utf-8"))
    best = load_run(folder).best
    assert best is not None
    with beside(found / "runs") as address:
        for page in ("", "runs/done", "runs/done/live", f"runs/done/trials/{best.number}", "runs/done/compare",
                     f"runs/done/trials/{best.number}/card", "runs/done/trials.json"):  # fmt: skip
            with urlopen(f"{address}{page}") as answer:
                check(answer.read().decode("utf-8"))


def test_frame_and_notebook_name_it(found: Path) -> None:
    seen = dcdnas.load_run("done")
    assert list(seen.frame.columns)[:3] == ["number", "state", "auc"]
    assert seen.best is not None
    for shown in (seen._repr_html_(), repr(seen.best)):
        check(shown)
    assert seen.plot_front().get_ylabel() == "Validation auc"


def test_values_are_kept_and_judged_by_its_name(found: Path) -> None:
    seen = load_run("done")
    assert (seen.objective.name, seen.bounds["auc"]) == ("auc", (0.5, 1.0))
    best, finished = seen.best, [t for t in seen.trials if t.state == "finished" and t.score]
    assert best is not None
    assert {tuple(t.score.values) for t in finished if t.score} == {("auc",)}
    assert seen.confirmed[0].trial == best
    assert seen.hypervolume > 0.1
    names = {path.name for path in (found / "runs" / "done" / "tensorboard").iterdir()}
    assert f"trial-{best.number}" in names


@pytest.mark.slow
def test_a_run_goes_on_with_its_own_copy_of_the_task(run: Run, found: Path) -> None:
    record = load_run("done").config["plugins"]
    assert record["auc-task"]["kind"] == "task"
    said = run("resume", "done", "-n", "9", "--executor", "inline")
    assert said.code == 0, said.err
    assert load_run("done").ended == 9


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_workers_of_other_processes_know_the_task(run: Run, own: Path, executor: str) -> None:
    code = AUC.replace("from own_task import Sized", f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n\n"
                       "from own_task import Sized")  # fmt: skip
    (own / "auc_task.py").write_text(code, encoding="utf-8")
    words = [executor if word == "inline" else word for word in SEARCH]
    said = run(*words, "-n", "4", "--confirm", "1", "--name", "there", "--jobs", "1", "--early-stopping")
    assert said.code == 0, said.err
    run("search", *SEARCH[1:], "-n", "4", "--confirm", "1", "--name", "here", "--early-stopping")
    values = [[t.score and t.score.values for t in load_run(name).trials] for name in ("here", "there")]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (
            ("train", "done", "-d", "fashion-mini"),
            "was searched for the task auc-task, and `dcdnas train` trains only for classification and segmentation. Export",
        ),
        (("attention", "done"), "dcdnas cannot read the images of the task auc-task"),
        (("evaluate", "done", "-d", "fashion-mini"), "was searched for the task auc-task, and `dcdnas predict` and `dcdnas"),
        (("predict", "done", "pictures"), "build them with dcdnas.build, and test them with the code of the task."),
    ],
)
def test_what_is_for_classifiers_refuses_its_run(run: Run, found: Path, command: tuple[str, ...], why: str) -> None:
    said = run(*command)
    assert said.code == 2
    assert why in flat(said.err)
    assert "again as in the search" not in said.err, "refused before it is begun"


# Several objectives


BOTH = AUC.replace(
    "worst=0.5, best=1.0),)", 'worst=0.5, best=1.0), Objective("rmse", "minimize", worst=2.0, best=0.0, unit="px"))'
)


@pytest.mark.slow
def test_several_objectives_and_costs_are_weighed_at_once(run: Run, own: Path) -> None:
    (own / "auc_task.py").write_text(BOTH, encoding="utf-8")
    said = run(*SEARCH, "-n", "6", "--confirm", "0", "--name", "both", "--maximize", "auc", "--minimize", "rmse",
               "--minimize", "params")  # fmt: skip
    assert said.code == 0, said.err
    seen = load_run("both")
    assert seen.goals.names == ("auc", "rmse", "flops", "params")
    assert set(seen.bounds) == {"auc", "rmse", "flops", "params"}
    assert {"auc", "rmse"} <= set(seen.columns)
    assert "Rmse" in run("trials", "both").out
    page = (seen.folder / "report.html").read_text(encoding="utf-8")
    assert '<button type="button" data-key="rmse">Rmse</button>' in page
    assert "auc, rmse, FLOPs and parameters" in page


def test_without_being_asked_only_the_first_objective_is_weighed_but_all_are_kept(run: Run, own: Path) -> None:
    (own / "auc_task.py").write_text(BOTH, encoding="utf-8")
    assert run(*SEARCH, "-n", "3", "--confirm", "0", "--name", "one").code == 0
    seen = load_run("one")
    assert seen.goals.names == ("auc", "flops")
    assert seen.best is not None
    assert seen.best.score is not None
    assert list(seen.best.score.values) == ["auc", "rmse"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--maximize", "recall"), "no objective of the task is called that. Known: auc. Objectives: auc (to maximize)."),
        (("--minimize", "auc"), "the task says to maximize it. Say --maximize auc."),
        (("--maximize", "flops"), "a cost can only be minimised. Say --minimize flops."),
        (("--minimize", "flips"), "Did you mean 'flops'?"),
        (("--set", "lr=0.1"), "--set lr=... applies only to dcdnas's own training; the task auc-task has its own."),
        (("--proxy-resolution", "16"), "--proxy-resolution applies only to dcdnas's own training"),
        (("-d", "fashion-mini"), "--data applies only to dcdnas's own training"),
    ],
)
def test_what_cannot_be_asked_of_a_task_is_said_before_anything_is_trained(
    run: Run, own: Path, words: tuple[str, ...], why: str
) -> None:
    said = run(*SEARCH, *words, "--name", "never")
    assert said.code == 2
    assert why in flat(said.err)
    assert not (own / "runs" / "never").exists()


@pytest.mark.slow
def test_the_loss_of_a_classification_can_be_weighed_too(run: Run, project: Path) -> None:
    words = [word for word in SEARCH if word not in ("--task", "auc_task.py")]
    said = run(*words, "-n", "2", "--confirm", "0", "--minimize", "loss", "--name", "lossy")
    assert said.code == 0, said.err
    seen = load_run("lossy")
    assert seen.goals.names == ("accuracy", "loss", "flops")
    assert seen.goals.objectives[0].worst == pytest.approx(0.1)


# What breaks the rules


def test_a_file_that_breaks_a_rule_is_refused_before_anything_is_trained(run: Run, own: Path) -> None:
    (own / "auc_task.py").write_text(AUC.replace("(Sized)", ""), encoding="utf-8")
    said = run(*SEARCH, "--name", "never")
    assert said.code == 2
    assert "auc_task.py:10: the task Auc: it has no method evaluate(self, network, *, epochs, seed, report)." in flat(said.err)
    assert not (own / "runs" / "never").exists()


def test_a_file_of_another_kind_and_an_unknown_name_are_refused(run: Run, own: Path) -> None:
    (own / "lines.py").write_text(
        "from dcdnas.engine.trackers.tensorboard import TensorBoard\n__all__ = ['Lines']\nclass Lines(TensorBoard): ...\n",
        encoding="utf-8",
    )
    assert "lines.py: it holds the tracker 'lines' and no task." in flat(run(*SEARCH[:-1], "lines.py").err)
    assert "unknown task 'clasification'. Did you mean 'classification'?" in flat(run(*SEARCH[:-1], "clasification").err)


@pytest.mark.slow
def test_trainings_that_break_the_contract_fail_in_words(run: Run, own: Path) -> None:
    code = f"{AUC}\n    def evaluate(self, network, *, epochs, seed, report):\n        return {{'recall': 0.5}}\n"
    (own / "auc_task.py").write_text(code, encoding="utf-8")
    said = run(*SEARCH, "-n", "1", "--name", "broken")
    assert said.code == 1
    assert "10 trainings in a row failed" in said.err
    failed = load_run("broken").trials[0]
    assert (failed.state, failed.failure) == ("failed", FailureKind.TASK)
    assert "evaluate returned recall. Allowed: a number for each of auc, and nothing else." in failed.reason


# Objects in Python


def settings(**changes: Any) -> dict[str, Any]:
    return {"space": "tiny.yaml", "budget": "0.3MFLOPs", "trials": 3, "confirm": 0, "starts": 1, **changes}


@pytest.mark.slow
def test_an_object_is_searched_in_this_process_and_the_same_call_goes_on(project: Path) -> None:
    class Local(Sized):
        """Which no other process finds."""

    first = dcdnas.search(**settings(task=Local(), executor="inline", name="here"))
    assert first.objective.name == "rmse"
    assert first.config["task"]["data"].endswith("Local")
    assert first.best is not None
    values = [first.reading(t) for t in first.trials if t.state == "finished"]
    assert first.reading(first.best) == min(v for v in values if v is not None), "less of it is better"
    again = dcdnas.search(**settings(task=Local, executor="inline", name="here", trials=4))
    assert again.ended == 4
    with pytest.raises(UsageError, match=r"cannot be found by worker processes.*executor=\"inline\""):
        dcdnas.search(**settings(task=Local(), executor="local", name="there"))


@pytest.mark.slow
def test_a_run_of_an_object_is_not_gone_on_with_by_a_command(run: Run, project: Path) -> None:
    dcdnas.search(**settings(task=Sized(), executor="inline", name="here"))
    said = run("resume", "here", "-n", "4", "--executor", "inline")
    assert said.code != 0
    assert "was given in Python" in said.err


@pytest.mark.slow
def test_an_object_of_a_module_goes_to_workers(project: Path) -> None:
    there = dcdnas.search(**settings(task=Sized(), executor="local", jobs=1, name="there"))
    here = dcdnas.search(**settings(task=Sized(), executor="inline", name="here"))
    assert [t.score and t.score.values for t in there.trials] == [t.score and t.score.values for t in here.trials]


def test_an_object_that_is_no_task_is_refused_with_the_rule(project: Path) -> None:
    class Empty:
        objectives = (Objective("auc", "maximize", 0.5, 1.0),)

    with pytest.raises(UsageError, match="the task Empty: it has no method evaluate"):
        dcdnas.search(**settings(task=Empty(), name="never"))


def test_a_dry_run_estimates_no_time_for_a_task_of_the_users_own(run: Run, own: Path) -> None:
    said = run(*SEARCH, "--dry-run")
    assert said.code == 0, said.err
    assert "Nothing was searched" in said.out
    assert "Time" not in said.out
    plain = run(*SEARCH, "--dry-run", "--json").json
    assert [plain[name] for name in TIMES] == [None] * 3


@pytest.mark.parametrize(("task", "said"), [("radius", "train it with the task's code."), ("", "`dcdnas train` trains it.")])
def test_the_weights_of_a_stand_in_are_left_out_with_advice_that_works(task: str, said: str) -> None:
    trial: Any = SimpleNamespace(trained="a", deployed="b")
    network = Architecture("mobilenetv2", {"channels": (8,), "depth": 1, "strides": (2,)}, {}, (1, 24, 24), 10)
    names, full, smaller, config = list("0123456789"), [1, 28, 28], [1, 16, 16], {"task": {"deployed_side": 28}}
    larger = {"shape": [1, 32, 32], "classes": names}
    unlike = ({}, {"shape": smaller, "classes": names}, {"shape": full, "classes": names[:5]}, {"shape": full, "outputs": 5})
    for images, how in (
        *((of, "as a smaller stand-in") for of in unlike),
        (larger, "as a larger stand-in"),
        ({"shape": full, "classes": names}, "with fewer strides"),
    ):
        run: Any = SimpleNamespace(own_task=task, weights_of=lambda trial: SimpleNamespace(), images=images, config=config)
        weights, note = Source("run-3", network, run, trial).trained_weights()
        assert weights is None
        assert note.startswith(f"run-3 was trained {how}, ")
        assert note.endswith(said)
