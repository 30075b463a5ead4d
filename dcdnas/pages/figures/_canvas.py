"""New figures and their files: the one place that imports matplotlib, without pyplot, so that nothing of it is left open."""

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
"""What files for print look like, beside matplotlib's defaults. Fonts are embedded as TrueType (42), as publishers ask;
an SVG keeps its words as text, and the salt makes the same figure the same file."""


def needs_matplotlib() -> None:
    """Raises MissingPackageError when matplotlib is not installed."""
    need("figures", "A figure", "matplotlib")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; lengths in inches.

    Raises:
        MissingPackageError: without matplotlib.
    """
    needs_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def new_axes(width: float, height: float) -> Axes:
    """The only axes of a new figure, which a notebook shows when they are the last value of a cell; lengths in inches.

    Raises:
        MissingPackageError: without matplotlib.
    """
    return new_figure(width, height).add_subplot(axes_class=_shown())


@cache
def _shown() -> type[Axes]:
    from matplotlib.axes import Axes

    class ShownAxes(Axes):
        """Axes that a notebook shows, without a figure that pyplot would have to know and close."""

        def _repr_png_(self) -> bytes:
            file = BytesIO()
            figure_of(self).savefig(file, format="png", dpi=144)
            return file.getvalue()

    return ShownAxes


def figure_of(ax: Axes) -> Figure:
    """The whole figure that axes belong to."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


@contextmanager
def print_style() -> Iterator[None]:
    """Inside, new figures look as in print, whatever the user's own settings are; afterwards those hold again."""
    from matplotlib import style

    with style.context(["default", PRINT]):
        yield


def save(figure: Figure, path: Path, title: str) -> list[Path]:
    """Writes a figure as PDF and as SVG at its own size.

    Args:
        figure: made in `print_style`, which must still hold.
        path: without an ending.
        title: in the files' metadata.
    """
    pdf, svg = path.with_suffix(".pdf"), path.with_suffix(".svg")
    figure.savefig(pdf, metadata={"Title": title, "CreationDate": None})
    figure.savefig(svg, metadata={"Title": title, "Date": None})
    return [pdf, svg]
