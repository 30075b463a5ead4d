"""Builds the command-line application: discovers verbs, adds the common flags and turns errors into exit codes."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from dcdnas.cli._output import Output, accept_every_character
from dcdnas.core.catalogue import Catalogue
from dcdnas.core.leaving import leave
from dcdnas.errors import DcdnasError, UsageError

Verb = Callable[..., None] | Mapping[str, Callable[..., None]]

PANELS = ("Search", "Results", "Networks", "Spaces and data", "This machine")
"""Groups of the verbs in `dcdnas --help`, in order."""

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C terminated immediately."""

_FOLDER: Catalogue[Verb] = Catalogue("cli", "command", listed="")

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout; everything else goes to stderr.", rich_help_panel="Output")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.", rich_help_panel="Output")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print more details, and tracebacks of errors.", rich_help_panel="Output")
]
Plain = Annotated[bool, typer.Option("--no-color", help="Print without colours.", rich_help_panel="Output")]

Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="Python file that adds an operator, network, metric, sampler, ... of your own; repeatable.",
    ),
]

_Misused: type[Exception] = typer.BadParameter.__mro__[1]
"""The exception that Typer raises for a command line that it cannot parse."""

COMMON = {"as_json": Json, "quiet": Quiet, "verbose": Verbose, "no_color": Plain}
"""Flags that every verb has."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    accept_every_character()
    try:
        code = typer.main.get_command(make_app(words)).main(words, prog_name="dcdnas", standalone_mode=False)
    except _Misused as error:
        code = _refused(error, words)
    except typer.Abort:
        code = INTERRUPTED
    leave(code if isinstance(code, int) else 0)


def _refused(error: Any, words: Sequence[str]) -> int:
    """Prints what is wrong with a command line, in the style of all other errors, and returns the exit code."""
    said = " ".join(error.format_message().replace("Value error, ", "").split())
    if said:  # empty for a command without arguments, whose help has been printed already
        verb = next((word for word in words[:1] if word in verbs()), "")
        command, end = error.ctx.command_path if error.ctx else f"dcdnas {verb}".rstrip(), "" if said[-1] in ".?" else "."
        Output(no_color="--no-color" in words).error(
            UsageError(f"{said[0].lower()}{said[1:]}{end} `{command} -h` says what is allowed.")
        )
    return int(error.exit_code)


def verbs() -> dict[str, str]:
    """Maps the name of each verb to its module."""
    return {name.rstrip("-"): f"dcdnas.cli.{name.replace('-', '_')}" for name in _FOLDER}


def make_app(words: Sequence[str]) -> typer.Typer:
    """Builds the application for these arguments: with the verb that is the first argument, else with all verbs."""
    settings = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(
        context_settings=settings, rich_markup_mode="rich", pretty_exceptions_enable=False, no_args_is_help=True, help=_ABOUT
    )
    app.callback()(_root)
    known = verbs()
    modules = {name: importlib.import_module(known[name]) for name in ([words[0]] if words and words[0] in known else known)}
    for name in sorted(modules, key=lambda n: (_panel(modules[n]), n)):
        _register(app, name, modules[name], settings)
    return app


_ABOUT = "Search for efficient CNNs made of dynamic convolutions, within a budget of FLOPs, parameters, memory or latency."


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dcdnas {version('dcdnas')}")
        raise typer.Exit


def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Search for efficient CNNs made of dynamic convolutions, within a budget of FLOPs, parameters, memory or latency."""


def _panel(module: Any) -> int:
    return PANELS.index(getattr(module, "PANEL", PANELS[1]))


def _register(app: typer.Typer, name: str, module: Any, settings: dict[str, Any]) -> None:
    """Adds a verb, or a verb with sub-verbs, to the application."""
    entry: Verb = getattr(module, module.__all__[0])
    panel = PANELS[_panel(module)]
    if callable(entry):
        app.command(name, context_settings=settings, rich_help_panel=panel)(_with_output(entry))
        return
    inner = typer.Typer(context_settings=settings, rich_markup_mode="rich", no_args_is_help=True)
    for sub, function in entry.items():
        inner.command(sub, context_settings=settings)(_with_output(function))
    app.add_typer(inner, name=name, help=(module.__doc__ or "").split("\n\n")[0], rich_help_panel=panel)


def _with_output(function: Callable[..., None]) -> Callable[..., None]:
    """Wraps a verb's function: the common flags replace its `Output` parameter, which is made from them."""
    signature = inspect.signature(function, eval_str=True)
    _, *own = signature.parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    common = [inspect.Parameter(n, keyword, default=False, annotation=a) for n, a in COMMON.items()]

    @wraps(function)
    def run(**arguments: Any) -> None:
        flags = {name: arguments.pop(name) for name in COMMON}
        output = Output(**flags)
        plugins = arguments.pop("plugin") or ()

        def work() -> None:
            _load_plugins(plugins)
            function(output, **arguments)

        code = _guarded(work, output)
        if code:
            raise typer.Exit(code)

    run.__doc__ = flowing(inspect.getdoc(function) or "")
    plugin = inspect.Parameter("plugin", keyword, default=None, annotation=Plugins)
    parameters = [p.replace(kind=keyword) for p in own] + [plugin, *common]
    run.__dict__.pop("__wrapped__")
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return run


def _load_plugins(files: Sequence[Path]) -> None:
    if files:
        from dcdnas.core.plugins import load_plugin

        for file in files:
            load_plugin(file)


def flowing(text: str) -> str:
    """Joins the lines of each paragraph of a docstring, so that the terminal wraps them; examples keep their line breaks."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(p if p.startswith("Example") else " ".join(p.split()) for p in paragraphs)


def _guarded(work: Callable[[], None], output: Output) -> int:
    """Runs the work and returns the exit code; prints an error if it fails."""
    try:
        work()
        sys.stdout.flush()
    except DcdnasError as error:
        output.error(error)
        return error.exit_code
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # the reader of our output has closed the pipe; the interpreter must not complain when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        failed = DcdnasError(
            f"{where}{error.strerror or error}. Is the disk full or read-only? --verbose says where it happened."
        )
        failed.__cause__ = error
        output.error(failed)
        return DcdnasError.exit_code
    except KeyboardInterrupt:
        output.warn("Interrupted.")
        return INTERRUPTED
    return 0
