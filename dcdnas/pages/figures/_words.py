"""Axis units, abbreviations, colours and legends of the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcdnas.core.units import axis_units
from dcdnas.pages.figures._canvas import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT, BUDGET = "#000000", "#4d545c", "#a3201b"


def unit_of(metric: str, most: float) -> tuple[float, str]:
    """Unit of an axis of a cost metric up to `most`: its divisor, and the end of the axis title, like ``, millions``."""
    known = axis_units(metric)
    return next((unit for unit in known if most >= unit[0]), known[-1])


def short(stage: str) -> str:
    """A stage's abbreviated name: ``s1``, ``fc``."""
    return stage.replace("stage", "s").replace("classifier", "fc")


def pale(colour: str, share: float) -> str:
    """Mixes a colour with white, keeping `share` of the colour; unlike transparency, every journal accepts this."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)


def legend_above(ax: Axes, *others: Axes) -> None:
    """Places one legend for everything labelled on these axes, in as few rows as fit, above the first axes."""
    found = [pair for each in (ax, *others) for pair in zip(*each.get_legend_handles_labels(), strict=True)]
    entries = {label: handle for handle, label in reversed(found)}
    labels = list(dict.fromkeys(label for _, label in found))
    figure_of(ax).draw_without_rendering()  # the axes have their final width only after the layout
    for columns in range(len(labels), 0, -1):
        legend = ax.legend(
            [entries[label] for label in labels], labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns,
            frameon=False, borderaxespad=0.3, borderpad=0.2, handlelength=1.6, handletextpad=0.5, columnspacing=1.2,
        )  # fmt: skip
        if legend.get_window_extent().width <= ax.get_window_extent().width:
            return
