"""The command line: a file a verb, found because it is there.

A verb is a module ``dcdnas/cli/NAME.py`` (``import_.py`` for ``import``). The first name of its ``__all__`` is a function, or a
mapping from sub-verbs to functions (``space show``). A function takes an `Output` first and Typer's annotated parameters after
it; its docstring is the help. A module constant ``PANEL`` may name the group of `dcdnas --help` it belongs to, one of
`PANELS`. Heavy packages (torch, ray, fvcore, optuna, pandas) are imported inside the function, so that help is instant.

Every verb also gets ``--json``, ``-q``, ``-v`` and ``--no-color``; errors of `dcdnas.errors` become a line on stderr and their
exit code.
"""

from dcdnas.cli._app import PANELS, main
from dcdnas.cli._output import Output

__all__ = ["PANELS", "Output", "main"]
