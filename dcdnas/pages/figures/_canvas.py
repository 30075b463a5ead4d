"""Creates figures and writes their files. The only module that imports matplotlib, without pyplot, so no figure stays open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcdnas.core.extras import need

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PRINT: dict[str, Any] = {
    "font.size": 7, "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Bitstream Vera Sans", "Verdana", "sans-serif"],
    "axes.labelsize": 7, "xtick.labelsize": 6.5, "ytick.labelsize": 6.5, "legend.fontsize": 6.5,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": "#d9dce0", "grid.linewidth": 0.4,
    "pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "dcdnas",
}  # fmt: skip
"""Settings for print, on top of matplotlib's defaults. Fonts are embedded as TrueType (42), as publishers require; an SVG
keeps its words as text, and the fixed salt makes the same figure give the same file."""


def needs_matplotlib() -> None:
    """Raises MissingPackageError when matplotlib is not installed."""
    need("figures", "A figure", "matplotlib")


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure; lengths in inches.

    Raises:
        MissingPackageError: without matplotlib.
    """
    needs_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def new_axes(width: float, height: float) -> Axes:
    """Returns the axes of a new figure, which a notebook shows when they are the last value of a cell; lengths in inches.

    Raises:
        MissingPackageError: without matplotlib.
    """
    return new_figure(width, height).add_subplot(axes_class=_shown())


@cache
def _shown() -> type[Axes]:
    from matplotlib.axes import Axes

    class ShownAxes(Axes):
        """Axes that a notebook shows by themselves, without a figure that is registered with pyplot and has to be closed."""

        def _repr_png_(self) -> bytes:
            file = BytesIO()
            figure_of(self).savefig(file, format="png", dpi=144)
            return file.getvalue()

    return ShownAxes


def figure_of(ax: Axes) -> Figure:
    """The top-level figure that contains the axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


@contextmanager
def print_style() -> Iterator[None]:
    """Applies the print style to figures made in the context, whatever the user's settings are, and restores those afterwards."""
    from matplotlib import style

    with style.context(["default", PRINT]):
        yield


def save(figure: Figure, path: Path, title: str) -> list[Path]:
    """Writes a figure as PDF and as SVG at its own size and returns both paths.

    Args:
        figure: made in the context of `print_style`, which must still be active.
        path: without a suffix.
        title: for the metadata of the files.
    """
    pdf, svg = path.with_suffix(".pdf"), path.with_suffix(".svg")
    figure.savefig(pdf, metadata={"Title": title, "CreationDate": None})
    figure.savefig(svg, metadata={"Title": title, "Date": None})
    return [pdf, svg]
