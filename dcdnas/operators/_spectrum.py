"""Kernels stored as two-dimensional spectra: the inverse real Fourier transform as matrix products, and groups of frequencies.

A kernel of D/g output and C/g input channels with k x k taps is a matrix with a row for each output channel and row of taps, and
a column for each input channel and column of taps. Its spectrum holds the bins of a real transform, about half of all.

Letters in shapes: R rows and M columns of the matrix, V = M // 2 + 1 columns of the spectrum, n groups of frequencies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Spectrum(nn.Module):
    """The transform between spectra (..., 2, R, V), real and imaginary parts, and matrices (..., R, M), in both directions.

    `matrix` is `torch.fft.irfft2` in its orthonormal scaling, with each bin that stands for itself and its conjugate divided by
    sqrt(2). Its Jacobian J then satisfies J J^T = 1. Thus a step of gradient descent in the spectrum moves the matrix by the step
    that gradient descent on the matrix itself would take.

    Cosines are symmetric and sines antisymmetric, in frequencies and in positions. Therefore the bins of opposite frequencies are
    first added and subtracted, half of the positions are computed, and the others follow from the same numbers.

    Args:
        rows: R.
        columns: M.
        groups: n, at most R V; the bins in order of frequency are divided into n groups whose sizes differ by at most one.
    """

    group: Tensor
    """(R V,), the group of each bin, from low to high frequencies."""

    even_rows: Tensor
    odd_rows: Tensor
    even_columns: Tensor
    odd_columns: Tensor

    def __init__(self, rows: int, columns: int, groups: int) -> None:
        super().__init__()
        self.rows, self.columns, self.groups = rows, columns, groups
        for name, values in self._constants().items():
            single = torch.tensor(values, dtype=None if name == "group" else torch.float32)
            self.register_buffer(name, single, persistent=False)

    def _constants(self) -> dict[str, NDArray[Any]]:
        down, across = waves(self.rows), waves(self.columns)
        return {
            "group": frequency_groups(self.rows, self.columns, self.groups), "even_rows": down[0], "odd_rows": down[1],
            "even_columns": across[0] * self._twice(), "odd_columns": across[1] * 2**0.5,
        }  # fmt: skip

    def _twice(self) -> NDArray[np.float64]:
        """(V,), sqrt(2) for each column whose bins stand for two conjugate frequencies, 1 for the others."""
        return np.sqrt([1.0 + (0 < 2 * v < self.columns) for v in range(self.columns // 2 + 1)])

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Computes the constants anew, because those of a narrower type are rounded."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, values in self._constants().items():
            setattr(self, name, torch.from_numpy(values).to(getattr(self, name)))
        return self

    def matrix(self, spectrum: Tensor) -> Tensor:
        """Computes the inverse transform: (..., 2, R, V) -> (..., R, M)."""
        real, imaginary = spectrum.unbind(-3)
        single, both = self.columns // 2 + 1, (self.columns - 1) // 2
        y = self.even_rows @ _sums(torch.cat([real, imaginary[..., 1 : 1 + both]], -1), self.rows)
        if self.rows > 2:
            odd = torch.cat([-imaginary, real[..., 1 : 1 + both]], -1)
            y = _both_halves(y, self.odd_rows @ _differences(odd, self.rows), -2)
        matrix = y[..., :single] @ self.even_columns.T
        return matrix if self.columns <= 2 else _both_halves(matrix, -y[..., single:] @ self.odd_columns.T, -1)

    def of(self, matrix: Tensor) -> Tensor:
        """Computes the smallest spectrum of a matrix: (..., R, M) -> (..., 2, R, V)."""
        exact = matrix if matrix.dtype == torch.float64 else matrix.float()
        found = torch.fft.rfft2(exact, norm="ortho") * self.even_columns.new_tensor(self._twice())
        return torch.stack([found.real, found.imag], -3).to(matrix.dtype)

    def each_group(self, spectrum: Tensor) -> Tensor:
        """Computes the matrices of the n groups, whose sum is that of the spectrum: (..., 2, R, V) -> (n, ..., R, M)."""
        chosen = self.group == torch.arange(self.groups, device=self.group.device)[:, None]
        shape = (self.groups, *[1] * (spectrum.dim() - 2), *spectrum.shape[-2:])
        return self.matrix(spectrum * chosen.view(shape))

    @staticmethod
    def multiply_adds(rows: int, columns: int) -> int:
        """Multiply-adds of `matrix` for one spectrum: about R M (R + M) / 2."""
        return _halved(rows) * columns + rows * _halved(columns)


def bins(rows: int, columns: int) -> int:
    """The number of bins of a spectrum, R V."""
    return rows * (columns // 2 + 1)


def waves(length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The cosines and sines of one axis of length L, by position and frequency, divided by sqrt(L).

    Positions and frequencies are 0 to L // 2 for the cosines, and those of them that differ from their opposites for the sines.
    """
    whole = np.arange(length // 2 + 1)
    phases = 2 * np.pi * (np.outer(whole, whole) % length) / length
    inner = slice(1, 1 + (length - 1) // 2)
    return np.cos(phases) / length**0.5, np.sin(phases)[inner, inner] / length**0.5


def frequency_groups(rows: int, columns: int, groups: int) -> NDArray[np.int64]:
    """The group of each bin (R V,), if the bins are sorted by their frequency and then divided as evenly as possible.

    Frequencies are compared as whole numbers, (u M)^2 + (v R)^2 for bin (u, v), so that equal ones stay in order everywhere.
    """
    u, v = np.arange(rows), np.arange(columns // 2 + 1)
    keys = (np.minimum(u, rows - u)[:, None] * columns) ** 2 + (v * rows) ** 2
    found = np.empty(keys.size, np.int64)
    found[np.argsort(keys, axis=None, kind="stable")] = np.arange(keys.size) * groups // keys.size
    return found


def _halved(length: int) -> int:
    """Multiply-adds of a transform along an axis, for one vector: those of the cosines and of the sines."""
    return (length // 2 + 1) ** 2 + ((length - 1) // 2) ** 2


def _sums(x: Tensor, rows: int) -> Tensor:
    """Adds the rows of opposite frequencies: (..., R, M) -> (..., R // 2 + 1, M)."""
    if rows <= 2:
        return x
    both = (rows - 1) // 2
    return torch.cat([x[..., :1, :], x[..., 1 : 1 + both, :] + _opposite(x, both), x[..., 1 + both : rows // 2 + 1, :]], -2)


def _differences(x: Tensor, rows: int) -> Tensor:
    """Subtracts the rows of opposite frequencies: (..., R, M) -> (..., (R - 1) // 2, M)."""
    both = (rows - 1) // 2
    return x[..., 1 : 1 + both, :] - _opposite(x, both)


def _opposite(x: Tensor, both: int) -> Tensor:
    return x[..., x.shape[-2] - both :, :].flip(-2)


def _both_halves(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """Assembles all positions along an axis from a symmetric and an antisymmetric part, of which each has half."""
    both = odd.shape[axis]
    inner = even.narrow(axis, 1, both)
    parts = [even.narrow(axis, 0, 1), inner + odd, even.narrow(axis, 1 + both, even.shape[axis] - 1 - both)]
    return torch.cat([*parts, (inner - odd).flip(axis)], axis)
