"""`dcdnas status`, `trials`, `show`, `compare` and `report` on a run that was searched."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from commands import Run
from written_runs import write_run

from dcdnas.results import load_run, write_note


def test_status_lists_the_runs(run: Run, searched: Path) -> None:
    said = run("status")
    assert said.code == 0
    assert "done" in said.out
    assert "5/5" in said.out


def test_status_without_runs_says_how_to_begin(run: Run, project: Path) -> None:
    assert "dcdnas search -b" in run("status").out


def test_status_of_a_run_holds_the_best_against_the_static_reference(run: Run, searched: Path) -> None:
    said = run("status", "done")
    assert "Best within the budget: trial" in said.out
    assert "static reference" in said.out


def test_status_in_json_agrees_with_the_run(run: Run, searched: Path) -> None:
    plain, found = run("status", "done", "--json").json, load_run("done")
    assert (plain["status"], plain["ended"], plain["states"]) == ("finished", 5, found.counts)
    assert plain["best"] == (found.best.number if found.best else None)


def test_a_damaged_run_does_not_hide_the_others(run: Run, searched: Path) -> None:
    (searched / "runs" / "broken").mkdir()
    (searched / "runs" / "broken" / "run.db").write_bytes(b"no database at all" * 100)
    said = run("status")
    assert said.code == 0
    assert "damaged" in said.out
    assert "5/5" in said.out


def test_trials_in_json_have_the_columns_of_the_frame(run: Run, searched: Path) -> None:
    rows = run("trials", "done", "--json").json
    columns = load_run("done").columns
    assert tuple(rows[0])[: len(columns)] == columns
    assert len(rows) == len(load_run("done").trials)


def test_trials_of_the_front_are_those_of_the_run(run: Run, searched: Path) -> None:
    rows = run("trials", "done", "--front", "--json").json
    assert {r["number"] for r in rows} == {t.number for t in load_run("done").front()}
    assert all(r["on_front"] for r in rows)


def test_starred_trials_are_listed_with_their_notes(run: Run, searched: Path) -> None:
    write_note(searched / "runs" / "done", 1, starred=True, text="[bold]odd[/]")
    try:
        rows = run("trials", "done", "--starred", "--json").json
        assert [(r["number"], r["starred"], r["note"]) for r in rows] == [(1, True, "[bold]odd[/]")]
        assert "★ [bold]odd[/]" in run("trials", "done").out
    finally:
        write_note(searched / "runs" / "done", 1, starred=False, text="")
    assert "None of the" in run("trials", "done", "--starred").out
    assert "Note" not in run("trials", "done").out


def test_trials_are_cut_at_another_budget(run: Run, searched: Path) -> None:
    rows = run("trials", "done", "-b", "0.25MFLOPs", "--json").json
    assert rows
    assert all(r["flops"] <= 250_000 for r in rows)


def test_a_metric_that_the_trials_were_not_priced_by_cannot_cut_them(run: Run, searched: Path) -> None:
    for words in (("trials", "done"), ("export", "done", "--to", "config", "--trial", "1")):
        said = run(*words, "-b", "2ms")
        assert said.code == 2
        assert "The trials of done were priced by flops, params; a search prices its trials in the metrics" in " ".join(
            said.err.split()
        )


def test_trials_are_sorted_and_limited(run: Run, searched: Path) -> None:
    rows = run("trials", "done", "--state", "finished", "--sort", "-flops", "--limit", "2", "--json").json
    costs = sorted((t.cost["flops"] for t in load_run("done").trials if t.state == "finished"), reverse=True)
    assert [r["flops"] for r in rows] == costs[:2]


def test_trials_in_csv_can_be_read_again(run: Run, searched: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("trials", "done", "--csv").out)))
    assert len(rows) == len(load_run("done").trials)
    assert "width" in rows[0]


@pytest.mark.parametrize(("words", "hint"), [(("--sort", "acuracy"), "'accuracy'"), (("--state", "finishd"), "'finished'")])
def test_mistyped_columns_and_states_get_the_nearest(run: Run, searched: Path, words: tuple[str, ...], hint: str) -> None:
    said = run("trials", "done", *words)
    assert said.code == 2
    assert f"Did you mean {hint}?" in said.err


def test_a_mistyped_run_gets_the_nearest(run: Run, searched: Path) -> None:
    assert "Did you mean 'done'?" in run("trials", "don").err


def test_the_layers_shown_add_up_to_the_network(run: Run, searched: Path) -> None:
    plain = run("show", "done", "--trial", "best", "--json").json
    for metric in ("flops", "params"):
        assert sum(layer[metric] for layer in plain["layers"]) == plain["cost"][metric]


def test_show_counts_what_training_runs_when_asked(run: Run, searched: Path) -> None:
    plain, trained = (run("show", "done", "-t", "0", "--json", *more).json for more in ((), ("--count", "training")))
    assert (plain["count"], trained["count"]) == ("deploy", "training")
    assert trained["digest"] == plain["digest"]
    assert trained["cost"]["flops"] >= plain["cost"]["flops"]


def test_show_prints_every_layer_and_the_sum(run: Run, searched: Path) -> None:
    said = run("show", "done", "-t", "0")
    network = load_run("done").trials[0].architecture
    assert all(slot in said.out for slot in network.layers)
    assert "Sum" in said.out


def test_show_reads_a_config_as_well_as_a_run(run: Run, searched: Path) -> None:
    plain = run("show", "runs/done/front/best.yaml", "--json").json
    best = load_run("done").best
    assert best is not None
    assert plain["digest"] == best.architecture.digest


@pytest.mark.parametrize("trial", ["99", "bst", "front"])
def test_show_refuses_what_is_no_single_trial(run: Run, searched: Path, trial: str) -> None:
    assert run("show", "done", "--trial", trial).code == 2


def test_compare_sets_networks_side_by_side(run: Run, searched: Path) -> None:
    plain = run("compare", "done", "0", "1", "--json").json
    assert [n["number"] for n in plain["networks"]] == [0, 1]
    assert plain["decisions"]
    said = run("compare", "done", "0", "1")
    assert "Trial 0" in said.out
    assert "Trial 1" in said.out


def test_compare_does_not_call_layers_of_other_widths_equal(run: Run, searched: Path) -> None:
    plain = run("compare", "done", "0", "1", "--json").json
    assert "width" in plain["decisions"]
    assert plain["layers"] == {}
    assert "0 layers differ in operator or settings; " in run("compare", "done", "0", "1").out


def test_compare_needs_two_trials(run: Run, searched: Path) -> None:
    assert run("compare", "done", "0").code == 2


def test_report_writes_one_page_without_links_to_other_hosts(run: Run, searched: Path) -> None:
    assert run("report", "done", "-o", "page.html").code == 0
    page = (searched / "page.html").read_text(encoding="utf-8")
    assert "<h1>done" in page
    assert "src=" not in page
    assert 'href="http' not in page


@pytest.mark.slow
def test_report_writes_figures_for_papers(run: Run, searched: Path) -> None:
    pytest.importorskip("matplotlib")
    said = run("report", "done", "-o", "page.html", "--pdf-figures", "figures", "--json")
    assert said.code == 0
    assert all(Path(f).read_bytes()[:5] == b"%PDF-" for f in json.loads(said.out)["figures"] if f.endswith(".pdf"))
    assert (searched / "figures" / "front-1.pdf").is_file()


def test_stop_of_a_run_that_is_not_running_says_so(run: Run, searched: Path) -> None:
    said = run("stop", "done")
    assert said.code == 0
    assert "not running" in said.out


@pytest.mark.parametrize("words", [("trials", "done"), ("show", "done"), ("cost", "runs/done/front/best.yaml")])
def test_csv_and_json_at_once_are_refused(run: Run, searched: Path, words: tuple[str, ...]) -> None:
    said = run(*words, "--csv", "--json")
    assert (said.code, said.out) == (2, "")
    assert "--json and --csv print the same in two forms" in said.err


def test_a_run_without_trials_has_the_columns_of_its_table(run: Run, project: Path) -> None:
    write_run(project / "runs" / "new", [])
    said = run("trials", "new", "--sort", "-accuracy")
    assert (said.code, said.out) == (0, "new has no trials yet.\n")
    (header,) = run("trials", "new", "--csv").out.splitlines()
    assert header.startswith("number,state,accuracy,flops,params,epochs,seconds")
    assert run("trials", "new", "--sort", "acuracy").code == 2
