"""Figures on matplotlib axes and their files for print: what they say, their sizes and fonts, what they leave untouched."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from written_runs import trial, write_run

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.trial import Trial
from dcdnas.errors import MissingPackageError, UsageError
from dcdnas.pages.figures import write_figures
from dcdnas.pages.figures._files import in_rows
from dcdnas.pages.figures._network import shown_layers
from dcdnas.pages.figures._words import pale, unit_of
from dcdnas.pages.notebook_run import NotebookRun, load_run
from dcdnas.pages.palette import COLOURS

matplotlib = pytest.importorskip("matplotlib", reason="the extra [figures] is not installed")

to_hex = pytest.importorskip("matplotlib.colors").to_hex
Figure = pytest.importorskip("matplotlib.figure").Figure
TRIALS = [trial(0, 0.70, 90.0), trial(1, 0.60, 30.0), trial(2, 0.80, 95.0), trial(3, 0.50, 20.0, "stopped")]
CONFIRMED = [(2, 1, 0.78), (2, 2, 0.80), (0, 1, 0.71), (0, 2, 0.69)]
DRAWN = ("plot_front", "plot_hypervolume", "plot_operators", "plot_layers")
NAMES = {f"{name}-{n}" for name in ("front", "hypervolume", "operators", "best") for n in (1, 2)}


@pytest.fixture
def run(tmp_path: Path) -> NotebookRun:
    return load_run(write_run(tmp_path / "r", TRIALS, CONFIRMED))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of such a run, by name."""
    folder = tmp_path_factory.mktemp("figures")
    run = load_run(write_run(folder / "r", TRIALS, CONFIRMED))
    return {path.name: path for path in write_figures(run, folder / "new" / "figures")}


@pytest.fixture
def ax() -> Any:
    return Figure().add_subplot()


def drawn(run: NotebookRun, name: str, ax: Any = None) -> Any:
    return getattr(run.trial("best") if name == "plot_layers" else run, name)(ax)


def legend(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line(ax: Any, label: str) -> Any:
    return next(found for found in ax.lines if found.get_label() == label)


def with_second_layer(of: Trial, choice: LayerChoice) -> Trial:
    """The trial with an operator in its network's second layer."""
    name = shown_layers(of.architecture)[1].name
    return replace(of, architecture=replace(of.architecture, layers={name: choice}))


def words(path: Path) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_on_given_axes_stays_on_them(run: NotebookRun, ax: Any, name: str) -> None:
    assert drawn(run, name, ax) is ax
    assert ax.has_data()
    assert ax.get_xlabel()
    assert ax.get_ylabel()


@pytest.mark.parametrize("name", DRAWN)
def test_without_axes_a_new_figure_shows_itself_and_nothing_global_changes(run: NotebookRun, name: str) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = dict(matplotlib.rcParams)
    made = drawn(run, name)
    assert made._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_the_front_is_drawn_as_steps_up_to_the_budget(run: NotebookRun) -> None:
    steps = line(run.plot_front(), "front (one training each)")
    assert steps.get_drawstyle() == "steps-post"
    assert list(steps.get_xdata()) == [30, 90, 95, 100]
    assert list(steps.get_ydata()) == pytest.approx([60, 70, 80, 80])


def test_every_finished_trial_is_a_point_in_the_colour_of_its_operator(run: NotebookRun) -> None:
    made = run.plot_front()
    groups = [group for group in made.collections if hasattr(group, "legend_elements")]
    colours = {(round(x), round(y)): to_hex(group.get_facecolor()[0]) for group in groups for x, y in group.get_offsets()}
    assert set(colours) == {(90, 70), (95, 80), (30, 60)}
    assert colours[90, 70] == colours[95, 80] == COLOURS[0]
    assert colours[30, 60] in COLOURS[1:]


def test_the_budget_is_a_line_and_the_axis_ends_where_its_shade_does(run: NotebookRun) -> None:
    made = run.plot_front()
    assert list(line(made, "budget 100 FLOPs").get_xdata()) == [100, 100]
    assert made.get_xlim()[1] == pytest.approx(104)


def test_a_budget_out_of_sight_is_not_drawn(tmp_path: Path) -> None:
    far = load_run(write_run(tmp_path / "far", [trial(0, 0.7, 9.0), trial(1, 0.6, 8.0)]))
    made = far.plot_front()
    assert not [word for word in legend(made) if "budget" in word]
    assert made.get_xlim()[1] < 10


def test_confirmed_means_have_their_deviation_as_error_bars(run: NotebookRun) -> None:
    made = run.plot_front()
    (bars,) = made.containers
    means = {round(x): y for x, y in bars.lines[0].get_xydata()}
    assert means == pytest.approx({95: 79.0, 90: 70.0})
    heights = {round(low[0]): high[1] - low[1] for low, high in bars.lines[2][0].get_segments()}
    assert heights == pytest.approx({95: 2 * 2**0.5, 90: 2 * 2**0.5})
    assert "mean ± std on 2 fresh seeds" in legend(made)


def test_costs_that_differ_much_are_on_a_logarithmic_axis(tmp_path: Path) -> None:
    wide = [trial(0, 0.7, 90.0), trial(1, 0.6, 2.0)]
    assert load_run(write_run(tmp_path / "wide", wide)).plot_front().get_xscale() == "log"
    assert load_run(write_run(tmp_path / "narrow", TRIALS)).plot_front().get_xscale() == "linear"


def test_the_hypervolume_follows_the_trainings(run: NotebookRun) -> None:
    (steps,) = run.plot_hypervolume().lines
    assert list(steps.get_ydata()) == [0.0, *(m.hypervolume for m in run.history)]


def test_the_operators_shares_of_a_stage_add_up(run: NotebookRun) -> None:
    made = run.plot_operators()
    assert sum(group.patches[0].get_height() for group in made.containers) == pytest.approx(100)
    assert [text.get_text() for text in made.get_xticklabels()] == ["s1"]
    assert {"S static", "OD odconv"} == set(legend(made))


def test_the_layers_bars_are_as_high_as_their_costs(tmp_path: Path) -> None:
    trials = [with_second_layer(trial(0, 0.7, 90.0), LayerChoice("odconv", {"num_kernels": 2}))]
    dynamic = load_run(write_run(tmp_path / "r", trials)).trial(0)
    layers, made = shown_layers(dynamic.architecture), dynamic.plot_layers()
    size = unit_of("flops", max(layer.flops for layer in layers))[0]
    tops: dict[int, float] = {}
    for bar in (patch for group in made.containers for patch in group.patches):
        place = round(bar.get_x() + bar.get_width() / 2)
        tops[place] = max(tops.get(place, 0.0), size * (bar.get_y() + bar.get_height()))
    assert tops == pytest.approx({i: layer.flops for i, layer in enumerate(layers)})
    pales = [bar for group in made.containers for bar in group.patches if to_hex(bar.get_facecolor()) not in COLOURS]
    heights = {round(bar.get_x() + 0.42): size * bar.get_height() for bar in pales if bar.get_height()}
    assert heights == pytest.approx({1: layers[1].dynamic_flops})


def test_residual_blocks_are_bracketed(run: NotebookRun) -> None:
    made = run.trial(0).plot_layers()
    residual = [layer for layer in shown_layers(run.trial(0).architecture) if layer.residual]
    brackets = [found for found in made.lines if len(found.get_xdata()) == 4]
    assert len(brackets) == len(residual)


def test_layers_that_cannot_be_shown_are_an_error_in_words(tmp_path: Path) -> None:
    strange = with_second_layer(trial(0, 0.7, 90.0), LayerChoice("of-tomorrow"))
    run = load_run(write_run(tmp_path / "r", [strange]))
    with pytest.raises(UsageError, match="of-tomorrow"):
        run.trial(0).plot_layers()


def test_a_legend_that_is_too_long_for_its_width_goes_on_below(run: NotebookRun) -> None:
    rows = []
    for width in (3.4, 14.0):
        made = run.plot_front(Figure(figsize=(width, 3)).add_subplot())
        made.figure.draw_without_rendering()
        rows.append(len({round(text.get_window_extent().y0) for text in made.get_legend().get_texts()}))
        assert made.get_legend().get_window_extent().width <= made.get_window_extent().width
    assert rows[0] > rows[1] == 1


@pytest.mark.parametrize(
    ("metric", "most", "size", "said"),
    [
        ("flops", 95.0, 1.0, ""), ("flops", 3e8, 1e6, ", millions"), ("params", 45e3, 1e3, ", thousands"),
        ("weights", 3 * 2**20, 2**20, ", MiB"), ("latency", 4e6, 1e6, ", ms"), ("latency", 7.0, 1.0, ", ns"),
    ],
)  # fmt: skip
def test_an_axis_names_its_unit(metric: str, most: float, size: float, said: str) -> None:
    assert unit_of(metric, most) == (size, said)


@pytest.mark.slow
def test_every_figure_is_there_as_pdf_and_svg_at_the_width_of_its_columns(written: dict[str, Path]) -> None:
    assert set(written) == {f"{n}.{end}" for n in NAMES for end in ("pdf", "svg")}
    for path in written.values():
        width = 246 if path.stem.endswith("1") else 510
        if path.suffix == ".pdf":
            box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", path.read_bytes())
            assert box
            assert float(box[1]) == width
        else:
            assert f'width="{width}pt"' in path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_fonts_are_in_the_pdf(written: dict[str, Path]) -> None:
    for path in written.values():
        if path.suffix == ".pdf":
            content = path.read_bytes()
            fonts = set(re.findall(rb"/FontName /([\w+-]+)", content))
            assert fonts
            assert all(b"DejaVuSans" in name for name in fonts), fonts
            assert content.count(b"/FontFile2 ") == len(fonts)
            assert b"/Type3" not in content


@pytest.mark.slow
def test_files_are_the_same_each_time_whatever_the_user_has_set(
    run: NotebookRun, written: dict[str, Path], tmp_path: Path
) -> None:
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "pdf.fonttype": 3}):
        again = write_figures(run, tmp_path / "again")
        assert matplotlib.rcParams["font.size"] == 30
    for path in again:
        assert path.read_bytes() == written[path.name].read_bytes(), path.name


@pytest.mark.slow
def test_the_figures_say_what_is_drawn(written: dict[str, Path]) -> None:
    front = words(written["front-1.svg"])
    for said in (
        "FLOPs (multiply-adds)",
        "Validation accuracy (%)",
        "all static",
        "with odconv",
        "budget 100 FLOPs",
        "mean ± std on 2 fresh seeds",
    ):
        assert said in front
    assert "Trainings that ended" in words(written["hypervolume-2.svg"])
    best = words(written["best-2.svg"])
    assert "trial 2" in best
    assert "(79.0 %, mean of 2 fresh seeds, 95 FLOPs)" in best
    assert "stem" in best


@pytest.mark.slow
def test_nothing_in_a_file_is_transparent(written: dict[str, Path]) -> None:
    for path in written.values():
        if path.suffix == ".svg":
            assert not re.search(r"opacity: 0?\.\d", path.read_text(encoding="utf-8")), path.name


def test_a_long_network_goes_on_in_rows_that_cut_no_block(run: NotebookRun) -> None:
    layers = shown_layers(run.trial(0).architecture)
    rows = in_rows(layers, 2)
    assert [layer for row in rows for layer in row] == list(layers)
    assert len(rows) > 1
    for before, after in pairwise(rows):
        assert before[-1].slot.block != after[0].slot.block


def test_the_colours_are_those_of_the_pages() -> None:
    style = files("dcdnas.pages").joinpath("static/app.css").read_text(encoding="utf-8")
    light = style.split("@media")[0]
    assert tuple(re.findall(r"--op\d+: (#[0-9a-f]{6});", light)) == COLOURS


def test_a_pale_colour_lies_between_it_and_white() -> None:
    assert pale("#000000", 0.4) == "#999999"
    assert [pale("#0072b2", share) for share in (0.0, 1.0)] == ["#ffffff", "#0072b2"]


def test_a_run_without_a_finished_trial_says_so(tmp_path: Path) -> None:
    empty = load_run(write_run(tmp_path / "r", []))
    for draw in (empty.plot_front, empty.plot_hypervolume, empty.plot_operators, lambda: write_figures(empty, tmp_path / "f")):
        with pytest.raises(UsageError, match="no figures"):
            draw()


def test_a_folder_that_cannot_be_written_is_an_error_in_words(run: NotebookRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/figures: cannot be written to"):
        write_figures(run, tmp_path / "file" / "figures")


def test_without_matplotlib_a_figure_says_what_to_install(
    run: NotebookRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r"'matplotlib'.*pip install .dcdnas\[figures\]."):
        run.plot_front()
    with pytest.raises(MissingPackageError):
        write_figures(run, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()
