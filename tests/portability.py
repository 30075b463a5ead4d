"""Checks that operators and networks give the same outputs after being exported, compiled, copied or distributed.

Each property is a function of a module in eval mode and the shape (C, H, W) of its input; it returns the largest relative errors
at batch 1 and 8, or raises. `benchmarks/portability.py` prints all of them as the table of docs/portability.md.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent / "operators"))

from contract import make, place, randomise, refusal

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.networks import build_network, networks, slots_of
from dcdnas.operators import Operator, operators

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++"))), reason="torch.compile needs a C++ compiler"
)

BATCHES = (1, 8)
ALLOWED: Mapping[str, float] = {"copy": 0.0, "pickle": 0.0, "bf16": 0.1}
"""Property -> allowed relative error; `EXACT` for all other properties."""
EXACT = 1e-4

Errors = tuple[float, float]
Shape = tuple[int, int, int]

VARIANTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in operators},
    "dcd code": ("dcd", {"variant": "code"}),
    "dcd tensor": ("dcd", {"kernel_form": "tensor"}),
    "odconv n=4": ("odconv", {"num_kernels": 4}),
    "ddf add": ("ddf", {"kernel_combine": "add"}),
}
"""Name of each variant -> its operator and settings: every operator of the folder with its defaults, and some others."""

GEOMETRIES = {
    "3x3": place(8, 8, 3, 2),
    "1x1": place(8, 24, 1),
    "depthwise": place(8, 8, 3, groups=8),
}


def operator_cases() -> dict[str, tuple[str, str]]:
    """Each variant at each of the geometries that it supports, by names such as ``odconv n=4 at 3x3``."""
    found = {}
    for variant, (name, settings) in VARIANTS.items():
        for where, geometry in GEOMETRIES.items():
            if refusal(operators[name], geometry, **settings) is None:
                found[f"{variant} at {where}"] = (variant, where)
    return found


def operator_at(variant: str, where: str) -> tuple[Operator, Shape]:
    """An operator with random parameters in eval mode, and the shape of its input."""
    name, settings = VARIANTS[variant]
    geometry = GEOMETRIES[where]
    operator = make(operators[name], geometry, **settings).float()
    operator.anneal(0.5)
    return operator, (geometry.in_channels, geometry.height, geometry.width)


SMALL: Mapping[str, dict[str, Any]] = {
    "mobilenetv2": {"expansion": (1, 3), "stem_stride": 1, "head_channels": 24, "activation": ("relu6", "dyshiftmax")},
    "mobilenetv3": {"expansion": (1, 3), "stem_stride": 1, "head_channels": 24, "embedding": 16, "dropout": 0.0},
    "nas-bench-macro": {"block": "ir-5x5-t6", "head_channels": 24, "se": 0.25},
    "resnet": {"stem": "small", "se": 0.25, "activation": ("dyrelu", "relu")},
    "shufflenetv2": {"stem": "small", "head_channels": 24},
}
"""Settings of the small network of each backbone."""

INPUT: Shape = (3, 12, 12)


def network_of(network: str, *variants: str) -> nn.Module:
    """A small network with random parameters in eval mode; its slots cycle through the variants that fit."""
    settings = {"channels": (8, 16), "depth": (1, 2), "strides": (1, 2), "stem_channels": 8, **SMALL[network]}
    bare = Architecture(network, networks[network].complete(settings), {}, INPUT, 5)
    layers: dict[str, LayerChoice] = {}
    for slot in slots_of(bare):
        turn = len(layers) % len(variants)
        for variant in (*variants[turn:], *variants[:turn]) if slot.kind == "conv" else ():
            name, chosen = VARIANTS[variant]
            if refusal(operators[name], slot.geometry, **chosen) is None:
                resolved = operators[name].resolve(slot.geometry, **chosen)
                layers[slot.name] = LayerChoice(name, resolved, operators[name].counted_form(slot.geometry, resolved))
                break
    assert layers, f"{variants} fit nowhere"
    torch.manual_seed(0)
    built = build_network(Architecture(network, bare.settings, layers, INPUT, 5))
    return awake(built)


def awake(network: Any) -> nn.Module:
    """Gives a network random parameters and statistics, so that every branch affects the output; in eval mode."""
    network.anneal(0.5)
    return randomise(network).eval()  # type: ignore[no-any-return]


def images(shape: Shape, batch: int, seed: int = 1) -> Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(seed))


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest expected value."""
    assert found.shape == expected.shape, f"{tuple(found.shape)} instead of {tuple(expected.shape)}"
    assert found.isfinite().all(), "not finite"
    scale = expected.abs().max().clamp_min(1e-12)
    return float(((found.float() - expected.float()).abs().max() / scale).item())


def at_batches(run: Callable[[Tensor], Tensor], module: nn.Module, shape: Shape) -> Errors:
    """Errors of `run` against the module at each of the batch sizes."""
    with torch.no_grad():
        found = [difference(run(x), module(x)) for x in (images(shape, batch) for batch in BATCHES)]
    return found[0], found[1]


def to_export(module: nn.Module) -> nn.Module:
    """A copy whose operators execute their portable forms."""
    copied = copy.deepcopy(module)
    for part in copied.modules():
        if isinstance(part, Operator):
            part.portable = True
    return copied


def deployed(module: Any) -> nn.Module:
    """A deployed copy of a network or operator, in which everything that depends only on parameters is precomputed."""
    if not isinstance(module, Operator):
        return module.deploy()  # type: ignore[no-any-return]
    copied = copy.deepcopy(module)
    copied.deploy()
    return copied


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses the exporters' logs, warnings and prints within the block."""
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def traced(module: nn.Module, shape: Shape) -> Any:
    """The module's deployed copy as an exported program for any batch size."""
    dynamic = ({0: torch.export.Dim("batch", min=1)},)
    return torch.export.export(to_export(deployed(module)), (images(shape, 2),), dynamic_shapes=dynamic)


def pt2(module: nn.Module, shape: Shape) -> Errors:
    """Exports for any batch size, writes the program, and reads it again."""
    file = io.BytesIO()
    with quiet():
        torch.export.save(traced(module, shape), file)
        file.seek(0)
        again = torch.export.load(file).module()
        return at_batches(again, module, shape)


def onnx(module: nn.Module, shape: Shape) -> Errors:
    """Exports to ONNX for any batch size, and runs the model in onnxruntime."""
    import onnxruntime

    file = io.BytesIO()
    with quiet():
        model = torch.onnx.export(traced(module, shape), (), dynamo=True, verbose=False, external_data=False)
        assert model is not None
        model.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return at_batches(lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]), module, shape)


def compiled(module: nn.Module, shape: Shape, backend: str = "inductor") -> Errors:
    """Compiles without graph breaks: one program for all batch sizes from 2 on, and one for a single image."""
    torch._dynamo.reset()
    with quiet():
        program = torch.compile(copy.deepcopy(module), fullgraph=True, dynamic=True, backend=backend)
        with torch.no_grad():
            x = images(shape, 5)
            torch._dynamo.mark_dynamic(x, 0)  # raises if the program is for this batch size only
            program(x)
        return at_batches(program, module, shape)


def compiled_training(module: nn.Module, shape: Shape, backend: str = "inductor") -> Errors:
    """Compiles a training step, and compares outputs and gradients."""
    torch._dynamo.reset()
    found = []
    with quiet():
        trained = copy.deepcopy(module).train()
        program = torch.compile(trained, fullgraph=True, dynamic=True, backend=backend)
        for batch in BATCHES:
            plain, x = copy.deepcopy(trained), images(shape, batch)
            trained.zero_grad()
            plain.zero_grad()
            outputs = program(x), plain(x)
            for y in outputs:
                y.square().mean().backward()
            found.append(max(difference(*outputs), gradients_differ(gradients(trained), gradients(plain))))
    return found[0], found[1]


def gradients(module: nn.Module) -> list[Tensor]:
    missing = [name for name, p in module.named_parameters() if p.grad is None]
    assert not missing, f"no gradient for {missing}"
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


def gradients_differ(found: list[Tensor], expected: list[Tensor]) -> float:
    """Largest difference between two lists of gradients, relative to the largest expected gradient."""
    scale = max(g.abs().max().item() for g in expected)
    return max((a - b).abs().max().item() for a, b in zip(found, expected, strict=True)) / max(scale, 1e-12)


def channels_last(module: nn.Module, shape: Shape) -> Errors:
    """Runs with weights and images in channels-last layout (NHWC)."""
    last = copy.deepcopy(module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return at_batches(lambda x: last(x.to(memory_format=torch.channels_last)), module, shape)


def bf16(module: nn.Module, shape: Shape) -> Errors:
    """Runs under bfloat16 autocast: outputs in eval mode are close to float32, gradients in training are finite."""
    trained = copy.deepcopy(module).train()
    with torch.autocast("cpu", torch.bfloat16):
        trained(images(shape, 8)).float().square().mean().backward()
        assert all(g.isfinite().all() for g in gradients(trained)), "a gradient is not finite"

        def run(x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return module(x).float()  # type: ignore[no-any-return]

    return at_batches(run, module, shape)


def copied(module: nn.Module, shape: Shape) -> Errors:
    """Copies with `copy.deepcopy`."""
    return at_batches(copy.deepcopy(module), module, shape)


def pickled(module: nn.Module, shape: Shape) -> Errors:
    """Pickles and unpickles, which is how a module reaches other processes."""
    return at_batches(pickle.loads(pickle.dumps(module)), module, shape)


def empty(module: nn.Module, shape: Shape) -> Errors:
    """Runs an empty batch in eval and training mode: the output has the right shape, and statistics do not change."""
    one = module(images(shape, 1))
    trained = copy.deepcopy(module)
    for training in (False, True):
        y = trained.train(training)(images(shape, 0))
        assert y.shape == (0, *one.shape[1:]), tuple(y.shape)
        y.sum().backward()
    return at_batches(trained.eval(), module, shape)


PROPERTIES: Mapping[str, Callable[[nn.Module, Shape], Errors]] = {
    "pt2": pt2,
    "ONNX": onnx,
    "compile": compiled,
    "compiled training": compiled_training,
    "channels last": channels_last,
    "bf16": bf16,
    "copy": copied,
    "pickle": pickled,
    "empty batch": empty,
}
"""Name of each property -> the function that checks it. `ddp` checks the one that needs two processes, for all modules."""


def check(property: str, module: nn.Module, shape: Shape) -> None:
    """Asserts that a module has a property."""
    errors = PROPERTIES[property](module, shape)
    assert max(errors) <= ALLOWED.get(property, EXACT), f"{property}: {errors}"


def ddp(cases: Mapping[str, Callable[[], tuple[nn.Module, Shape]]], folder: Path) -> dict[str, Errors | str]:
    """Compares the gradients of two DDP processes (gloo), with half of a batch each, with those of one process.

    The first error is with fixed BatchNorm statistics, where the gradients must be those of the whole batch. The second is in
    training mode, where each process has its own statistics, and the gradients must be the mean over both halves. A text in place
    of errors is the exception that was raised.

    Args:
        cases: importable functions that make the modules.
        folder: folder for the files of the processes.
    """
    torch.multiprocessing.spawn(_ddp_process, (dict(cases), folder), nprocs=2)  # type: ignore[no-untyped-call]
    found = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    return {name: next((e for e in errors if isinstance(e, str)), None) or _larger(errors) for name, errors in _beside(found)}


def _beside(found: list[dict[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    yield from ((name, [of_rank[name] for of_rank in found]) for name in found[0])


def _larger(errors: list[Any]) -> Errors:
    return max(e[0] for e in errors), max(e[1] for e in errors)


def _ddp_process(rank: int, cases: Mapping[str, Callable[[], tuple[nn.Module, Shape]]], folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    found: dict[str, Any] = {}
    for name, case in cases.items():
        try:
            found[name] = [_ddp_error(*case(), rank, training) for training in (False, True)]
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    (folder / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def _ddp_error(module: nn.Module, shape: Shape, rank: int, training: bool) -> float:
    for part in module.modules():
        part.training = training or not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in part.modules())
    x = images(shape, 8)
    halves = [x[:4], x[4:]] if training else [x]
    alone = [_one_process(module, part) for part in halves]
    expected = [sum(of_parts) / len(halves) for of_parts in zip(*alone, strict=True)]
    parallel = nn.parallel.DistributedDataParallel(module)
    worst = 0.0
    for step in range(2):  # a parameter without a gradient is noticed in the second step
        parallel.zero_grad()
        parallel(x[4 * rank : 4 * rank + 4]).square().mean().backward()
        if step == 0:
            worst = gradients_differ(gradients(module), expected)  # type: ignore[arg-type]
    return worst


def _one_process(module: nn.Module, x: Tensor) -> list[Tensor]:
    alone = copy.deepcopy(module)
    alone(x).square().mean().backward()
    return gradients(alone)
