"""The readers that the fuzzer tests: the valid files from which it starts, how each is called, and the modules it covers."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import json
import lzma
import shutil
import struct
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_mutations import Change, Step, changed_bytes, changed_memory, changed_values

sys.path.insert(0, str(Path(__file__).parents[1]))


TEXTS, BINARIES = 100_000, 5_000
"""Number of files to try with a reader of text and with a reader of binary files."""


@dataclass(frozen=True)
class Target:
    """A reader that the fuzzer tests.

    Args:
        seeds: returns the contents of valid files, from which the others are made.
        read: reads a file; any exception other than a `DcdnasError` is a fault.
        name: name of the file that it is given.
        modules: modules whose line coverage is measured.
        wanted: number of files to try.
        change: makes a changed file from the content of a valid one.
    """

    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[Path], object]
    name: str
    modules: tuple[str, ...]
    wanted: int = TEXTS
    change: Change = changed_values

    def put(self, folder: Path, seed: int, steps: Sequence[Step]) -> Path:
        """Writes one changed file; returns its path."""
        seeds = kept(self.seeds)
        path = folder / self.name
        path.write_bytes(self.change(seeds[seed % len(seeds)], steps))
        return path

    def files(self) -> list[str]:
        """Paths of the modules, as a traceback names them."""
        return [str(importlib.import_module(f"dcdnas.{name}").__file__) for name in self.modules]


@cache
def kept(seeds: Callable[[], Sequence[bytes]]) -> Sequence[bytes]:
    """The valid files of a target, made once."""
    return seeds()


class MemoryTarget(Target):
    """A reader of complete runs, which get a changed database."""

    def put(self, folder: Path, seed: int, steps: Sequence[Step]) -> Path:
        """Copies a run and changes its database; returns its folder."""
        run = folder / "run"
        if not run.exists():
            _run(run)
            shutil.copy(run / "run.db", folder / "fine.db")
        shutil.copy(folder / "fine.db", run / "run.db")
        changed_memory(run / "run.db", steps)
        return run


def _run(folder: Path) -> None:
    from written_runs import trial, write_run

    rows = [trial(n, 0.3 + 0.05 * n, 20.0 + 3 * n) for n in range(8)]
    images = {"classes": ["a", "b"], "shape": [1, 8, 8], "validation": 9}
    write_run(folder, rows, [(5, 1, 0.6), (5, 2, 0.62), (7, 1, None)], images=images)


def _yaml(*paths: Path) -> list[bytes]:
    from dcdnas.core.yaml_lines import read_yaml

    return [json.dumps(read_yaml(path).data).encode() for path in paths]


def _spaces() -> list[bytes]:
    """Shipped spaces, reduced to few stages and to two options for one or two settings, so that reading is much faster."""

    def small(value: Any, most: int) -> Any:
        if isinstance(value, dict):
            return {name: small(one, 2 if name == "fit" else most) for name, one in value.items()}
        return value[:most] if isinstance(value, list) else value

    shipped = [path for path in _shipped("search_spaces") if path.stem in SMALL]
    plain = [json.loads(content) for content in _yaml(*shipped)]
    for one in plain:
        one["settings"] = {name: small(value, 2 if name in SEVERAL else 1) for name, value in one["settings"].items()}
    return [json.dumps(one).encode() for one in plain]


def _shipped(folder: str) -> list[Path]:
    import dcdnas

    return sorted((Path(str(dcdnas.__file__)).parent / folder).glob("*.yaml"))


def _architectures() -> list[bytes]:
    from written_runs import trial

    from dcdnas.networks import networks

    plain = [trial(1, 0.5, 30.0).architecture.to_dict()]
    for name in networks:
        settings = {k: _listed(v) for k, v in networks[name].complete({}).items()}
        plain.append({**plain[0], "network": name, "settings": settings, "layers": {}, "input": [3, 32, 32]})
    pretrained = {"mean": [0.5], "std": [0.5]}
    plain.append({"architecture": "x", "label_names": ["a"] * 10, "pretrained_cfg": pretrained, "dcdnas": plain[0]})
    return [json.dumps(one).encode() for one in plain]


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple) else value


def _read_model(path: Path) -> object:
    from dcdnas.core.architecture import is_config
    from dcdnas.core.yaml_lines import read_yaml
    from dcdnas.export import read_model
    from dcdnas.networks import slots_of

    is_config(read_yaml(path).data)
    return slots_of(read_model(path).architecture)


def _read_space(path: Path) -> object:
    from dcdnas.space.reading.reader import read_space

    return read_space(path)


def _budgets() -> list[bytes]:
    return [b"2MFLOPs", b"250-300MFLOPs;params<=5e6", b"5Mparams", b"2ms", b"flops<=1e6", b"weights<=1.5MiB"]


def _read_budgets(path: Path) -> object:
    from dcdnas.core.budget import parse_budgets
    from dcdnas.cost import notations

    return parse_budgets(path.read_bytes().decode("utf-8", "replace").split(";"), notations())


def _searches() -> list[bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        _run(Path(folder) / "run")
        return _yaml(Path(folder) / "run" / "search.yaml")


def _read_search(path: Path) -> object:
    from dcdnas.engine.config import SearchConfig
    from dcdnas.results import reading

    problems: list[str] = []
    reading._config(path, problems, outline=True)
    return SearchConfig.read(path)


def _latencies() -> list[bytes]:
    from dcdnas.core.architecture import LayerChoice
    from dcdnas.core.geometry import ConvGeometry
    from dcdnas.core.slot import Slot
    from dcdnas.cost.latency.device import Device
    from dcdnas.cost.latency.file import table_text
    from dcdnas.cost.latency.fit import Correction
    from dcdnas.cost.latency.timing import Timing

    conv = Slot("a", ConvGeometry(8, 8, 3, height=8, width=8), activation="relu")
    slots = [conv, Slot("b", ConvGeometry(8, 10), kind="linear")]
    choices = [LayerChoice("odconv", {"num_kernels": 2}), LayerChoice()]
    rows = [((slot, choice), Timing(10.0, 1.0)) for slot, choice in zip(slots, choices, strict=True)]
    return [table_text(Device("cpu: x"), rows, Correction()).encode()]


def _read_latencies(path: Path) -> object:
    from dcdnas.cost.latency.file import read_table

    return read_table(path)


def _notes() -> list[bytes]:
    said = {str(n): {"starred": bool(n % 2), "text": f"note {n}"} for n in range(4)}
    return [json.dumps({"format": "dcdnas/notes-1", "trials": said}).encode()]


def _read_notes(path: Path) -> object:
    from dcdnas.results import read_notes

    return read_notes(path.parent)


def _drivers() -> list[bytes]:
    return [json.dumps({"pid": 2, "born": "1", "host": host, "beat": 1.7e9, "token": "a"}).encode() for host in ("h", _host())]


def _host() -> str:
    import socket

    return socket.gethostname()


def _read_driver(path: Path) -> object:
    from dcdnas.core.lock import live_driver

    return live_driver(path.parent)


def _settings() -> list[bytes]:
    given = {
        "trials": 20, "budget": ["2MFLOPs"], "data": "fashion-mini", "epochs": 3, "sampler": "tpe", "seed": 1,
        "early_stopping": True, "lr": 0.1,
    }  # fmt: skip
    return [json.dumps(given).encode()]


def _read_settings(path: Path) -> object:
    from dcdnas.engine.planning.settings import SearchSettings

    return SearchSettings.gather({}, file=path, project=False)


def _read_recipe(path: Path) -> object:
    from dcdnas.training.recipe import read_recipe

    return read_recipe(str(path))


def _benchmarks() -> list[bytes]:
    return [json.dumps({"00000000": {"test_acc": [80.0, 81.0]}, "12000120": {"test_acc": [90.0]}}).encode()]


def _read_benchmark(path: Path) -> object:
    from dcdnas.tables.nas_bench_macro import NasBenchMacro

    return len(NasBenchMacro(path))


def _npz() -> list[bytes]:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (4, 8, 8), dtype=np.uint8), np.array([0, 1, 0, 1])
    both = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    colour = rng.integers(0, 255, (4, 3, 8, 8), dtype=np.uint8)
    masks = {"train_images": colour, "train_masks": images % 2, "classes": np.array(["a", "b"])}
    found = []
    for save, arrays in ((np.savez, both), (np.savez_compressed, both), (np.savez_compressed, masks)):
        file = io.BytesIO()
        save(file, **arrays)
        found.append(file.getvalue())
    return found


def _read_npz(path: Path) -> object:
    from dcdnas.data.npz import npz_contents, read_npz

    npz_contents(path)
    return read_npz(path, "train")


def _idx() -> list[bytes]:
    images, labels = struct.pack(">4I", 0x803, 4, 8, 8) + bytes(range(256)), struct.pack(">2I", 0x801, 4) + bytes(4)
    return [images, labels, gzip.compress(images), gzip.compress(labels)]


def _read_idx(path: Path) -> object:
    from dcdnas.data.fashion_mnist import read_idx

    packed = path.with_name("images.gz")
    packed.write_bytes(path.read_bytes())
    begin = packed if path.read_bytes()[:2] == b"\x1f\x8b" else path
    return read_idx(begin, 3 if path.stat().st_size > 60 else 1)


RECORD = 1 + 3 * 32 * 32


def _cifar() -> list[bytes]:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name in (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin", "batches.meta.txt"):
            content = bytes(2 * RECORD) if name.endswith(".bin") else b"\n".join(b"class%d" % n for n in range(10))
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    content = plain.getvalue()
    return [gzip.compress(content), bz2.compress(content), lzma.compress(content), content]


def _read_cifar(path: Path) -> object:
    from dcdnas.data.cifar10 import Cifar10

    class Small(Cifar10):
        IMAGES = {"train": 2, "test": 2}

    return Small(str(path)).read("train")


def _pictures() -> list[bytes]:
    from PIL import Image

    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 255, (9, 7, 3), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 60000, (9, 7), dtype=np.uint16))
    kinds: Mapping[str, Sequence[Image.Image]] = {
        "PNG": [colour, colour.convert("P"), colour.convert("RGBA"), deep],
        "JPEG": [colour, colour.convert("L"), colour.convert("CMYK")],
        "BMP": [colour], "GIF": [colour], "PPM": [colour], "WEBP": [colour],
        "TIFF": [colour, Image.fromarray(rng.random((9, 7), dtype=np.float32))],
    }  # fmt: skip
    found = []
    for kind, pictures in kinds.items():
        for picture in pictures:
            file = io.BytesIO()
            picture.save(file, kind)
            found.append(file.getvalue())
    return found


def _read_picture(path: Path) -> object:
    from dcdnas.data._picture import decode, facts, side_of

    picture = (str(path), path)
    side_of(picture)
    return decode(picture, 8, facts(picture).depth)


def _parquet() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = _pictures()[0]
    said = {"info": {"features": {"label": {"names": ["a", "b"]}}}}
    table = pa.table({"image": pa.array([{"bytes": content, "path": None}] * 4), "label": pa.array([0, 1, 0, 1], pa.int64())})
    found = []
    for compression in ("none", "snappy", "gzip"):
        file = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(said)}), file, compression=compression)
        found.append(file.getvalue())
    return found


def _read_parquet(path: Path) -> object:
    from dcdnas.data import parquet

    table = parquet._table([path])
    return [content for _, content in table.pictures(np.arange(len(table.labels))[:4])]


def _checkpoints() -> list[bytes]:
    import torch
    from safetensors.torch import save

    state = {"conv.weight": torch.arange(12.0).reshape(3, 4), "epoch": torch.tensor(3)}
    found = [save(state)]
    for content, old in ((state, False), ({"state_dict": state, "epoch": 3}, False), (state, True)):
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=not old)
        found.append(file.getvalue())
    return found


def _read_checkpoint(path: Path) -> object:
    from dcdnas.published._state import read_state, unwrapped

    return unwrapped(read_state(path))


def _weights() -> list[bytes]:
    import torch
    from safetensors.torch import save

    from dcdnas.core.weights_metadata import weights_metadata

    said = weights_metadata((3, 8, 8), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), ("a", "b"), 4095.0, "bilinear")
    return [save({"conv.weight": torch.arange(12.0).reshape(3, 4)}, head) for head in ({"format": "pt"}, {"format": "pt"} | said)]


def _read_weights(path: Path) -> object:
    from dcdnas.export.metadata import metadata_of
    from dcdnas.training.weights import read_metadata, read_weights

    return read_weights(path), metadata_of(path, read_metadata(path))


def _read_run(folder: Path) -> object:
    from dcdnas.cli.status import document
    from dcdnas.dashboard.live_run import LiveRun
    from dcdnas.dashboard.runs import read_line
    from dcdnas.pages import payload
    from dcdnas.results import load_run

    read_line(folder)
    run = load_run(folder)
    live = LiveRun(folder)
    return document(run), run.rows, json.dumps(payload.payload(live)), payload.facts(live), live.curves()


READING = "space.reading"

SMALL = ("fashion-quick", "fashion-fit", "nas-bench-macro", "segmentation-quick")
"""Shipped spaces that together use all kinds of keys."""

SEVERAL = ("channels", "strides", "block", "depth", "upsampling")
"""Settings that keep two entries in the reduced spaces."""

TARGETS: dict[str, Target] = {
    "space": Target(
        _spaces, _read_space, "space.yaml",
        (f"{READING}.reader", f"{READING}.settings", f"{READING}.slots", f"{READING}.schema", "core.yaml_lines"),
    ),
    "config": Target(_architectures, _read_model, "config.yaml", ("core.architecture", "export.config", "core.yaml_lines")),
    "budget": Target(_budgets, _read_budgets, "budget.txt", ("core.budget", "core.units"), change=changed_bytes),
    "search": Target(_searches, _read_search, "search.yaml", ("engine.config", "results.reading")),
    "settings": Target(_settings, _read_settings, "dcdnas.yaml", ("engine.planning.settings",)),
    "recipe": Target(lambda: _yaml(*_shipped("training/recipes")), _read_recipe, "recipe.yaml", ("training.recipe",)),
    "latency": Target(_latencies, _read_latencies, "table.json", ("cost.latency.file", "cost.latency.row", "core.json_files")),
    "notes": Target(_notes, _read_notes, "notes.json", ("results.notes", "core.json_files")),
    "driver": Target(_drivers, _read_driver, "driver.json", ("core.lock",)),
    "benchmark": Target(_benchmarks, _read_benchmark, "table.json", ("tables.nas_bench_macro",)),
    "npz": Target(_npz, _read_npz, "data.npz", ("data.npz",), BINARIES, changed_bytes),
    "idx": Target(_idx, _read_idx, "images", ("data.fashion_mnist",), BINARIES, changed_bytes),
    "cifar": Target(_cifar, _read_cifar, "cifar.tar.gz", ("data._cifar",), BINARIES, changed_bytes),
    "picture": Target(_pictures, _read_picture, "picture", ("data._picture",), BINARIES, changed_bytes),
    "parquet": Target(_parquet, _read_parquet, "train.parquet", ("data.parquet",), BINARIES, changed_bytes),
    "checkpoint": Target(_checkpoints, _read_checkpoint, "state.pth", ("published._state",), BINARIES, changed_bytes),
    "weights": Target(_weights, _read_weights, "w.safetensors", ("training.weights", "export.metadata"), BINARIES, changed_bytes),
    "run": MemoryTarget(list, _read_run, "run", ("engine.store", "engine._rows", "engine._facts", "results.reading"), BINARIES),
}  # fmt: skip
"""Every reader of files that may come from other people or programs, by name."""
