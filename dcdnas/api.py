"""The Python API: runs a search, builds a network, or loads one with its weights.

The readers of runs and spaces are offered by `dcdnas` itself, from modules that import less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from dcdnas import published
from dcdnas.core.architecture import Architecture
from dcdnas.engine.beginning import begun
from dcdnas.engine.planning import make_plan
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.progress import Progress
from dcdnas.engine.run import search as _search
from dcdnas.errors import UsageError
from dcdnas.export import WEIGHTS, config_file, load_weights
from dcdnas.export.features import Features
from dcdnas.networks import Network, build_network
from dcdnas.pages.notebook_run import NotebookRun, load_run
from dcdnas.pages.run_files import write_results

__all__ = ["build", "load", "load_published", "search"]


Source = Architecture | str | Path


def search(
    space: str | Path | None = None,
    budget: str | Sequence[str] = (),
    observe: Callable[[Progress], None] = lambda _: None,
    task: object = None,
    **settings: Any,
) -> NotebookRun:
    """Searches for the best networks within a budget, as the command `dcdnas search` does.

    Args:
        space: name of a shipped space, or a space file; None selects the smallest shipped space whose cost range holds the
            budget.
        budget: one or several bounds, like ``"300MFLOPs"``.
        observe: called with the search's progress after every event.
        task: the task that networks are trained for: an object or class as `dcdnas.tasks.Task` describes, or a file with one;
            None for the task that belongs to the images.
        **settings: any other field of `dcdnas.engine.planning.settings.SearchSettings`, e.g.
            ``trials=24, data="cifar10:/data", name="first"``.

    Returns:
        The run, with its front and best network; `dcdnas.load_run` reads the same run later.

    Raises:
        UsageError: for a setting that is unknown or cannot be used.
        NothingFitsError: when no network of the space meets the budget.
        Resumable: when the search was interrupted; the same call resumes it.
    """
    named = task if task is None or isinstance(task, str | Path) else None
    flags = {**settings, "space": None if space is None else str(space), "task": None if named is None else str(named)}
    said = SearchSettings.gather({**flags, "budget": [budget] if isinstance(budget, str) else list(budget)})
    plan = begun(make_plan(said, task=None if named is task else task))
    try:
        _search(plan.folder, plan.execution, observe)
    finally:
        run = load_run(plan.folder)
        if run.ended:
            write_results(run)
    return run


@overload
def build(source: Source, features_only: Literal[False] = False) -> Network: ...
@overload
def build(source: Source, features_only: Literal[True], out_indices: Sequence[int] | None = None) -> Features: ...
def build(source: Source, features_only: bool = False, out_indices: Sequence[int] | None = None) -> Network | Features:
    """Builds the network of an architecture or of a model config file, with freshly initialised weights.

    Args:
        source: an architecture, a config file, or the folder that holds the config file.
        features_only: return the feature maps of the stages instead of logits, see `dcdnas.export.features.Features`.
        out_indices: which maps to return, counted from the finest; None for all.

    Raises:
        FileError: when the file is no model config.
        UsageError: for an index without a map.
    """
    network = build_network(source if isinstance(source, Architecture) else config_file(source))
    return Features(network, out_indices) if features_only else network


@overload
def load(source: Path | str, weights: Path | str | None = None, features_only: Literal[False] = False) -> Network: ...
@overload
def load(
    source: Path | str,
    weights: Path | str | None = None,
    *,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = None,
) -> Features: ...
def load(
    source: str | Path,
    weights: str | Path | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
) -> Network | Features:
    """Loads a trained network in eval mode, from the files that `dcdnas train` or `dcdnas export` wrote.

    Args:
        source: the folder with ``config.yaml`` and ``model.safetensors``, or a config file.
        weights: a safetensors file; None for the one beside the config.
        features_only: as for `build`.
        out_indices: as for `build`.

    Raises:
        FileError: when a file is missing, or the weights do not fit the network.
        UsageError: when there are no weights.
    """
    config = config_file(source)
    file = Path(weights) if weights is not None else config.with_name(WEIGHTS)
    network = build_network(config)
    if weights is None and not file.is_file():
        raise UsageError(
            f"{config.parent} has no {WEIGHTS}. Name the weights, or take dcdnas.build for a network with fresh ones."
        )
    load_weights(network, file)
    network.eval()
    return Features(network, out_indices) if features_only else network


def load_published(name: str, checkpoint: str | Path | Mapping[str, Any], **settings: Any) -> Network:
    """Builds a published network, in eval mode, with the weights of its published checkpoint.

    Args:
        name: name of the preset, e.g. ``"odconv/od_resnet18"``; `dcdnas list presets` shows all.
        checkpoint: a ``.pth`` or ``.safetensors`` file, read without running any code in it; or its content as a state dict.
        **settings: the settings that the checkpoint was made with, by their published names, e.g. ``n=4``.

    Raises:
        UnknownNameError: when there is no such preset.
        UsageError: for a setting that the preset does not have.
        FileError: when the file cannot be read, or when tensors do not fit; the message lists all of them.
    """
    state = checkpoint if isinstance(checkpoint, Mapping) else published.read_state(checkpoint)
    return published.load(name, state, **settings)
