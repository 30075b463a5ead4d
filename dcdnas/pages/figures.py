"""A run's figures for print: PDF with embedded fonts and SVG, at the widths of one and of two columns of a paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reportlab.graphics import renderPDF, renderSVG
from reportlab.graphics.shapes import STATE_DEFAULTS
from reportlab.pdfgen.canvas import Canvas

from dcdnas.core.budget import quantity
from dcdnas.core.trial import Trial
from dcdnas.core.units import metric_name, percent
from dcdnas.cost import Layer
from dcdnas.errors import UsageError
from dcdnas.pages.drawing import BOLD, FONT, GRID, INK, SIZE, SOFT, Entry, Figure, Scale
from dcdnas.pages.layers import layers_of
from dcdnas.pages.palette import COLOURS, Paint, paints
from dcdnas.pages.payload import mostly, shares
from dcdnas.pages.strip import GAP, LEFT, Strip, strip

if TYPE_CHECKING:
    from dcdnas.results.run import Run

ONE, TWO = 246.0, 510.0
"""Widths of one column and of two, in points: 3.42 and 7.08 inches, 87 and 180 mm."""

ROW, IN_A_ROW = 128.0, 27
"""Height of a row of layers, and about how many have room for words at the width of two columns."""

BUDGET = "#a3201b"
WIDE = 20.0
"""Ratio of dearest to cheapest from which the axis of cost is logarithmic."""

SANS = "font-family: 'Bitstream Vera Sans', 'DejaVu Sans', Verdana, sans-serif;"
FAMILIES = {FONT: SANS, BOLD: f"{SANS} font-weight: bold;"}
"""What an SVG says instead of the name of an embedded font, which it does not have."""


def write_figures(run: Run, folder: Path) -> list[Path]:
    """Writes front, hypervolume and operators, for one column and for two, and the layers of the best network, for two.

    Raises:
        UsageError: when the run has no front yet, or a file cannot be written.
    """
    best = run.best
    if best is None:
        raise UsageError(f"{run.name} has no finished trial within its budget, so it has no figures. `dcdnas resume` goes on.")
    drawn: dict[str, Callable[[float], Figure]] = {
        "front": lambda width: front(run, width),
        "hypervolume": lambda width: hypervolume(run, width),
        "operators": lambda width: operators(run, width),
    }
    figures = {f"{name}-{n}": draw(width) for name, draw in drawn.items() for n, width in ((1, ONE), (2, TWO))}
    figures["best-2"] = layers(run, best, TWO)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [path for name, figure in figures.items() for path in _written(folder / name, figure, f"{run.name}: {name}")]
    except OSError as error:
        raise UsageError(f"cannot write the figures to {folder}: {error}. Name a folder that can be written.") from None


def front(run: Run, width: float) -> Figure:
    """Accuracy against cost: trials by the operator that most of their layers are, the front, the budget, confirmed means."""
    metric = run.cost_shown
    shown = [t for t in run.trials if t.state == "finished" and t.score]
    costs = [t.cost[metric] for t in shown]
    bound = next((b.at_most for b in run.budgets if b.metric == metric), None)
    log = max(costs) > WIDE * min(costs)
    high = max([*costs, *([bound] if bound and bound < 3 * max(costs) else [])]) * 1.05
    low = min(costs) / 1.1 if log else min(costs) - 0.05 * (high - min(costs))
    line, used = run.front(), _paints(shown)
    figure = Figure(width, 190, _front_legend(run, used, bool(bound and bound < high)))
    x = Scale(low, high, figure.left, figure.right, log)
    y = _percents([_percent(t) for t in shown] + [100 * c.mean for c in run.confirmed], figure)
    figure.axes(x, y, _cost_name(metric), "Validation accuracy (%)", lambda v: _plain(metric, v), lambda v: f"{v:g}")
    if bound and bound < high:
        figure.rect(x(bound), figure.bottom, figure.right - x(bound), figure.top - figure.bottom, BUDGET, 0.08)
        figure.line([(x(bound), figure.bottom), (x(bound), figure.top)], BUDGET, 0.8, (3, 2))
    _steps(figure, [(x(t.cost[metric]), y(_percent(t))) for t in line], x(min(bound or high, high)))
    on_front = {t.number for t in line}
    for t in sorted(shown, key=lambda t: t.number in on_front):
        paint, ring = used[mostly(t)], t.number in on_front
        figure.marker(paint.marker, x(t.cost[metric]), y(_percent(t)), 2.8 if ring else 2.0, COLOURS[paint.index], 1.0, ring)
    for c in run.confirmed:
        _confirmed(figure, x(c.trial.cost[metric]), y, 100 * c.mean, 100 * (c.spread or 0.0))
    return figure


def hypervolume(run: Run, width: float) -> Figure:
    """The share of the box between the bounds that the front covers, after each training."""
    figure, moments = Figure(width, 150), run.history
    x = Scale(0, moments[-1].ended, figure.left, figure.right)
    y = Scale(0, max(m.hypervolume for m in moments) * 1.08 or 1.0, figure.bottom, figure.top)
    figure.axes(x, y, "Trainings that ended", "Hypervolume", lambda v: f"{v:,.0f}" if v == int(v) else "", lambda v: f"{v:g}")
    points = [(x(0), y(0))]
    for m in moments:
        points += [(x(m.ended), points[-1][1]), (x(m.ended), y(m.hypervolume))]
    figure.area([*points, (points[-1][0], y(0))], COLOURS[2], 0.15)
    figure.line(points, COLOURS[2], 1.2)
    return figure


def operators(run: Run, width: float) -> Figure:
    """The share of the searched layers that each operator fills, stage by stage, over the networks of the front."""
    line = run.front()
    used = paints(c.operator for t in line for c in t.architecture.layers.values())
    names = [n for n in used if any(c.operator == n for t in line for c in t.architecture.layers.values())]
    figure = Figure(width, 160, [("square", COLOURS[used[n].index], f"{used[n].letters} {n}") for n in names])
    y, found = Scale(0, 100, figure.bottom, figure.top), shares(line, names)
    figure.axes(None, y, "Stage", "Searched layers (%)", lambda v: "", lambda v: f"{v:g}")
    step = (figure.right - figure.left) / max(1, len(found))
    for i, (stage, counts) in enumerate(found):
        below, left, broad = 0.0, figure.left + i * step + step * 0.12, step * 0.76
        for name, count in zip(names, counts, strict=True):
            share = 100 * count / sum(counts)
            figure.rect(left, y(below), broad, y(below + share) - y(below), COLOURS[used[name].index])
            if share > 9:
                _label(figure, left + broad / 2, y(below + share / 2) - 2.4, used[name])
            below += share
        figure.text(left + broad / 2, figure.bottom - 10, stage, "middle", SOFT)
    return figure


def layers(run: Run, trial: Trial, width: float) -> Figure:
    """A network from input to output, in rows: the height of a layer is its FLOPs, its pale part what being dynamic costs."""
    network = layers_of(trial.architecture).layers
    rows, most = _rows(network), max((x.flops for x in network), default=1)
    used = paints(x.choice.operator for x in network)
    present = {x.choice.operator for x in network}
    entries = [("square", COLOURS[p.index], f"{p.letters} {p.name}") for p in used.values() if p.name in present]
    said = f"trial {trial.number}: {percent(run.accuracy(trial))}, {quantity('flops', trial.cost['flops'])}"
    figure = Figure(width, 18 + ROW * len(rows), [*entries, ("line", SOFT, "residual block"), ("bar", "#ffffff", said)], left=6)
    step = (width - 12) / max(len(row) for row in rows)
    for i, row in enumerate(rows):
        _layers(figure, strip(row, most), step, 40.0 + ROW * (len(rows) - 1 - i))
    return figure


def _rows(network: Sequence[Layer]) -> list[list[Layer]]:
    """The layers in rows of about equal length that no block is cut by, so that the words below them fit."""
    count = math.ceil(len(network) / IN_A_ROW)
    starts = [i for i, x in enumerate(network) if i == 0 or x.slot.block != network[i - 1].slot.block]
    cuts = sorted({min(starts, key=lambda s: abs(s - k * len(network) / count)) for k in range(count)})
    return [list(network[a:b]) for a, b in zip(cuts, [*cuts[1:], len(network)], strict=True)]


def _layers(figure: Figure, drawing: Strip, step: float, floor: float) -> None:
    """One row of layers on a floor."""
    scale = step / (drawing.bars[0].width + GAP)
    size = min(SIZE, 0.42 * step)
    for bar in drawing.bars:
        x, broad, colour = 6 + (bar.x - LEFT) * scale, bar.width * scale, COLOURS[bar.paint.index]
        figure.rect(x, floor, broad, bar.height * 0.78, colour)
        if bar.dynamic > 0.4:
            figure.rect(x, floor, broad, bar.dynamic * 0.78, colour, 0.4)
        figure.rect(x, floor - 5, broad, 3.5, colour)
        if bar.stage:
            figure.text(x, floor + 79, bar.stage.replace("stage", "s").replace("classifier", "fc"), size=size)
            figure.line([(x - 1, floor - 36), (x - 1, floor + 84)], GRID, 0.4)
        figure.text(x + broad / 2, floor - 17, bar.paint.letters, "middle", size=size, bold=True)
        for i, note in enumerate(bar.notes):
            figure.text(x + broad / 2, floor - 24 - 7 * i, note, "middle", SOFT, size * 0.9)
    for arc in drawing.arcs:
        a, b = 6 + (arc.x1 - LEFT) * scale + 1, 6 + (arc.x2 - LEFT) * scale - 1
        figure.line([(a, floor - 6), (a, floor - 8.5), (b, floor - 8.5), (b, floor - 6)], SOFT, 0.6)


def _written(path: Path, figure: Figure, title: str) -> list[Path]:
    pdf, svg = path.with_suffix(".pdf"), path.with_suffix(".svg")
    canvas = Canvas(str(pdf), (figure.drawing.width, figure.drawing.height), initialFontName=FONT, initialFontSize=SIZE)
    canvas.setTitle(title)
    with _only_embedded():
        renderPDF.draw(figure.drawing, canvas, 0, 0)
    canvas.save()
    text = renderSVG.drawToString(figure.drawing)
    for name, css in FAMILIES.items():
        text = text.replace(f"font-family: {name};", css)
    svg.write_text(text, encoding="utf-8")
    return [pdf, svg]


@contextmanager
def _only_embedded() -> Iterator[None]:
    """Keeps reportlab from naming Helvetica, which a PDF does not hold, before the first words of a drawing."""
    before = STATE_DEFAULTS["fontName"]
    STATE_DEFAULTS["fontName"] = FONT
    try:
        yield
    finally:
        STATE_DEFAULTS["fontName"] = before


def _paints(trials: Sequence[Trial]) -> dict[str, Paint]:
    """Paint of each operator that most layers of some trial are, static first."""
    used = {mostly(t) for t in trials}
    return {name: paint for name, paint in paints(used).items() if name in used}


def _front_legend(run: Run, used: dict[str, Paint], bounded: bool) -> list[Entry]:
    names = [(p.marker, COLOURS[p.index], "all static" if p.name == "static" else f"mostly {p.name}") for p in used.values()]
    more = [("line", INK, "front"), *([("dash", BUDGET, "budget")] if bounded else [])]
    seeds = max((len(c.accuracies) for c in run.confirmed), default=0)
    return [*names, *more, *([("bar", INK, f"mean ± std on {seeds} fresh seeds")] if seeds else [])]


def _steps(figure: Figure, points: Sequence[tuple[float, float]], end: float) -> None:
    """What accuracy can be had for at most this cost, up to the budget."""
    path: list[tuple[float, float]] = []
    for x, y in points:
        if path and y <= path[-1][1]:
            continue  # with three objectives the front of two of them is part of it
        path += [(x, path[-1][1]), (x, y)] if path else [(x, y)]
    figure.line([*path, (max(end, path[-1][0]), path[-1][1])], INK, 0.9)


def _confirmed(figure: Figure, x: float, y: Scale, mean: float, spread: float) -> None:
    """A mean over fresh seeds, with its standard deviation."""
    figure.line([(x, y(mean - spread)), (x, y(mean + spread))], INK, 0.6)
    figure.line([(x - 3.5, y(mean)), (x + 3.5, y(mean))], INK, 1.4)


def _label(figure: Figure, x: float, y: float, paint: Paint) -> None:
    """Letters on a bar, on a white ground that every colour can carry."""
    wide = 4.6 * len(paint.letters) + 3
    figure.rect(x - wide / 2, y - 2.2, wide, 9, "#ffffff")
    figure.text(x, y, paint.letters, "middle", bold=True)


def _percents(values: Sequence[float], figure: Figure) -> Scale:
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 1.0
    return Scale(low - pad, high + pad, figure.bottom, figure.top)


def _percent(trial: Trial) -> float:
    return 100 * trial.score.accuracy if trial.score else 0.0


def _cost_name(metric: str) -> str:
    return "FLOPs (multiply-adds)" if metric == "flops" else metric_name(metric)


def _plain(metric: str, value: float) -> str:
    """A value of an axis: its number and prefix, without the metric's own word."""
    return quantity(metric, value).replace("FLOPs", "").replace("params", "").strip()
