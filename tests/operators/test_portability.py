"""Every operator leaves the process, is compiled and trained in parallel, and computes the same at any batch size."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from contract import make, place
from portability import (
    ALLOWED,
    EXACT,
    PROPERTIES,
    VARIANTS,
    at_batches,
    check,
    compiled,
    ddp,
    needs_compiler,
    operator_at,
    operator_cases,
)

from dcdnas.operators import operators

CASES = operator_cases()
COMPILED = ("compile", "compiled training")

each_case = pytest.mark.parametrize("case", CASES)


def test_every_operator_is_among_the_cases() -> None:
    assert {VARIANTS[variant][0] for variant, _ in CASES.values()} == set(operators)
    assert {variant for variant, _ in CASES.values()} == set(VARIANTS)


@pytest.mark.parametrize("case", ["static at 1x1", "dcd at 1x1"])
def test_an_exported_operator_computes_the_same(case: str) -> None:
    check("pt2", *operator_at(*CASES[case]))


@pytest.mark.slow
@each_case
@pytest.mark.parametrize("name", [name for name in PROPERTIES if name not in COMPILED])
def test_an_operator_has_the_property(name: str, case: str) -> None:
    if name == "ONNX":
        pytest.importorskip("onnxruntime")
    check(name, *operator_at(*CASES[case]))


@pytest.mark.slow
@each_case
@pytest.mark.parametrize("name", COMPILED)
def test_an_operator_is_traced_for_a_compiler_without_a_break(name: str, case: str) -> None:
    operator, shape = operator_at(*CASES[case])
    assert max(PROPERTIES[name](operator, shape, "aot_eager")) <= EXACT


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_operator_computes_and_learns_the_same(name: str, variant: str) -> None:
    check(name, *operator_at(variant, "3x3"))


@pytest.fixture(scope="module")
def parallel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, float] | str]:
    return ddp({case: partial(operator_at, *where) for case, where in CASES.items()}, tmp_path_factory.mktemp("ddp"))


@pytest.mark.slow
@each_case
def test_two_processes_have_the_gradients_of_one(case: str, parallel: dict[str, tuple[float, float] | str]) -> None:
    errors = parallel[case]
    assert not isinstance(errors, str), errors
    assert max(errors) <= EXACT


def test_the_checks_can_fail() -> None:
    operator, shape = operator_at("static", "3x3")
    other = make(operators["static"], place(8, 8, 3, 2), seed=1).float()
    assert max(at_batches(other, operator, shape)) > EXACT > max(ALLOWED["copy"], 0)


def test_a_program_for_one_batch_size_only_is_noticed() -> None:
    class Folded(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(5, -1)

    with pytest.raises(Exception, match="dynamic"):
        compiled(Folded(), (2, 3, 3), "eager")
