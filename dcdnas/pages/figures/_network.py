"""Figure of one network: the cost of each layer from input to output."""

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
"""Share of its colour that the pale part of a bar keeps, which shows the cost of being dynamic."""


def plot_layers(architecture: Architecture, ax: Axes | None = None) -> Axes:
    """Plots the multiply-adds of each layer as a bar, pale for the cost of being dynamic; brackets mark residual blocks.

    Args:
        architecture: of the network.
        ax: axes to draw on; those of a new figure when None. The layers are at x = 0, 1, 2 and so on.

    Raises:
        UsageError: when the network's layers cannot be shown, for example because an operator is not installed.
        MissingPackageError: when a new figure is needed and matplotlib is not installed.
    """
    layers = shown_layers(architecture)
    ax = new_axes(max(6.0, 1.0 + 0.19 * len(layers)), 3.8) if ax is None else ax
    draw_layers(ax, layers, max(layer.flops for layer in layers))
    legend_above(ax)
    return ax


def shown_layers(architecture: Architecture) -> tuple[Layer, ...]:
    """Returns the layers of a network.

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
        ax: axes to draw on.
        layers: all layers of a network, or consecutive ones that consist of whole blocks.
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
        ax.fill_between([], [], color=pale(SOFT, PALE), linewidth=0, label="pale: cost of being dynamic")
    ax.set_xticks(range(len(bars)), [" ".join([bar.paint.letters, *bar.notes]) for bar in bars], rotation=90)
    ax.tick_params(axis="x", length=0, pad=6)
    ax.set_xlim(-0.6, len(bars) - 0.4)
    ax.set_ylim(0, 1.32 * most / size)
    ax.set_xlabel("Layers from input to output")
    ax.set_ylabel(f"FLOPs{unit}")


def _brackets(ax: Axes, layers: Sequence[Layer]) -> None:
    """Draws a bracket below each block that adds its input to its output."""
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
