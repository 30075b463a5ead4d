"""The figure of one network: its layers from input to output, and what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dcdnas.core.architecture import Architecture
from dcdnas.errors import UsageError
from dcdnas.pages.figures._canvas import new_axes
from dcdnas.pages.figures._words import SOFT, legend_above, pale, short, unit_of
from dcdnas.pages.layers import layers_of
from dcdnas.pages.palette import COLOURS
from dcdnas.pages.strip import strip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dcdnas.cost import Layer

PALE = 0.4
"""Share of its colour that the part of a bar keeps which being dynamic costs."""


def plot_layers(architecture: Architecture, ax: Axes | None = None) -> Axes:
    """Multiply-adds of each layer as a bar, its pale part what being dynamic costs; residual blocks are bracketed.

    Args:
        architecture: of the network.
        ax: to draw on; that of a new figure when None. The layers stand at 0, 1, 2 and so on.

    Raises:
        UsageError: when the network's layers cannot be shown, as where its operator is not installed.
        MissingPackageError: for a new figure, without matplotlib.
    """
    layers = shown_layers(architecture)
    ax = new_axes(max(6.0, 1.0 + 0.19 * len(layers)), 3.8) if ax is None else ax
    draw_layers(ax, layers, max(layer.flops for layer in layers))
    legend_above(ax)
    return ax


def shown_layers(architecture: Architecture) -> tuple[Layer, ...]:
    """The layers of a network.

    Raises:
        UsageError: when they cannot be shown.
    """
    network = layers_of(architecture)
    if network.problem:
        raise UsageError(network.problem)
    return network.layers


def draw_layers(ax: Axes, layers: Sequence[Layer], most: int) -> None:
    """Draws layers, without a legend.

    Args:
        ax: to draw on.
        layers: all of a network, or some in a row that no block is cut by.
        most: multiply-adds of the highest bar.
    """
    size, unit = unit_of("flops", most)
    bars = strip(layers).bars
    for paint in dict.fromkeys(bar.paint for bar in bars):
        mine = [i for i, bar in enumerate(bars) if bar.paint == paint]
        dynamic, whole = [layers[i].dynamic_flops / size for i in mine], [layers[i].flops / size for i in mine]
        fixed, colour = [a - b for a, b in zip(whole, dynamic, strict=True)], COLOURS[paint.index]
        ax.bar(mine, fixed, width=0.84, bottom=dynamic, color=colour, linewidth=0, label=f"{paint.letters} {paint.name}")
        ax.bar(mine, dynamic, width=0.84, color=pale(colour, PALE), linewidth=0)
    for i, bar in enumerate(bars):
        if bar.stage:
            ax.axvline(i - 0.5, color=pale(SOFT, 0.4), linewidth=0.4, zorder=0.5)
            ax.text(
                i - 0.35,
                0.99,
                short(bar.stage),
                rotation=90,
                ha="left",
                va="top",
                size="small",
                transform=ax.get_xaxis_transform(),
            )
    _brackets(ax, layers)
    if any(layer.dynamic_flops for layer in layers):
        ax.fill_between([], [], color=pale(SOFT, PALE), linewidth=0, label="pale: for being dynamic")
    ax.set_xticks(range(len(bars)), [" ".join([bar.paint.letters, *bar.notes]) for bar in bars], rotation=90)
    ax.tick_params(axis="x", length=0, pad=6)
    ax.set_xlim(-0.6, len(bars) - 0.4)
    ax.set_ylim(0, 1.32 * most / size)
    ax.set_xlabel("Layers from input to output")
    ax.set_ylabel(f"FLOPs{unit}")


def _brackets(ax: Axes, layers: Sequence[Layer]) -> None:
    """One below each block that adds its input to its output."""
    blocks = [layer.slot.block for layer in layers]
    label = "residual block"
    for i, layer in enumerate(layers):
        if layer.residual:
            left, right = blocks.index(layer.slot.block) - 0.35, i + 0.35
            ax.plot(
                [left, left, right, right], [-0.012, -0.03, -0.03, -0.012], color=SOFT, linewidth=0.8, clip_on=False,
                transform=ax.get_xaxis_transform(), label=label,
            )  # fmt: skip
            label = "_"
