"""`dcdnas search` and `dcdnas resume`: real searches of a tiny space on a few images."""

from __future__ import annotations

import random
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from commands import SEARCH, Run

from dcdnas.core.budget import parse_budget, within
from dcdnas.core.trial import Ending
from dcdnas.cost import measure, notations, price
from dcdnas.engine.planning import as_before
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.store import Store
from dcdnas.networks import build_network
from dcdnas.results import find_run, load_run
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import draw


def test_a_search_ends_with_its_front_files_and_next_commands(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "3", "--confirm", "1", "--name", "first")
    assert said.code == 0
    assert "Front:" in said.out
    assert "dcdnas show first --trial best" in said.out
    folder = project / "runs" / "first"
    assert {"pareto.csv", "report.html", "search.yaml", "run.db"} <= {p.name for p in folder.iterdir()}
    assert (folder / "front" / "best.yaml").is_file()


def test_progress_is_a_line_for_every_training_that_ends(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "3", "--confirm", "0", "--name", "first")
    lines = [line for line in said.err.splitlines() if line.startswith("[")]
    assert [line[:5] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"]


def test_quiet_leaves_the_result_only(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "2", "--confirm", "0", "--quiet")
    assert said.err == ""
    assert "Front:" in said.out


@pytest.mark.slow
def test_json_is_a_line_an_event(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "3", "--confirm", "1", "--json", "--name", "first")
    events = [line["event"] for line in said.lines]
    assert events[0] == "start"
    assert events.count("trial") == 3
    assert events.count("confirmed") >= 1
    last = said.lines[-1]
    assert (last["event"], last["status"], last["ended"]) == ("end", "finished", 3)
    assert last["front"]


@pytest.mark.slow
def test_a_run_without_a_name_is_called_after_space_budget_and_a_number(run: Run, project: Path) -> None:
    for _ in range(2):
        run(*SEARCH, "-n", "1", "--confirm", "0")
    assert sorted(p.name for p in (project / "runs").iterdir()) == ["tiny-300kFLOPs-1", "tiny-300kFLOPs-2"]


def test_the_runs_folder_is_that_of_the_environment(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCDNAS_RUNS", str(project / "elsewhere"))
    run(*SEARCH, "-n", "1", "--confirm", "0", "--name", "first")
    assert (project / "elsewhere" / "first" / "run.db").is_file()


@pytest.mark.slow
def test_searching_again_under_the_name_continues(run: Run, project: Path) -> None:
    run(*SEARCH, "-n", "2", "--confirm", "0", "--name", "first")
    assert run(*SEARCH, "-n", "4", "--confirm", "0", "--name", "first").code == 0
    assert load_run("first").ended == 4


def test_another_search_under_the_name_is_refused_with_the_difference(run: Run, project: Path) -> None:
    run(*SEARCH, "-n", "1", "--confirm", "0", "--name", "first")
    said = run(*SEARCH, "-n", "1", "--confirm", "0", "--name", "first", "--seed", "7")
    assert said.code == 2
    assert "seed: 0 there, 7 here" in said.err


def test_resume_reaches_exactly_the_number_that_is_asked(run: Run, searched: Path) -> None:
    assert run("resume", "done", "-n", "+1", "--executor", "inline").code == 0
    assert load_run("done").ended == 6


def test_resume_trains_as_many_at_once_as_the_last_session_unless_told_otherwise(run: Run, searched: Path) -> None:
    folder = searched / "runs" / "done"

    def chosen(**flags: object) -> tuple[str, int]:
        settings = as_before(SearchSettings.gather(flags), folder)
        return settings.executor, settings.jobs

    assert chosen() == ("inline", 0)
    assert chosen(executor="local", jobs=3) == ("local", 3)
    said = run("resume", "done", "-n", "+1")
    assert said.code == 0
    assert "Machine    1 worker x 1 CPU thread" in said.err
    for written, expected in (({"executor": "local", "jobs": 2}, ("local", 2)), ({"executor": "gone", "jobs": 2}, ("ray", 2))):
        with closing(Store(folder, "w")) as store:
            store.set_meta("execution", written)
        assert chosen() == expected


def test_resume_keeps_the_patience_of_the_last_session_unless_it_ended_the_search(run: Run, searched: Path) -> None:
    folder = searched / "runs" / "done"

    def patience(**flags: object) -> int:
        return as_before(SearchSettings.gather(flags), folder).patience

    assert patience() == 0
    assert run("resume", "done", "-n", "+1", "--patience", "40").code == 0
    assert (patience(), patience(patience=0), patience(patience=7)) == (40, 0, 7)
    with closing(Store(folder, "w")) as store:
        store.set_ending(Ending.PLATEAU)
    assert patience() == 0


def test_a_share_of_several_gpus_is_refused(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "1", "--gpus-per-trial", "1.5")
    assert said.code == 2
    assert "--gpus-per-trial 1.5: one training uses a share of a GPU or several whole ones" in " ".join(said.err.split())


@pytest.mark.parametrize(
    ("number", "words"),
    [*((number, "cannot be read") for number in ("some", "²", "1" * 5000)), ("2", "5 trainings have ended already")],
)
def test_resume_refuses_a_number_it_cannot_reach(run: Run, searched: Path, number: str, words: str) -> None:
    said = run("resume", "done", "-n", number)
    assert said.code == 2
    assert words in said.err


def test_a_resume_that_is_refused_adds_no_trainings(run: Run, searched: Path) -> None:
    before = Path("runs/done/search.yaml").read_text(encoding="utf-8")
    assert run("resume", "done", "-n", "+50", "--executor", "inlime").code == 2
    Path("some.npz").rename("elsewhere.npz")
    said = run("resume", "done", "-n", "+50", "--executor", "inline")
    assert said.code == 7
    assert "some.npz" in said.err
    assert Path("runs/done/search.yaml").read_text(encoding="utf-8") == before
    assert load_run("done").status == "finished"


def test_the_commands_at_the_end_find_a_run_that_is_not_among_the_others(run: Run, searched: Path) -> None:
    (searched / "runs" / "done").rename(searched / "moved away")
    said = run("resume", "moved away", "--executor", "inline")
    assert said.code == 0
    for words in re.findall(r"dcdnas (show .+|export .+|resume .+)", said.out):
        assert find_run(shlex.split(words)[1]).resolve() == searched / "moved away"


def test_a_budget_below_every_network_exits_with_4_and_the_smallest_cost(run: Run, project: Path) -> None:
    said = run("search", "tiny.yaml", "-b", "1kFLOPs")
    assert said.code == 4
    assert "its smallest has" in said.err


def test_a_budget_without_a_quantity_is_refused(run: Run, project: Path) -> None:
    said = run("search", "tiny.yaml", "-b", "300M")
    assert said.code == 2
    assert "300MFLOPs or 300Mparams" in said.err


def test_neither_budget_nor_space_is_refused(run: Run, project: Path) -> None:
    said = run("search")
    assert said.code == 2
    assert "-b 2MFLOPs" in said.err


def test_missing_images_exit_with_7(run: Run, project: Path) -> None:
    said = run("search", "tiny.yaml", "-b", "0.3MFLOPs", "-d", "npz:none.npz", "--executor", "inline")
    assert said.code == 7
    assert "none.npz" in said.err


def test_a_broken_space_file_says_line_and_allowed_values(run: Run, project: Path) -> None:
    bad = (project / "tiny.yaml").read_text().replace("width: [1.0, 2.0]", "width: wide")
    (project / "bad.yaml").write_text(bad)
    line = 1 + bad.splitlines().index("  width: wide")
    said = run("search", "bad.yaml", "-b", "0.3MFLOPs")
    assert said.code == 2
    assert said.err.startswith(f"Error: bad.yaml:{line}: settings.width: ")
    assert "0.05 to 10" in said.err


def test_time_that_is_up_ends_the_search_as_asked(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "50", "--confirm", "0", "--timeout", "0.01s", "--name", "first")
    assert said.code == 0
    assert load_run("first").status == "finished"


def test_a_dry_run_says_what_would_be_searched_and_makes_no_run(run: Run, project: Path) -> None:
    said = run(*SEARCH, "--dry-run")
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == ["Space", "Budget", "Data", "Machine", "Time", "Run", "Nothing"]
    assert "16 networks" in said.out
    assert not (project / "runs").exists()


def test_a_dry_run_in_json_has_the_share_with_its_interval(run: Run, project: Path) -> None:
    plain = run(*SEARCH, "--dry-run", "--json").json
    low, high = plain["share_interval"]
    assert low <= plain["share"] + 1e-9 <= high + 2e-9
    assert plain["seconds"] > 0


@pytest.mark.slow
def test_images_that_nobody_chose_are_called_a_stand_in(run: Run, project: Path) -> None:
    space = (project / "tiny.yaml").read_text().replace("classes: 10", "classes: 100").replace("  data: npz:some.npz\n", "")
    (project / "hundred.yaml").write_text(space)
    assert "Note: fashion-mini is a stand-in" in run("search", "hundred.yaml", "-b", "0.3MFLOPs", "--dry-run").out
    assert "stand-in" not in run("search", "hundred.yaml", "-b", "0.3MFLOPs", "-d", "npz:some.npz", "--dry-run").out


def long_search(project: Path) -> subprocess.Popen[str]:
    """A search in a process of its own that has trained for a moment and would go on for hours."""
    words = [*SEARCH, "-n", "5000", "--epochs", "400", "--name", "first"]
    code = f"from dcdnas.cli import main; main({words!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while time.monotonic() < until and not training(project / "runs" / "first"):
        time.sleep(0.1)
    return process


def training(folder: Path) -> bool:
    """Whether a training has told its first epoch; a running trial's epochs are in the run's memory, its score is not yet."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/run.db?mode=ro", uri=True)) as memory:
            return bool(memory.execute("SELECT COUNT(*) FROM reports").fetchone()[0])
    except sqlite3.Error:
        return False


@pytest.mark.slow
def test_ctrl_c_keeps_what_has_ended_and_says_how_to_go_on(project: Path) -> None:
    process = long_search(project)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert "dcdnas resume first" in err
    assert load_run("first").status == "interrupted"
    assert not [t for t in load_run("first").trials if t.state == "running"]


@pytest.mark.slow
def test_stop_ends_a_search_that_another_process_runs(run: Run, project: Path) -> None:
    process = long_search(project)
    assert load_run("first").status == "running"
    said = run("stop", "first", "--now")
    assert "will stop at once" in said.out
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert "stopped as asked" in err


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_process_at_once() -> None:
    imports = "from dcdnas.cli import Output; from dcdnas.cli._running import Interrupts"
    twice = f"{imports}; i = Interrupts(Output()); i(1); i(2); print('still here')"
    done = subprocess.run([sys.executable, "-c", twice], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Press Ctrl-C again" in done.stderr


def test_an_unknown_tracker_is_suggested_before_anything_starts(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "1", "--log", "tensorbord")
    assert (said.code, "Did you mean 'tensorboard'?" in said.err) == (2, True)
    assert not Path("runs").exists()


def test_the_dashboard_is_announced_with_the_address_of_the_run(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "1", "--confirm", "0", "--json", "--name", "first", "--dashboard")
    assert said.code == 0
    shown = [line["url"] for line in said.lines if line["event"] == "dashboard"]
    assert len(shown) == 1
    assert shown[0].endswith("/runs/first")


@pytest.mark.parametrize("chances", ["operators", "networks"])
def test_the_random_starts_follow_the_chances_that_were_asked_for(run: Run, project: Path, chances: str) -> None:
    said = run(*SEARCH, "-n", "1", "--confirm", "0", "--set", f"chances={chances}", "--name", "x", "--quiet")
    assert said.code == 0, said.err
    assert yaml.safe_load(Path("runs/x/search.yaml").read_text())["chances"] == chances


def test_chances_that_there_are_not_are_refused(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "1", "--set", "chances=equal")
    assert (said.code, "chances cannot be 'equal'" in said.err) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("budget", ["activations<=48KiB", "kernel-memory<=1KiB"])
def test_a_budget_on_memory_holds_for_all_that_is_trained(run: Run, project: Path, budget: str) -> None:
    words = ("-b", budget, "--minimize", "flops", "--executor", "inline", "--no-early-stopping", "--set", "starts=2")
    assert run("search", "tiny.yaml", *words, "-n", "3", "--confirm", "0", "--name", "small").code == 0
    assert run("resume", "small", "-n", "+1").code == 0
    found, bound = load_run("small"), parse_budget(budget, notations())
    trained = [t for t in found.trials if t.state == "finished"]
    assert found.minimize == (bound.metric, "flops")
    assert len(trained) == 4
    for trial in trained:
        measured = measure(build_network(trial.architecture), (bound.metric,))[bound.metric]
        assert trial.cost[bound.metric] == measured <= bound.at_most
    space = load_space("tiny.yaml")
    costs = [price(space.architecture(draw(space, random.Random(n))), (bound.metric,)) for n in range(40)]
    assert not all(within(cost, [bound]) for cost in costs)
    for verb in ("trials", "status", "report"):
        assert run(verb, "small").code == 0
    checked = run("space", "check", "tiny.yaml", "-b", budget)
    assert "% of the space is within" in checked.out
    drawn = run("space", "sample", "tiny.yaml", "-b", budget, "-n", "4", "--json").json
    assert all(network["cost"][bound.metric] <= bound.at_most for network in drawn)
