"""`dcdnas import`: converts a published checkpoint to a config and weights of dcdnas."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from dcdnas.cli._options import Assignments
from dcdnas.cli._output import Output

__all__ = ["import_checkpoint"]

PANEL = "Networks"


def import_checkpoint(
    out: Output,
    source: Annotated[
        str, typer.Argument(metavar="PRESET", help="Name of a published network, see `dcdnas list presets`.", show_default=False)
    ],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Checkpoint of that network, .pth or .safetensors.", show_default=False)
    ],
    assignments: Assignments = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to; by default named like the preset.")
    ] = None,
) -> None:
    """Convert a published checkpoint to a config and weights, for evaluate, train, export and `dcdnas.load`.

    The file is read without running any code in it. Give the settings that the checkpoint was trained with by --set; everything
    that does not fit is listed. What an earlier export of another network left in the folder is removed.

    Example:  dcdnas import odconv/od_resnet18 od_resnet18.pth --set n=4 -o od18
    """
    from dcdnas.api import load_published
    from dcdnas.cli._source import preset_settings
    from dcdnas.core.units import costs
    from dcdnas.cost import price
    from dcdnas.data import shown
    from dcdnas.errors import RunError
    from dcdnas.export import WEIGHTS, Model, Normalisation, save_weights, write_config
    from dcdnas.export.files import whole
    from dcdnas.export.outdated import outdated
    from dcdnas.published import IMAGENET
    from dcdnas.training.folder import EPOCHS, LAST, trainings_in

    folder = output or Path(source.replace("/", "-"))
    trained = trainings_in(folder) or [name for name in (EPOCHS, LAST) if (folder / name).exists()]
    if trained:
        raise RunError(
            f"{folder} contains a training ({', '.join(trained)}), whose config and weights would be overwritten. Name another "
            "folder with -o."
        )
    settings = preset_settings(assignments or [])
    network = load_published(source, file, **settings)
    architecture = network.architecture
    provenance = {"published": source, "settings": settings, "checkpoint": shown(file.name)}
    model = Model(architecture, provenance, Normalisation(*IMAGENET))
    earlier: list[str] = []
    with whole(folder, earlier) as made:
        write_config(model, made / "config.yaml")
        said = save_weights(network, made / WEIGHTS, model.metadata()).said
        earlier += outdated(model, made / WEIGHTS, folder, ["config"])
    config, weights = folder / "config.yaml", folder / WEIGHTS
    out.document({"name": source, "digest": architecture.digest, "cost": price(architecture).values, "folder": str(folder)})
    out.show(f"{source}: {costs(price(architecture))}")
    out.show(f"{config}: builds the same network", f"{weights}: {said}")
    out.show(f"Next       dcdnas evaluate {shlex.quote(str(folder))} -d folder:/data/imagenet")
    given = f"{shlex.quote(str(config))} --to onnx --weights {shlex.quote(str(weights))}"
    out.show(f"           dcdnas export {given} -o DIR")
