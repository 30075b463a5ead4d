"""Writes a run's figures as files for a paper: PDF with embedded fonts and SVG, at the widths of one and of two columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dcdnas.core.files import make_folder
from dcdnas.core.trial import Trial
from dcdnas.core.units import quantity
from dcdnas.errors import UsageError
from dcdnas.pages.figures._canvas import figure_of, needs_matplotlib, new_axes, new_figure, print_style, save
from dcdnas.pages.figures._network import draw_layers, shown_layers
from dcdnas.pages.figures._run import plot_front, plot_hypervolume, plot_operators
from dcdnas.pages.figures._words import legend_above
from dcdnas.results.verdict import evidence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dcdnas.cost import Layer
    from dcdnas.results import Run

WIDTHS = {1: 246 / 72, 2: 510 / 72}
"""Widths of one column and of two, in inches: 87 and 180 mm."""

DRAWN = {"front": (plot_front, 2.7), "hypervolume": (plot_hypervolume, 2.0), "operators": (plot_operators, 2.3)}
"""The figures of a run by file name: function that plots it, and height in inches."""

BESIDE, LAYER, ROW = 0.65, 0.118, 2.0
"""Sizes in the figure of a network, in inches: margin beside the bars, width of a layer with its label, height of a row."""


def write_figures(run: Run, folder: Path) -> list[Path]:
    """Writes front, hypervolume, operators and the layers of the best network, for one column and for two.

    Raises:
        UsageError: when the run has no front yet, or a file cannot be written.
        MissingPackageError: without matplotlib.
    """
    needs_matplotlib()
    best = run.best
    if best is None:
        raise UsageError(
            f"{run.name} has no finished trial within its budget, so it has no figures. Continue: `dcdnas resume {run.called}`."
        )
    written = []
    make_folder(folder)
    try:
        with print_style():
            for columns, width in WIDTHS.items():
                for name, (draw, height) in DRAWN.items():
                    figure = figure_of(draw(run, new_axes(width, height)))
                    written += save(figure, folder / f"{name}-{columns}", f"{run.name}: {name}")
                written += save(_best(run, best, width), folder / f"best-{columns}", f"{run.name}: trial {best.number}")
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"{folder}: cannot be written to: {why}. Give a folder that you may write to.") from None
    return written


def _best(run: Run, trial: Trial, width: float) -> Figure:
    """Figure of a network in as many rows as are needed to fit the labels below its layers."""
    layers = shown_layers(trial.architecture)
    rows = in_rows(layers, math.floor((width - BESIDE) / LAYER))
    figure = new_figure(width, ROW * len(rows) + 0.3)
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for ax, row in zip(axes, rows, strict=True):
        draw_layers(ax, row, max(layer.flops for layer in layers))
        ax.set_xlim(-0.6, max(map(len, rows)) - 0.4)
        ax.set_xlabel("")
    cost = quantity("flops", trial.cost["flops"])
    said = f"{run.objective.said(run.value(trial))}, {evidence(run, trial)}, {cost}"
    axes[-1].set_xlabel(f"Layers of trial {trial.number} from input to output\n({said})")
    legend_above(*axes)
    return figure


def in_rows(layers: Sequence[Layer], most: int) -> list[list[Layer]]:
    """Splits the layers into rows of similar length, cutting only between blocks; at most `most` layers each where possible."""
    count = math.ceil(len(layers) / most)
    starts = [i for i, x in enumerate(layers) if i == 0 or x.slot.block != layers[i - 1].slot.block]
    cuts = sorted({min(starts, key=lambda s: abs(s - k * len(layers) / count)) for k in range(count)})
    return [list(layers[a:b]) for a, b in zip(cuts, [*cuts[1:], len(layers)], strict=True)]
