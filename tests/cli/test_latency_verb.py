"""`dcdnas latency`, and latency as a budget, as a person meets them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import Run
from latencies import PretendedTimes, pretended_times

from dcdnas.cli._summary import over_budget
from dcdnas.core.budget import Budget
from dcdnas.cost.latency.device import this_device

HERE = this_device()
INLINE = ("--executor", "inline", "--no-early-stopping", "--confirm", "0", "--set", "starts=3", "-n", "3")


@pytest.fixture(autouse=True)
def times(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedTimes]:
    """Pretended times of slots and of the space's networks, and an empty cache."""
    with pretended_times(project / "cache", monkeypatch) as pretending:
        yield pretending


def test_measure_says_device_times_and_error(run: Run, project: Path) -> None:
    said = run("latency", "measure", "tiny.yaml", "-n", "8", "-o", "tables/here.json")
    assert said.code == 0
    assert str(HERE) in said.out
    assert "8 networks of tiny" in said.out
    assert "Kendall's tau" in said.out
    assert "Measuring  latencies of tiny" in said.err
    assert (project / "tables" / "here.json").is_file()
    again = run("latency", "show", "tables/here.json", "--json").json
    assert again["device"]["name"] == HERE.name
    assert again["correction"]["networks"] == 8
    assert set(again["operators"]) == {"static", "odconv", "linear"}


def test_measure_again_is_quiet_and_measures_nothing(run: Run, times: PretendedTimes) -> None:
    first = run("latency", "measure", "tiny.yaml", "--json").json
    calls = times.calls
    said = run("latency", "measure", "tiny.yaml", "--json")
    assert said.json == first
    assert times.calls == calls
    assert "Measuring" not in said.err


def test_a_table_of_what_ships_names_its_runtime(run: Run) -> None:
    pytest.importorskip("onnxruntime")
    said = run("latency", "measure", "tiny.yaml", "-n", "3", "--runtime", "onnxruntime", "-o", "shipped.json")
    assert said.code == 0
    assert "float32, onnxruntime " in said.out
    assert run("latency", "show", "shipped.json", "--json").json["device"]["runtime"] == "onnxruntime"


def test_a_list_to_fill_in_becomes_a_table(run: Run, project: Path) -> None:
    said = run("latency", "slots", "tiny.yaml", "-o", "phone.json", "--latency-device", "cpu: my phone")
    assert said.code == 0
    assert "layers of tiny" in said.out
    unfilled = run("space", "check", "tiny.yaml", "-b", "2ms", "--latency-table", "phone.json", "--latency-device", "my phone")
    assert unfilled.code == 2
    assert "has no time for" in unfilled.err
    assert "Where its `value` is null, fill it in." in " ".join(unfilled.err.split())
    plain = json.loads((project / "phone.json").read_text())
    plain["unit"] = "us"
    for number, row in enumerate(plain["slots"]):
        row["value"] = 10 + number
    (project / "phone.json").write_text(json.dumps(plain))
    filled = run("space", "check", "tiny.yaml", "-b", "0.5ms", "--latency-table", "phone.json", "--latency-device", "my phone")
    assert filled.code == 0
    assert "of latency" in filled.out


def test_a_list_that_is_written_again_keeps_the_times_that_were_filled_in(run: Run, project: Path) -> None:
    again = "latency", "slots", "tiny.yaml", "-o", "phone.json"
    assert run(*again, "--latency-device", "cpu: my phone").code == 0
    path = project / "phone.json"
    plain = json.loads(path.read_text())
    count = len(plain["slots"])
    plain["unit"], plain["device"]["threads"], plain["correction"] = "us", 4, {"factor": 1.5}
    plain["slots"][0]["value"] = 10
    del plain["slots"][1]
    path.write_text(json.dumps(plain))
    said = run(*again)
    assert (said.code, "1 of them have their time already, in ns" in " ".join(said.out.split())) == (0, True)
    assert "--latency-device 'cpu: my phone'" in " ".join(said.out.split())
    found = json.loads(path.read_text())
    assert (found["unit"], found["device"], found["correction"]["factor"]) == ("ns", plain["device"], 1.5)
    assert [row["value"] for row in found["slots"]] == [10_000, *[None] * (count - 1)]
    said = run(*again, "--latency-device", "cpu: another")
    assert (said.code, "phone.json has times of 'cpu: my phone', not of 'cpu: another'" in " ".join(said.err.split())) == (
        2,
        True,
    )
    (project / "notes.json").write_text("{}")
    said = run("latency", "slots", "tiny.yaml", "-o", "notes.json")
    assert (said.code, (project / "notes.json").read_text()) == (2, "{}")


def test_a_list_goes_into_a_folder_that_is_made(run: Run, project: Path) -> None:
    assert run("latency", "slots", "tiny.yaml", "-o", "new/phone.json").code == 0
    assert (project / "new" / "phone.json").is_file()
    said = run("latency", "slots", "tiny.yaml", "-o", "tiny.yaml/phone.json")
    assert said.code == 2
    assert "cannot be written to" in said.err


@pytest.mark.slow
def test_a_latency_is_a_budget_of_a_space(run: Run) -> None:
    found = run("space", "check", "tiny.yaml", "-b", "1s", "--json").json
    low, high = found["ranges"]["latency"]["smallest"], found["ranges"]["latency"]["largest"]
    assert 0 < low < high
    half = f"{(low + high) // 2}ns"
    assert 0 < run("space", "check", "tiny.yaml", "-b", half, "--json").json["share"] < 1
    drawn = run("space", "sample", "tiny.yaml", "-b", half, "-n", "5", "--json").json
    assert all(d["cost"]["latency"] <= (low + high) // 2 for d in drawn)
    impossible = run("space", "check", "tiny.yaml", "-b", "1ns")
    assert impossible.code == 4
    assert "no network of tiny meets latency <= 1 ns" in impossible.err


@pytest.mark.slow
def test_a_search_within_a_latency_ends_with_measured_networks(run: Run, project: Path) -> None:
    said = run("search", "tiny.yaml", "-b", "1s", *INLINE, "--name", "quick")
    assert said.code == 0, said.err
    assert f"Latency of the front, whole networks measured on {HERE}" in said.out
    assert "Measuring  latencies of tiny" in said.err
    assert f"Latency    predicted for {HERE}" in said.err
    text = (project / "runs" / "quick" / "front" / "best.yaml").read_text()
    assert "latency_ns" in text
    assert HERE.name in text
    shown = run("show", "quick", "--trial", "best")
    assert "measured" in shown.out
    assert run("report", "quick").code == 0
    assert re.search("predicted; measured .* in torch<", (project / "runs" / "quick" / "report.html").read_text())
    layers = run("show", "quick", "--trial", "best", "--json").json
    assert sum(layer["latency"] for layer in layers["layers"]) == layers["cost"]["latency"]
    again = run("search", "tiny.yaml", "-b", "1s", *INLINE, "--name", "quick", "--json")
    assert again.code == 0, again.err
    end = again.lines[-1]
    assert end["latency"]["device"]["name"] == HERE.name
    assert all(n["measured"] > 0 and n["predicted"] > 0 for n in end["latency"]["networks"])
    assert end["ended"] == 3


def test_a_latency_alone_does_not_say_which_space(run: Run) -> None:
    said = run("search", "-b", "2ms")
    assert said.code == 2
    assert "does not determine a space" in said.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--latency-table", "none.json"), "cannot be read"),
        (("--latency-device", "pi"), "Give the table, too"),
        (("--latency-table", "tiny.yaml"), "not valid JSON"),
    ],
)
def test_a_table_that_cannot_be_used_stops_a_search_before_it_begins(
    run: Run, project: Path, words: tuple[str, ...], reason: str
) -> None:
    said = run("search", "tiny.yaml", "-b", "2ms", *words)
    assert said.code == 2
    assert reason in said.err
    assert not (project / "runs").exists()


def test_cost_measures_a_network_layer_by_layer(run: Run, project: Path) -> None:
    config = run("space", "sample", "tiny.yaml", "-n", "1", "--json").json[0]
    (project / "one.json").write_text(json.dumps({k: v for k, v in config.items() if k not in ("decisions", "cost", "digest")}))
    found = run("cost", "one.json", "--latency", "--layers", "--json").json
    assert found["latency"]["device"]["name"] == HERE.name
    assert sum(layer["latency"] for layer in found["layers"]) == pytest.approx(found["cost"]["latency"])
    assert found["latency"]["measured"] > 0
    said = run("cost", "one.json", "--latency")
    assert "Latency" in said.out
    pytest.importorskip("onnxruntime")
    said = run("cost", "one.json", "--runtime", "onnxruntime")
    assert re.search(r"Latency .* measured whole on .*, onnxruntime ", said.out)
    both = run("cost", "one.json", "--runtime", "onnxruntime", "--latency-table", "t.json")
    assert (both.code, "Leave one of them out" in both.err) == (2, True)


def test_what_is_slower_than_predicted_is_said() -> None:
    def timed(number: int, nanoseconds: int) -> tuple[SimpleNamespace, tuple[str, dict[str, int]]]:
        return SimpleNamespace(number=number, deployed=f"d{number}"), (
            f"d{number}",
            {"latency": nanoseconds},
        )

    line, times = zip(timed(3, 1_900_000), timed(5, 2_100_000), strict=True)
    run = SimpleNamespace(budgets=(Budget("latency", 2e6), Budget("flops", 1.0)), timed=dict(times), front=lambda: line)
    (sentence,) = over_budget(run)  # type: ignore[arg-type]
    assert sentence.startswith("Measured over latency <= 2 ms: trial 5 with 2.10 ms.")
