"""What the FLOP counter counts, against closed forms and torch's own counter."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from counting import SHAPE, count, executed
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import UncountedOperation
from dcdnas.cost.flops import count_flops
from dcdnas.operators._product import counting, product

SMALL = st.integers(1, 6)


@given(
    st.builds(
        ConvGeometry,
        in_channels=st.sampled_from([4, 8]),
        out_channels=st.sampled_from([4, 12]),
        kernel_size=st.sampled_from([1, 3, 5]),
        stride=st.integers(1, 3),
        groups=st.sampled_from([1, 2, 4]),
        dilation=st.integers(1, 2),
        height=st.integers(1, 9),
        width=st.integers(1, 9),
    ),
    st.booleans(),
)
def test_a_convolution_is_one_a_weight_and_output_pixel(g: ConvGeometry, bias: bool) -> None:
    conv = nn.Conv2d(g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, g.dilation, g.groups, bias)
    shape = (g.in_channels, g.height, g.width)
    assert count_flops(conv, shape) == conv.weight.numel() * g.out_pixels == executed(conv, shape)


@given(c=st.sampled_from([2, 4]), groups=st.sampled_from([1, 2]), stride=st.integers(1, 2), k=st.integers(1, 4), size=SMALL)
def test_a_transposed_convolution_is_one_a_weight_and_input_pixel(c: int, groups: int, stride: int, k: int, size: int) -> None:
    conv = nn.ConvTranspose2d(c, 2 * c, k, stride, groups=groups)
    assert count_flops(conv, (c, size, size)) == conv.weight.numel() * size**2


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_a_convolution_with_its_padding_as_a_word_counts_the_same(kernel: int) -> None:
    conv = nn.Conv2d(4, 6, kernel, padding="same", groups=2)
    assert count_flops(conv, SHAPE) == conv.weight.numel() * 36


@pytest.mark.parametrize(("conv", "shape"), [(nn.Conv1d(4, 6, 3), (4, 9)), (nn.Conv3d(2, 3, 2), (2, 4, 5, 6))])
def test_convolutions_of_other_dimensions_count(conv: nn.Module, shape: tuple[int, ...]) -> None:
    assert count_flops(conv, shape) == executed(conv, shape) > 0


def test_a_convolution_of_an_image_without_batch_counts_the_same() -> None:
    assert count(lambda m, x: F.conv2d(x[0], m.weight)) == 4 * 4 * 9 * 16


@given(SMALL, SMALL, SMALL, st.booleans())
def test_a_linear_layer_is_one_a_weight_and_row(rows: int, c: int, d: int, bias: bool) -> None:
    assert count_flops(nn.Linear(c, d, bias), (rows, c)) == rows * c * d
    assert count_flops(nn.Linear(c, d, bias), (c,)) == c * d


@st.composite
def factors(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes that torch.matmul takes: vectors, matrices, and batches that broadcast either way."""
    n, k, m = draw(SMALL), draw(SMALL), draw(SMALL)
    batch = draw(st.lists(st.integers(1, 3), max_size=3))
    left = [draw(st.sampled_from([1, size])) for size in batch][draw(st.integers(0, len(batch))) :]
    right = [draw(st.sampled_from([1, size])) for size in batch][draw(st.integers(0, len(batch))) :]
    a = (k,) if draw(st.booleans()) and not left else (*left, n, k)
    b = (k,) if draw(st.booleans()) and not right else (*right, k, m)
    return a, b


@given(factors())
def test_any_matrix_product_is_one_an_element_of_the_result_and_inner_index(shapes: tuple[tuple[int, ...], ...]) -> None:
    a, b = (torch.zeros(s) for s in shapes)
    counted = count(lambda m, x: torch.matmul(a + x.sum(), b))
    assert counted == torch.matmul(a, b).numel() * a.shape[-1]
    with FlopCounterMode(display=False) as mode:
        torch.matmul(a, b)
    # torch's counter has no entry for the inner product of two vectors, and misses mv in this version
    assert mode.get_total_flops() in (2 * counted, 0)
    assert mode.get_total_flops() or 1 in (a.dim(), b.dim())


def test_the_product_that_fvcore_miscounts_counts_right() -> None:
    """fvcore's own handle reads 385."""
    assert count(lambda m, x: torch.zeros(5, 7) @ (torch.zeros(1, 4, 7, 11) + x.sum())) == 1540


@given(SMALL, SMALL, SMALL, SMALL)
def test_the_other_matrix_products_count_as_matmul(b: int, n: int, k: int, m: int) -> None:
    x, y, z = torch.zeros(b, n, k), torch.zeros(b, k, m), torch.zeros(b, n, m)
    assert count(lambda s, i: torch.bmm(x + i.sum(), y)) == b * n * k * m
    assert count(lambda s, i: torch.baddbmm(z, x + i.sum(), y)) == b * n * k * m
    assert count(lambda s, i: torch.mm(x[0] + i.sum(), y[0])) == n * k * m
    assert count(lambda s, i: torch.addmm(z[0], x[0] + i.sum(), y[0])) == n * k * m
    assert count(lambda s, i: torch.mv(x[0] + i.sum(), y[0, :, 0])) == n * k
    assert count(lambda s, i: torch.dot(x[0, 0] + i.sum(), y[0, :, 0])) == k
    assert count(lambda s, i: torch.addmv(z[0, :, 0], x[0] + i.sum(), y[0, :, 0])) == n * k


@st.composite
def einsums(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]]]:
    letters = "abcdef"
    sizes = {c: draw(st.integers(1, 4)) for c in letters}
    terms = [draw(st.lists(st.sampled_from(letters), min_size=1, max_size=4, unique=True)) for _ in range(2)]
    result = draw(st.lists(st.sampled_from(sorted({*terms[0], *terms[1]})), unique=True))
    equation = ",".join("".join(t) for t in terms) + draw(st.sampled_from(["->" + "".join(result), ""]))
    return equation, [tuple(sizes[c] for c in term) for term in terms]


@given(einsums())
def test_an_einsum_of_two_counts_what_torch_executes(case: tuple[str, list[tuple[int, ...]]]) -> None:
    equation, shapes = case
    a, b = (torch.ones(s) for s in shapes)
    with FlopCounterMode(display=False) as mode:
        torch.einsum(equation, a, b)
    total = mode.get_total_flops() // 2
    assume(total)  # without an index to sum torch multiplies elementwise, which its counter does not see
    assert count(lambda m, x: torch.einsum(equation, a + x.sum(), b)) == total


@pytest.mark.parametrize(
    ("equation", "shapes", "expected"),
    [
        ("nc,nchw->nchw", [(2, 3), (2, 3, 4, 5)], 2 * 3 * 4 * 5),
        ("nc, ncd -> nd", [(2, 3), (2, 3, 5)], 2 * 3 * 5),
        ("nk,kdc", [(2, 3), (3, 4, 5)], 2 * 3 * 4 * 5),
        ("ab,cd->ad", [(2, 3), (4, 5)], 2 * 5),
        ("nchw->nhwc", [(2, 3, 4, 5)], 0),
    ],
)
def test_an_einsum_counts_by_its_indices(equation: str, shapes: list[tuple[int, ...]], expected: int) -> None:
    first, *others = (torch.ones(s) for s in shapes)
    assert count(lambda m, x: torch.einsum(equation, first + x.sum(), *others)) == expected


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]), ("...ab,bc->...ac", [(2, 3), (3, 4)]), ("aab,b->a", [(2, 2, 3), (3,)])],
)
def test_an_einsum_whose_count_depends_on_how_it_is_run_is_refused(equation: str, shapes: list[tuple[int, ...]]) -> None:
    first, *others = (torch.ones(s) for s in shapes)
    with pytest.raises(UncountedOperation, match=r"einsum .* Allowed: two operands"):
        count(lambda m, x: torch.einsum(equation, first + x.sum(), *others))


@given(st.lists(SMALL, min_size=1, max_size=4), st.data())
def test_a_marked_product_is_one_an_element_of_the_broadcast_result(full: list[int], data: st.DataObject) -> None:
    a, b = (torch.ones([data.draw(st.sampled_from([1, n])) for n in full]) for _ in range(2))
    expected = math.prod(torch.broadcast_shapes(a.shape, b.shape))
    assert count(lambda m, x: product(a + x.sum(), b)) == expected


def test_a_marked_product_is_a_plain_one_outside_the_counter() -> None:
    a, b = torch.randn(3, 1), torch.randn(4)
    with counting():
        marked = product(a, b)
    assert torch.equal(marked, product(a, b))
    assert torch.equal(marked, a * b)


def test_unfolding_and_multiplying_matrices_counts_as_the_convolution() -> None:
    def unfolded(m: Any, x: Tensor) -> Tensor:
        return m.weight.flatten(1) @ F.unfold(x, 3, padding=1)

    assert count(unfolded) == count(lambda m, x: F.conv2d(x, m.weight, padding=1))


def test_a_layer_that_runs_twice_counts_twice() -> None:
    assert count(lambda m, x: F.conv2d(F.conv2d(x, m.weight, padding=1), m.weight, padding=1)) == 2 * 4 * 4 * 9 * 36
