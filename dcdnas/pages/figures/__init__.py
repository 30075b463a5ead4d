"""Figures of a run on matplotlib axes, which users may restyle and combine. Only `_canvas` imports matplotlib."""

from dcdnas.pages.figures._files import write_figures
from dcdnas.pages.figures._network import plot_layers
from dcdnas.pages.figures._run import plot_front, plot_hypervolume, plot_operators

__all__ = ["plot_front", "plot_hypervolume", "plot_layers", "plot_operators", "write_figures"]
