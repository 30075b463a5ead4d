"""`dcdnas fidelity`, and `dcdnas search --fidelity-check`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import SEARCH, Run


@pytest.mark.slow
def test_networks_of_a_run_are_trained_longer_and_the_orders_compared(run: Run, searched: Path) -> None:
    said = run("fidelity", "done", "-n", "3", "--times", "2")
    assert said.code == 0, said.err
    assert re.search(r"Kendall's tau -?\d\.\d\d \(95 %: -?\d\.\d\d to \d\.\d\d\)", " ".join(said.out.split()))
    assert "over 3 networks" in " ".join(said.out.split())
    again = run("fidelity", "done", "-n", "3", "--times", "2", "--json").json
    assert "epoch" not in run("fidelity", "done", "-n", "3", "--times", "2").err
    assert len(again["networks"]) == 3
    assert again["longer"] == 2 * again["epochs"]


@pytest.mark.slow
def test_a_search_can_end_with_it(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "4", "--confirm", "0", "--name", "own", "--fidelity-check", "3")
    assert said.code == 0, said.err
    assert "Kendall's tau" in said.out
    assert (project / "runs" / "own" / "fidelity.json").is_file()


def test_a_run_with_too_few_networks_is_refused(run: Run, project: Path) -> None:
    run(*SEARCH, "-n", "1", "--confirm", "0", "--name", "own")
    said = run("fidelity", "own")
    assert said.code == 2
    assert "1 network trained to the end, 8 requested: too few to rank" in " ".join(said.err.split())


def test_a_search_of_too_few_networks_does_not_begin(run: Run, project: Path) -> None:
    said = run(*SEARCH, "-n", "2", "--name", "few", "--fidelity-check", "3")
    assert said.code == 2
    assert "a search of -n 2 trains too few networks to rank. Allowed: 3 or more." in " ".join(said.err.split())
    assert not (project / "runs" / "few").exists()


def test_a_search_on_the_gpus_of_a_cluster_does_not_end_with_it_where_there_is_none(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    cluster = ("--executor", "ray", "--address", "ray://head:10001", "--gpus-per-trial", "1")
    words = [word for word in SEARCH if word not in ("--executor", "inline")]
    said = run(*words, *cluster, "-n", "4", "--name", "far", "--fidelity-check", "3")
    assert said.code == 2
    assert "torch finds no GPU on this machine. Leave it out, and run `dcdnas fidelity RUN" in " ".join(said.err.split())
    assert not (project / "runs" / "far").exists()
