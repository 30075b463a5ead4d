"""Every operator leaves Python: torch.export, ONNX and torch.compile with a batch of any size, and data-parallel training."""

from __future__ import annotations

import copy
import io
import tempfile
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from contract import image, make, place, refusal
from torch.nn.parallel import DistributedDataParallel

from dcdnas.operators import Operator, operators

GEOMETRIES = (place(8, 8, 3, 2), place(8, 12, 1), place(8, 8, 3, groups=8))

PLACES = [
    pytest.param(name, g, form, id=f"{name}-{g}-{form}".replace(" ", "-"))
    for name in operators
    for g in GEOMETRIES
    if refusal(operators[name], g) is None
    for form in operators[name].forms(g, operators[name].resolve(g))
]
each_form = pytest.mark.parametrize(("name", "geometry", "form"), PLACES)
each_operator = pytest.mark.parametrize("name", sorted(operators))

BATCH = ({0: torch.export.Dim.DYNAMIC},)


def portable(name, geometry, form) -> Operator:
    operator = make(operators[name], geometry).float()
    operator.form, operator.portable = form, True
    return operator


def assert_equal_at_batch_1_and_8(run, operator, geometry) -> None:
    for batch in (1, 8):
        x = image(geometry, batch, torch.float32, seed=batch)
        expected = operator(x)
        torch.testing.assert_close(run(x), expected, rtol=0, atol=1e-5 * max(1.0, expected.abs().max().item()))


def assert_exports(operator, geometry) -> None:
    program = torch.export.export(operator, (image(geometry, 2, torch.float32),), dynamic_shapes=BATCH)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    assert_equal_at_batch_1_and_8(torch.export.load(file).module(), operator, geometry)


@each_operator
def test_an_exported_program_takes_a_batch_of_any_size(name):
    geometry = next(g for g in GEOMETRIES if refusal(operators[name], g) is None)
    form = operators[name].counted_form(geometry, operators[name].resolve(geometry))
    assert_exports(portable(name, geometry, form), geometry)


@pytest.mark.slow
@each_form
def test_every_form_exports_at_every_kind_of_place(name, geometry, form):
    assert_exports(portable(name, geometry, form), geometry)


@pytest.mark.slow
@each_form
def test_an_onnx_graph_takes_a_batch_of_any_size(name, geometry, form, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    operator, path = portable(name, geometry, form), tmp_path / "operator.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = image(geometry, 2, torch.float32)
        options = {"dynamo": True, "external_data": False, "verbose": False, "input_names": ["x"]}
        torch.onnx.export(operator, (x,), str(path), dynamic_shapes=BATCH, **options)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert_equal_at_batch_1_and_8(lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), operator, geometry)


@pytest.mark.slow
@each_operator
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_it_is_one_graph_to_a_compiler_in_training_and_in_eval(name):
    geometry = next(g for g in GEOMETRIES if refusal(operators[name], g) is None)
    for training in (True, False):
        torch._dynamo.reset()
        operator = make(operators[name], geometry).float().train(training)
        compiled = torch.compile(copy.deepcopy(operator), backend="eager", fullgraph=True)
        for batch in (2, 5):
            x = image(geometry, batch, torch.float32)
            torch._dynamo.mark_dynamic(x, 0)
            torch.testing.assert_close(compiled(x), operator(x), rtol=0, atol=1e-4)


def _train_in_parallel(rank: int, folder: str, names: list[str]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    gradients = {}
    for name in names:
        geometry = next(g for g in GEOMETRIES if refusal(operators[name], g) is None)
        parallel = DistributedDataParallel(make(operators[name], geometry).train(), broadcast_buffers=False)
        parallel(image(geometry, 4)[2 * rank : 2 * rank + 2]).square().sum().backward()
        gradients[name] = {n: p.grad for n, p in parallel.module.named_parameters()}
    torch.save(gradients, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_as_one():
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_train_in_parallel, (folder, sorted(operators)), nprocs=2)
        first, second = (torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name in operators:
        geometry = next(g for g in GEOMETRIES if refusal(operators[name], g) is None)
        alone = make(operators[name], geometry).train()
        sum(alone(part).square().sum() for part in image(geometry, 4).split(2)).backward()
        for parameter, value in alone.named_parameters():
            assert torch.equal(first[name][parameter], second[name][parameter]), f"{name} {parameter}"
            torch.testing.assert_close(first[name][parameter], value.grad / 2, rtol=1e-9, atol=1e-11)
