"""Opens a trained network for inference, from a folder with weights or from a single ONNX model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcdnas.core.extras import need
from dcdnas.core.files import is_file, is_folder, utf8_path
from dcdnas.errors import FileError, UsageError
from dcdnas.export.config import Normalisation, read_model
from dcdnas.export.metadata import as_trained, check_described, metadata_of
from dcdnas.export.model import load_weights
from dcdnas.export.names import CONFIGS, EXECUTORCH, ONNX, PT2, STANDALONE, WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor

    from dcdnas.data import Images

BATCH, BYTES = 512, 2**28
"""Largest number of images in a batch, and of bytes that a batch takes."""

OTHERS = (Path(WEIGHTS).suffix, Path(PT2).suffix, Path(EXECUTORCH).suffix, Path(STANDALONE).suffix, ".pt", ".pth")
"""Endings of files of a network that hold no config, and that `open_network` does not run."""


@dataclass(frozen=True)
class Opened:
    """A network that classifies images, or their pixels.

    Args:
        path: path of the file with its weights.
        runtime: runtime that computes it: ``torch`` or ``onnxruntime``.
        run: maps (N, C, H, W) normalised floats to logits (N, classes), or (N, classes, H, W), on the CPU.
        input: (C, H, W) of an image.
        classes: number of outputs for each image or pixel.
        labels: names of the classes; empty if the file does not contain them.
        normalisation: normalisation of the images; None if the file does not contain it.
        batch: fixed batch size; 0 for any.
        device: device that it runs on.
        pixels: whether it scores each pixel.
        grey_range: value that becomes 255 in grey pictures of more than 8 bits; None if the file does not contain it.
    """

    path: Path
    runtime: str
    run: Callable[[Tensor], Tensor]
    input: tuple[int, int, int]
    classes: int
    labels: tuple[str, ...]
    normalisation: Normalisation | None
    batch: int = 0
    device: str = "cpu"
    pixels: bool = False
    grey_range: float | None = None

    def logits(self, pixels: Tensor, normalisation: Normalisation | None = None) -> Tensor:
        """Computes the float64 outputs (N, classes) for uint8 images (N, C, H, W), N at least 1; (N, classes, H, W) if it
        scores pixels.

        Args:
            pixels: images of the network's own size.
            normalisation: normalisation to use if the network has none of its own.

        Raises:
            FileError: when an output is not finite.
            UsageError: when the normalisation is not known.
        """
        import torch

        from dcdnas.training.augment import normalised

        said = self.normalisation or normalisation
        if said is None:
            raise UsageError(
                f"{self.path} does not say how its images are normalised, so its predictions would be wrong. "
                "Export it again from the run or the trained folder, which record it; a network of your own task needs its code."
            )
        with torch.inference_mode():
            x = normalised(pixels, said.mean, said.std)
            found = torch.cat([self.run(x[i : i + self.most]) for i in range(0, len(x), self.most)])
        if not torch.isfinite(found).all():
            raise FileError(f"{self.path}: its outputs are not finite. Its weights are damaged, or its training diverged.")
        return found.double()

    def answers(self, images: Images) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the outputs and the labels or masks batch by batch for a part of a data set, without pictures that turn out
        damaged. The part's mean and standard deviation are used if the network has no normalisation of its own."""
        import torch

        rows = torch.arange(len(images))
        theirs, many = Normalisation(images.mean, images.std), self.most
        many = many if self.pixels else many * max(1, BATCH // many)
        for pixels, labels in images.intact(rows.split(many)):  # type: ignore[no-untyped-call]
            yield self.logits(pixels, theirs), labels

    def outputs(self, images: Images) -> tuple[Tensor, Tensor]:
        """Computes the outputs for all images of a part of a data set, with their labels or masks; see `answers`."""
        import torch

        logits, labels = zip(*self.answers(images), strict=True)
        return torch.cat(logits), torch.cat(labels)

    @property
    def most(self) -> int:
        """Number of images in a batch: the fixed batch size, else as many as `BATCH` and `BYTES` allow."""
        channels, height, width = self.input
        numbers = height * width * max(channels, self.classes * self.pixels)
        return self.batch or max(1, min(BATCH, BYTES // (4 * numbers)))


def config_file(source: str | Path) -> Path:
    """Resolves a path to a config: the file itself, the config in a folder, or that of the only seed that was trained there.

    Raises:
        FileError: when there are several seeds, naming them.
        UsageError: for an object that is no path.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(
            f"a model config cannot be {source!r:.60}. Allowed: an architecture, a config file, or the folder that holds one."
        )
    path = Path(source)
    if is_file(path) or (path.suffix and not is_folder(path)):
        return path
    here = [path / name for name in CONFIGS if is_file(path / name)]
    seeds = [] if here else sorted(path.glob(f"seed-*/{CONFIGS[0]}"))
    if len(seeds) > 1:
        raise FileError(f"{path} has {len(seeds)} trainings. Name one of them: {', '.join(str(s.parent) for s in seeds)}.")
    return [*here, *seeds, path / CONFIGS[0]][0]


def open_network(source: str | Path, weights: str | Path | None = None) -> Opened:
    """Opens a trained network.

    Args:
        source: a folder that `dcdnas train`, `import` or `export` wrote, the config in it, or an ONNX model.
        weights: a safetensors file; None for the one beside the config, or the ONNX model if there is none.

    Raises:
        FileError: when a file is missing, damaged, of another kind, or belongs to another network.
        MissingPackageError: for an ONNX model without onnxruntime.
        UsageError: for weights besides those in an ONNX model.
    """
    path = Path(source)
    if not os.path.exists(path):
        raise FileError(f"{path}: no such file or folder. Give a folder with config.yaml and {WEIGHTS}, or an ONNX model.")
    if path.suffix == ".onnx":
        if weights is not None:
            raise UsageError(f"{path} has its own weights, so --weights {weights} would have no effect. Leave it out.")
        return _onnx(path)
    if path.suffix in OTHERS and is_file(path):
        raise FileError(
            f"{path}: a {path.suffix} file cannot be used here. Give the folder that `dcdnas train` or `dcdnas export` wrote, "
            f"or its {ONNX}."
        )
    config = config_file(path)
    beside = config.with_name(WEIGHTS)
    if weights is not None or (is_file(config) and is_file(beside)):
        return _torch(config, Path(weights or beside))
    if is_file(config.with_name(ONNX)):
        return _onnx(config.with_name(ONNX))
    raise FileError(
        f"{path} has no {WEIGHTS} and no {ONNX}, so there is nothing trained in it. Name the weights with --weights, or train "
        "the network first: dcdnas train."
    )


def _torch(config: Path, weights: Path) -> Opened:
    import torch

    from dcdnas.networks import build_network
    from dcdnas.training.full import best_device
    from dcdnas.training.optimizer import Precision

    model = read_model(config)
    network = build_network(model.architecture)
    load_weights(network, weights)
    model = as_trained(model, weights, config)
    check_described(model, weights)
    device = torch.device(best_device())
    network, precision = network.eval().to(device), Precision(device)

    def run(x: Tensor) -> Tensor:
        with precision.autocast():
            found: Tensor = network(x.to(device))
        return found.float().cpu()

    a = model.architecture
    said = model.labels, model.normalisation
    return Opened(weights, "torch", run, a.input, a.classes, *said, 0, device.type, bool(a.head), model.grey_range)


def _onnx(path: Path) -> Opened:
    need("onnx", "Running an ONNX model", "onnxruntime")
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, so they need not be logged as well
    try:
        with utf8_path(path) as readable:
            session = onnxruntime.InferenceSession(readable, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _refused(path, "load", error) from None
    inputs, output = session.get_inputs(), session.get_outputs()[0]
    said = metadata_of(path, session.get_modelmeta().custom_metadata_map)
    shape = tuple(said.get("input_size") or inputs[0].shape[1:])
    sizes, whole = [*shape, *output.shape[1:]], len(output.shape) == 2
    of_images = len(inputs) == 1 and len(shape) == 3 and all(type(n) is int and n > 0 for n in sizes)
    if not of_images or not (whole or tuple(output.shape[2:]) == shape[1:]):
        raise FileError(
            f"{path}: not a classifier of images or of their pixels: it takes {[i.shape for i in inputs]} and gives "
            f"{output.shape}. Allowed: what `dcdnas export --to onnx` writes."
        )
    labels, classes = tuple(said.get("label_names", ())), output.shape[1]
    if labels and len(labels) != classes:
        raise FileError(f"{path}: it names {len(labels)} classes and has {classes} outputs. Export it again.")
    fixed = inputs[0].shape[0] if isinstance(inputs[0].shape[0], int) else 0

    def run(x: Tensor) -> Tensor:
        try:
            return torch.from_numpy(session.run(None, {inputs[0].name: x.contiguous().numpy()})[0])
        except Exception as error:
            raise _refused(path, "run", error) from None

    normalisation = Normalisation(tuple(said["mean"]), tuple(said["std"])) if "mean" in said and "std" in said else None
    more = fixed, "cpu", not whole, said.get("grey_range")
    return Opened(path, "onnxruntime", run, shape, classes, labels, normalisation, *more)


def _refused(path: Path, what: str, error: Exception) -> FileError:
    """Converts an exception of onnxruntime, which has one for each of its status codes, to an error about the file."""
    problem = " ".join(str(error).split())
    return FileError(f"{path}: onnxruntime cannot {what} it: {problem:.200}. Export it again.")
