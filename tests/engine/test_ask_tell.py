"""A loop of one's own: it is handed networks within the budget, each once, and what it tells makes the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from searching import FEW
from spaces import BACKBONE, HEAD, STAGE

from dcdnas.core.architecture import Architecture
from dcdnas.core.trial import Ending, FailureKind
from dcdnas.core.yaml_lines import as_yaml
from dcdnas.engine.ask_tell import Search
from dcdnas.engine.signals import request_stop
from dcdnas.engine.store import Store
from dcdnas.errors import Resumable, RunError, UsageError
from dcdnas.results import load_run
from dcdnas.tasks import Objective

AUC = Objective("auc", "maximize", worst=0.5, best=1.0)
ERROR = Objective("rmse", "minimize", worst=2.0, best=0.0)

Make = Callable[..., Search]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Begins a search of a small space, or goes on with it."""
    (tmp_path / "tiny.yaml").write_text(HEAD + BACKBONE + STAGE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)

    def begin(**settings: Any) -> Search:
        common = {
            "space": "tiny.yaml",
            "budget": "400kFLOPs",
            "objectives": [AUC],
            "name": "mine",
            "trials": 8,
            "sampler": "random",
        }
        return Search(**{**common, **settings})

    return begin


def toy(search: Search, architecture: Architecture) -> dict[str, float]:
    """More parameters are better."""
    return {"auc": 1 - 0.5 * math.exp(-search.price(architecture)["params"] / 3000)}


def told(search: Search, most: int) -> list[str]:
    """Digests of the networks that a loop asks for, one after another, and tells."""
    found: list[str] = []
    while len(found) < most and (network := search.ask()) is not None:
        search.tell(network, toy(search, network))
        found.append(network.digest)
    return found


def test_a_loop_is_handed_new_networks_within_the_budget_and_finds_a_front(make: Make) -> None:
    with make() as search:
        found = told(search, 100)
        assert len(found) == len(set(found)) == search.told == 8
        assert search.ending is Ending.COMPLETED
        front = search.front
    run = load_run("mine")
    assert run.status == "finished"
    assert sorted(t.number for t in run.front()) == sorted(t.number for t in front)
    trained = [t for t in run.trials if t.state == "finished"]
    assert all(t.cost["flops"] <= 400e3 for t in trained)
    assert run.best is not None
    assert run.best.score is not None
    assert run.best.score.values["auc"] == max(t.score.values["auc"] for t in trained if t.score)


def test_several_networks_are_out_at_one_time_and_told_in_any_order(make: Make) -> None:
    with make(trials=3) as search:
        out = [network for _ in range(3) if (network := search.ask())]
        assert search.ask() is None
        assert search.ending is None
        assert len(out) == 3
        assert list(search.outstanding) == out
        for network in (out[2], out[0], out[1]):
            assert search.tell(network.digest, toy(search, network)).state == "finished"
        assert search.ask() is None
        assert search.ending is Ending.COMPLETED


@pytest.mark.parametrize("closed", [True, False])
def test_what_was_not_told_is_outstanding_and_handed_out_again_first(make: Make, closed: bool) -> None:
    search = make()
    told(search, 2)
    out = [search.ask(), search.ask()]
    if closed:
        search.close()
        assert load_run("mine").status == "interrupted"
        assert load_run("mine").to_go_on == "dcdnas ask-tell --name mine"
    else:
        search._held.close()  # as where the process dies: nothing is written any more
    with Search(name="mine") as again:
        assert list(again.outstanding) == out
        assert out[1] is not None
        again.tell(out[1], toy(again, out[1]))
        assert again.ask() == out[0]
        fresh = again.ask()
        assert fresh is not None
        assert fresh not in out


def test_a_resumed_search_is_the_uninterrupted_one_with_one_network_out(make: Make) -> None:
    with make(sampler="model", starts=1, name="whole", trials=6) as search:
        whole = told(search, 6)
    with make(sampler="model", starts=1, trials=6) as search:
        found = told(search, 3)
        search.ask()
    with Search(name="mine") as search:
        assert found + told(search, 6) == whole


def test_two_processes_on_one_run_are_refused(make: Make) -> None:
    with make(), pytest.raises(RunError, match="is being searched by process"):
        Search(name="mine")
    Search(name="mine").close()


@pytest.mark.parametrize("reopened", [False, True])
def test_a_search_that_is_asked_to_stop_hands_out_nothing_more(make: Make, reopened: bool) -> None:
    search = make()
    network = search.ask()
    assert network is not None
    if reopened:
        search.close()
        search = Search(name="mine")
    request_stop(search.folder, now=False)
    assert search.ask() is None
    assert search.ending is None
    search.tell(network, toy(search, network))
    assert search.ending is Ending.STOPPED
    search.close()
    assert load_run("mine").ending is Ending.STOPPED


def test_a_run_that_another_process_took_takes_no_more_results(make: Make) -> None:
    search = make()
    network = search.ask()
    assert network is not None
    other = Store(search.folder, "w")
    other.claim("another")
    other.close()
    with pytest.raises(RunError, match="was taken over by another driver"):
        search.tell(network, {"auc": 0.7})
    with pytest.raises(RunError, match="was taken over by another driver"):
        search.close()
    assert [t.state for t in load_run("mine").trials] == ["running"]
    with Search(name="mine") as again:
        assert again.outstanding == (network,)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no value for auc. Tell a number for each of: auc."),
        ({"acu": 0.7}, "no objective is called 'acu'. Did you mean 'auc'"),
        ({"auc": 0.7, "loss": 1.0}, "no objective is called 'loss'"),
        ({"auc": math.nan}, "auc cannot be nan. Allowed: a finite number; a network without one is told as failed."),
        ({"auc": True}, "auc cannot be True."),
        ({"auc": -(10**400)}, "auc cannot be -1000"),
        ({"auc": "0.7"}, "auc cannot be '0.7'."),
        ({"auc": torch.zeros(2)}, "auc cannot be tensor([0., 0.])."),
        ({"auc": 71}, "auc cannot be 71: the best possible value is 1. Is it in another unit?"),
        (None, "tell either its values, or why it failed"),
    ],
)
def test_values_that_cannot_be_told_leave_the_network_outstanding(make: Make, values: Any, words: str) -> None:
    with make() as search:
        network = search.ask()
        assert network is not None
        with pytest.raises(UsageError) as refused:
            search.tell(network, values)
        assert words in str(refused.value)
        assert search.outstanding == (network,)
        search.tell(network, {"auc": 0.7})


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(1), torch.tensor(0.5), torch.tensor([0.5])])
def test_a_number_of_numpy_or_torch_is_a_value_as_it_is_for_a_task(make: Make, value: Any) -> None:
    with make() as search:
        network = search.ask()
        assert network is not None
        trial = search.tell(network, {"auc": value})
        assert trial.score is not None
        assert trial.score.values == {"auc": float(value)}
    assert load_run("mine").trials[0].score == trial.score


def test_a_result_that_could_not_be_written_is_written_when_it_is_told_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with make() as search:
        network = search.ask()
        assert network is not None
        with monkeypatch.context() as full:
            full.setattr(Store, "add", lambda *_: (_ for _ in ()).throw(Resumable("the disk is full")))
            for _ in range(2):
                with pytest.raises(Resumable):
                    search.tell(network, {"auc": 0.7})
                assert search.outstanding == (network,)
        search.tell(network, {"auc": 0.7})
        assert [t.state for t in load_run("mine").trials] == ["finished"]


def refused(*_: object) -> None:
    raise Resumable("the disk is full")


def test_a_network_that_could_not_be_written_is_handed_out_by_the_next_ask(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with make(trials=2) as search:
        with monkeypatch.context() as full:
            full.setattr(Store, "add", refused)
            for _ in range(2):
                with pytest.raises(Resumable):
                    search.ask()
                assert search.outstanding == ()
        assert len(told(search, 5)) == 2
        assert search.ending is Ending.COMPLETED
    assert [(t.number, t.state) for t in load_run("mine").trials] == [(0, "finished"), (1, "finished")]


def test_a_search_that_a_full_disk_keeps_from_opening_can_be_opened_later(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with make() as search:
        network = search.ask()
    with monkeypatch.context() as full:
        full.setattr(Store, "add", refused)
        with pytest.raises(Resumable):
            make()
    with make() as search:
        assert search.outstanding == (network,)


def test_any_text_can_say_why_a_training_failed(make: Make) -> None:
    with make() as search:
        for failed in ("cannot read caf\udce9.png\nat all", "\n", "x" * 2000):
            network = search.ask()
            assert network is not None
            search.tell(network, failed=failed)
    reasons = [t.reason for t in load_run("mine").trials]
    assert reasons == ["cannot read caf\\udce9.png at all", "no reason was told", "x" * 500]


def test_an_objective_cannot_have_the_name_of_a_decision(make: Make) -> None:
    with pytest.raises(UsageError, match="objective 'width' has the name of a decision of the space"):
        make(space="fashion-quick", objectives=[replace(ERROR, name="width")])


def test_a_network_is_told_once_and_only_when_it_was_asked_for(make: Make) -> None:
    with make() as search:
        network = search.ask()
        assert network is not None
        search.tell(network, failed="out of memory")
        with pytest.raises(UsageError, match="has a result already: trial 0 has failed"):
            search.tell(network, {"auc": 0.7})
        with pytest.raises(UsageError, match="was not asked for"):
            search.tell(replace(network, classes=3), {"auc": 0.7})
        assert search.told == 0
    (failed,) = (t for t in load_run("mine").trials if t.state == "failed")
    assert (failed.failure, failed.reason) == (FailureKind.RAISED, "out of memory")
    with pytest.raises(UsageError, match=r"is closed. Continue with dcdnas.Search\(name='mine'\)"):
        search.ask()


def test_one_cost_to_minimise_need_not_be_in_a_list(make: Make) -> None:
    with make(minimize="params") as search:
        assert search.config.goals.names == ("auc", "flops", "params")


def test_the_settings_of_a_project_do_not_concern_a_loop_of_one_s_own(make: Make) -> None:
    Path("dcdnas.yaml").write_text("data: nowhere.npz\nepochs: 3\nseed: 7\nmaximize: accuracy\n", encoding="utf-8")
    with make() as search:
        assert search.config.seed == 0


def test_all_objectives_that_are_told_are_weighed(make: Make) -> None:
    with make(objectives=[ERROR, AUC], minimize=["params"]) as search:
        assert search.config.goals.names == ("rmse", "auc", "flops", "params")
        assert search.config.goals.directions == ["minimize", "maximize", "minimize", "minimize"]


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"epochs": 3}, UsageError, "epochs: not a setting of a search that your own loop trains"),
        ({"samplr": "random"}, UsageError, "Did you mean 'sampler'?"),
        ({"name": "../x"}, UsageError, "name cannot be '../x'"),
        ({"objectives": [AUC, AUC]}, UsageError, "two of its objectives are called 'auc'"),
        ({"space": None, "budget": (), "objectives": [], "sampler": None, "name": "mien"}, UsageError, "there is no run 'mien'"),
    ],
)
def test_a_search_that_cannot_be_made_says_why(make: Make, settings: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as refused:
        make(**settings)
    assert words in str(refused.value)
    assert not Path("runs").exists()


def test_a_run_of_another_kind_and_another_search_are_refused(make: Make) -> None:
    make().close()
    with pytest.raises(RunError, match=r"holds another search\. It differs in"):
        make(objectives=[ERROR])
    with pytest.raises(RunError, match="Continue it by its name alone"):
        Search(name="mine", seed=3)
    file = Path("runs/mine/search.yaml")
    file.write_text(file.read_text(encoding="utf-8").replace("task:ask-tell", "task:radius"), encoding="utf-8")
    with pytest.raises(RunError, match="Continue with `dcdnas resume mine`"):
        Search(name="mine")


def test_a_search_is_over_as_soon_as_its_last_result_is_told_and_when_it_is_opened_again(make: Make) -> None:
    with make(trials=3) as search:
        told(search, 2)
        network = search.ask()
        assert network is not None
        assert search.ending is None
        search.tell(network, toy(search, network))
        assert search.ending is Ending.COMPLETED, "nobody has to ask first"
    assert load_run("mine").ending is Ending.COMPLETED
    with Search(name="mine") as again:
        assert again.ending is Ending.COMPLETED
        assert again.ask() is None
    with Search(name="mine", trials=4) as more:
        assert more.ending is None
        assert more.ask() is not None


def test_an_exhausted_search_is_over_when_it_is_opened_again(make: Make) -> None:
    Path("few.yaml").write_text(as_yaml(FEW), encoding="utf-8")
    with make(space="few.yaml", budget="9MFLOPs", trials=20) as search:
        few = len(told(search, 20))
        assert search.ending is Ending.EXHAUSTED
    with Search(name="mine") as again:
        assert again.ending is Ending.EXHAUSTED
        assert (again.told, again.outstanding, again.ask()) == (few, (), None)
    assert load_run("mine").ending is Ending.EXHAUSTED
