"""Figures for print: right sizes, embedded fonts, all that they say, the colours of the pages."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
from written_runs import trial, write_run

from dcdnas.errors import UsageError
from dcdnas.pages.palette import COLOURS
from dcdnas.results import load_run

pytest.importorskip("reportlab", reason="the extra [figures] is not installed")

from dcdnas.pages.drawing import Scale
from dcdnas.pages.figures import ONE, TWO, write_figures

TRIALS = [trial(0, 0.70, 90.0), trial(1, 0.60, 30.0), trial(2, 0.80, 95.0), trial(3, 0.50, 20.0, "stopped")]
CONFIRMED = [(2, 1, 0.78), (2, 2, 0.80), (0, 1, 0.71), (0, 2, 0.69)]


def words(path: Path) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8")))


def test_every_figure_is_there_as_pdf_and_svg_at_the_width_of_its_columns(tmp_path: Path) -> None:
    written = write_figures(load_run(write_run(tmp_path / "r", TRIALS)), tmp_path / "figures")
    names = {f"{name}-{n}" for name in ("front", "hypervolume", "operators") for n in (1, 2)} | {"best-2"}
    assert {p.name for p in written} == {f"{n}.{end}" for n in names for end in ("pdf", "svg")}
    for path in written:
        width = ONE if path.stem.endswith("1") else TWO
        if path.suffix == ".pdf":
            box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", path.read_bytes())
            assert box
            assert float(box[1]) == width
        else:
            assert re.search(rf'width="{width:g}(?:\.0)?"', path.read_text(encoding="utf-8"))


def test_the_fonts_are_in_the_pdf(tmp_path: Path) -> None:
    for path in write_figures(load_run(write_run(tmp_path / "r", TRIALS)), tmp_path / "figures"):
        if path.suffix == ".pdf":
            fonts = re.findall(rb"/BaseFont /([\w+-]+)", path.read_bytes())
            assert path.read_bytes().count(b"/FontFile2 ") == len(fonts) > 0
            assert all(b"+BitstreamVeraSans" in name for name in fonts), fonts


def test_the_figures_say_what_is_drawn(tmp_path: Path) -> None:
    write_figures(load_run(write_run(tmp_path / "r", TRIALS, CONFIRMED)), tmp_path / "f")
    front = words(tmp_path / "f" / "front-1.svg")
    for said in (
        "FLOPs (multiply-adds)",
        "Validation accuracy (%)",
        "all static",
        "mostly odconv",
        "budget",
        "mean ± std on 2 fresh seeds",
    ):
        assert said in front
    assert "Trainings that ended" in words(tmp_path / "f" / "hypervolume-2.svg")
    assert "stage1" in words(tmp_path / "f" / "operators-1.svg")
    best = words(tmp_path / "f" / "best-2.svg")
    assert "trial 2: 79.0 %, 95 FLOPs" in best
    assert "stem" in best


def test_a_legend_that_is_too_long_for_its_width_goes_on_below(tmp_path: Path) -> None:
    write_figures(load_run(write_run(tmp_path / "r", TRIALS, CONFIRMED)), tmp_path / "f")
    text = (tmp_path / "f" / "front-1.svg").read_text(encoding="utf-8")
    rows = {
        float(y)
        for y, said in re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>([^<]*)<', text)
        if "mostly" in said or "mean" in said
    }
    assert len(rows) == 2


def test_the_colours_are_those_of_the_pages(tmp_path: Path) -> None:
    style = files("dcdnas.pages").joinpath("static/app.css").read_text(encoding="utf-8")
    light = style.split("@media")[0]
    assert tuple(re.findall(r"--op\d: (#[0-9a-f]{6});", light)) == COLOURS


def test_a_run_without_a_finished_trial_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no figures"):
        write_figures(load_run(write_run(tmp_path / "r", [])), tmp_path / "figures")


def test_a_folder_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write the figures"):
        write_figures(load_run(write_run(tmp_path / "r", TRIALS)), tmp_path / "file" / "figures")


@pytest.mark.parametrize(("low", "high", "log"), [(0.0, 1.0, False), (3.0, 3.0, False), (2e5, 9e8, True), (70.2, 80.9, False)])
def test_ticks_are_round_and_within(low: float, high: float, log: bool) -> None:
    scale = Scale(low, high, 10, 90, log)
    found = scale.ticks(5)
    assert found
    assert all(low <= v <= high for v in found)
    assert all(10 - 1e-9 <= scale(v) <= 90 + 1e-9 for v in found)
    assert len(found) <= 20
