"""`dcdnas attention`: how dynamic each layer of a trained network is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcdnas.cli._options import Source
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from rich.table import Table

    from dcdnas.cli._source import Source as Found
    from dcdnas.core.dynamics import Dynamics, Spread
    from dcdnas.core.task import TrainingTask
    from dcdnas.data import Images
    from dcdnas.networks import Network

__all__ = ["attention"]

PANEL = "Networks"


def attention(
    out: Output,
    source: Source,
    trial: Annotated[
        str, typer.Option("--trial", "-t", metavar="N|best|knee", help="Which of a run; the best when left out.")
    ] = "",
    data: Annotated[
        str, typer.Option("-d", "--data", metavar="DATA", help="Images to look at; those of the run when left out.")
    ] = "",
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="Trained weights; left out, a trial is trained again.")
    ] = None,
    images: Annotated[int, typer.Option(metavar="N", min=2, help="Validation images to look at.")] = 512,
) -> None:
    """Measure how far the attentions of each layer, and with them its output, depend on the image.

    The weights are those beside a config, those of --weights, or, for a run's trial, those of the same training as in the search,
    which is done again. What is found about a run's trial is kept in the run, and shown on its page.

    Example:  dcdnas attention quick --trial best
    """
    from dcdnas.analysis.attention import dynamics
    from dcdnas.cli._source import open_source
    from dcdnas.results.attention import Attentions, write_attentions
    from dcdnas.training.loop import evaluate

    found = open_source(source, trial)[0]
    network, judged_on, said = trained(out, found, data, weights or found.weights)
    looked_at = first(judged_on, images)
    layers = dynamics(network, looked_at)
    accuracy = evaluate(network, judged_on)[0]
    result = Attentions(judged_on.name, len(looked_at), said, accuracy, tuple(layers))
    out.document({"name": found.name, **asdict(result)})
    out.show(f"{found.name}: {said}; {100 * accuracy:.1f} % of {len(judged_on):,} validation images right")
    out.show(layers_table(layers) if layers else "All layers are static.")
    if found.run and found.trial:
        path = write_attentions(found.run.folder, found.trial.number, result)
        out.note(f"Kept in {path}; the trial's page shows it.")


def trained(out: Output, found: Found, data: str, weights: Path | None) -> tuple[Network, Images, str]:
    """The network with trained weights, the validation images, and where the weights come from.

    Raises:
        UsageError: when there are no weights and no training to do again.
    """
    from dcdnas.cli.train import read_images
    from dcdnas.core.task import TrainingTask
    from dcdnas.data import split
    from dcdnas.errors import UsageError
    from dcdnas.export import load_weights
    from dcdnas.networks import build_network
    from dcdnas.training.full import VALIDATION, fitted

    task = task_of(found)
    if weights is not None:
        images = TrainingTask(data=data) if data else task
        if images is None:
            raise UsageError(f"{found.name} does not say which images it is for. Name some with -d, like -d fashion-mini.")
        part = split(read_images(out, found, images), VALIDATION)
        network = build_network(fitted(found.architecture, part.train))
        load_weights(network, weights)
        return network.eval(), part.validation, f"weights of {weights}"
    if task is None or found.trial is None or found.trial.score is None:
        what = f"trial {found.trial.number} was not trained" if found.trial else f"there are no weights beside {found.path}"
        raise UsageError(f"{found.name}: {what}. Give weights with --weights, as `dcdnas train` writes them.")
    if data and data != task.data:
        raise UsageError(f"-d {data}: the search trained on {task.data}. Leave -d out, or give weights with --weights.")
    return train_again(out, found, task)


def task_of(found: Found) -> TrainingTask | None:
    """The training of a run's trial; None for what no run has trained."""
    from dcdnas.engine.config import SearchConfig

    if not (found.run and found.trial):
        return None
    config = SearchConfig.read(found.run.folder / "search.yaml")
    return replace(config.task, seed=found.trial.seed, deadline=0.0)


def train_again(out: Output, found: Found, task: TrainingTask) -> tuple[Network, Images, str]:
    """The same training as in the search: same seed, images and recipe, so on a CPU the same weights."""
    from dcdnas.cli.train import best_device
    from dcdnas.core.trial import EpochResult
    from dcdnas.engine.job import Job
    from dcdnas.engine.proxy_training import ProxyTraining, images_of

    assert found.trial is not None
    recorded = found.trial.score
    out.note(f"Training trial {found.trial.number} again as in the search: {task.epochs} epochs on {task.data}")

    def told(report: EpochResult) -> bool:
        out.note(f"epoch {report.epoch}/{task.epochs}: {100 * report.accuracy:.1f} %")
        return recorded is None or report.epoch < recorded.epochs

    network, score = ProxyTraining(best_device()).trained(Job(found.trial.number, found.architecture, task, confirm=True), told)
    same = recorded is not None and abs(score.accuracy - recorded.accuracy) < 1e-9
    agrees = "to the same accuracy" if same else f"where the search reached {100 * recorded.accuracy:.1f} %" if recorded else ""
    return network.to("cpu"), images_of(task).validation, f"trained again as in the search, seed {task.seed}, {agrees}"


def first(images: Images, count: int) -> Images:
    """The first images of a part, at most `count`."""
    import torch

    return images.take(torch.arange(min(count, len(images)), device=images.rows.device))


def layers_table(layers: Sequence[Dynamics]) -> Table:
    """One row an attention; what belongs to the layer stands in its first row."""
    from dcdnas.cli._tables import table
    from dcdnas.core.units import percent

    made = table("Layer", "Operator", ">Dynamic share", "Attention", ">Elements", ">Mean", ">Spread", ">Entropy", title="")
    for layer in layers:
        for i, a in enumerate(layer.attentions):
            head = ("", "", "") if i else (layer.layer, layer.operator, percent(layer.share))
            made.add_row(*head, a.name, f"{a.elements:,}", f"{a.mean:.3g}", percent(a.relative), entropy(a))
    made.caption = (
        "Dynamic share: variance of what changes in a layer's output when its attentions are held at their means, of the output. "
        "Spread: an attention's deviation over images, of its mean. Entropy of kernels: 1 is an even mixture, 0 a single kernel."
    )
    made.caption_justify = "left"
    return made


def entropy(a: Spread) -> str:
    """Empty for what weighs no kernels."""
    return "" if a.entropy is None else f"{a.entropy:.3f}"
