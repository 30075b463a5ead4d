"""The command line: one file per verb; a verb is found because its file exists.

A verb is a module ``dcdnas/cli/NAME.py`` (``import_.py`` for ``import``). The first name in its ``__all__`` is a function, or a
mapping from sub-verbs to functions (``space show``). The function takes an `Output` first and Typer's annotated parameters after
it; its docstring is the help text. A module constant ``PANEL`` may name the verb's group in `dcdnas --help`, one of `PANELS`.
Heavy packages (torch, ray, fvcore, optuna, pandas) are imported inside the function, so that help appears instantly.

Every verb also gets ``--json``, ``-q``, ``-v`` and ``--no-color``; errors of `dcdnas.errors` become one line on stderr and
the exit code of the error.
"""

from dcdnas.cli._app import PANELS, main
from dcdnas.cli._output import Output

__all__ = ["PANELS", "Output", "main"]
