"""A task that raised and was mended: `dcdnas resume --retry-failed --plugin FILE`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import plugged
import pytest
from commands import Run, Said

from dcdnas.results import load_run

TASK = """\
from dcdnas.tasks import Objective, Task

__all__ = ["Mine"]


class Mine(Task):
    objectives = (Objective("recall", "maximize", 0.0, 1.0),)

    def evaluate(self, network, *, epochs, seed, report):
        raise ValueError("no such folder")
"""
MENDED = TASK.replace('raise ValueError("no such folder")', 'return {"recall": seed % 97 / 97}')
SEARCH = ("search", "tiny.yaml", "-b", "0.3MFLOPs", "--executor", "inline", "--set", "starts=3", "--task", "mine.py")


def flat(said: Said) -> str:
    return " ".join(said.err.split())


def resume(run: Run, *words: str) -> Said:
    plugged.forget()
    return run("resume", "own", "--executor", "inline", *words)


@pytest.fixture
def mine(project: Path) -> Iterator[Path]:
    """File of a task that raises."""
    file = project / "mine.py"
    file.write_text(TASK, encoding="utf-8")
    with plugged.forgotten():
        yield file


@pytest.mark.slow
def test_a_run_whose_task_always_raised_takes_the_mended_one(run: Run, mine: Path) -> None:
    said = run(*SEARCH, "-n", "4", "--confirm", "0", "--name", "own")
    assert said.code == 1
    assert "`dcdnas resume own --retry-failed` trains them again." in flat(said)
    assert "The run uses its own copy of mine.py: add `--plugin mine.py` to replace it by a corrected file." in flat(said)
    mine.write_text(MENDED, encoding="utf-8")
    said = resume(run, "--retry-failed")
    assert "no such folder" in flat(said), "the copy is as it was"
    said = resume(run, "--retry-failed", "--plugin", "mine.py")
    assert said.code == 0, said.err
    assert load_run("own").counts.get("failed", 0) == 0
    assert load_run("own").ended >= 10
    plugged.forget()
    assert run("reproduce", "own").code == 0, "its copy is the mended one"


def test_a_run_with_results_keeps_its_task(run: Run, mine: Path) -> None:
    mine.write_text(MENDED, encoding="utf-8")
    assert run(*SEARCH, "-n", "2", "--confirm", "0", "--name", "own").code == 0
    before = (Path("runs") / "own" / "search.yaml").read_bytes()
    mine.write_text(MENDED.replace("97", "89"), encoding="utf-8")
    said = resume(run, "-n", "3", "--retry-failed", "--plugin", "mine.py")
    assert said.code == 2
    assert "own: 2 of its trainings have ended with its own copy of mine.py" in flat(said)
    assert (Path("runs") / "own" / "search.yaml").read_bytes() == before
    assert (Path("runs") / "own" / "plugins" / "mine.py").read_text(encoding="utf-8") == MENDED
