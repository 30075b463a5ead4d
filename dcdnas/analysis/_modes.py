"""Dynamic modes of several sequences by the matrix pencil method: a few complex frequencies that all sequences share.

Each sequence is modelled as a sum of damped oscillations, x(t) = sum_k a_k z_k^t, where |z_k| gives the decay of a mode and the
angle of z_k its frequency. Noise that hides the poles z_k in a single sequence averages out over many sequences with the same
poles, such as a layer's attentions for many images over the epochs of a training. The method does not suit extrapolating learning
curves, where the last value is a better prediction.

Letters in shapes: S sequences, t steps, d dimensions, r modes.

Reference: Hua, Sarkar, "Matrix pencil method for estimating parameters of exponentially damped/undamped sinusoids in noise", IEEE
Transactions on Acoustics, Speech, and Signal Processing, 1990; Schmid, "Dynamic mode decomposition of numerical and experimental
data", Journal of Fluid Mechanics, 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcdnas.errors import UsageError

LEAST_STEPS = 4
"""Smallest length of a sequence; in shorter ones modes are not distinguishable."""


@dataclass(frozen=True)
class Modes:
    """The modes that several sequences share, with their amplitudes in each.

    Args:
        poles: z, (r,) complex, the slowest decay first.
        amplitudes: a, one array (r, d) per sequence.
    """

    poles: NDArray[np.complex128]
    amplitudes: tuple[NDArray[np.complex128], ...]

    @property
    def decays(self) -> NDArray[np.float64]:
        """log |z| per step, (r,): a mode below 0 decays, by a factor e in 1 / |decay| steps."""
        return np.asarray(np.log(np.abs(self.poles)), np.float64)

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Oscillations per step, (r,), from -1/2 to 1/2; in real sequences they come in pairs of opposite sign."""
        return np.asarray(np.angle(self.poles) / (2 * np.pi), np.float64)

    def sequence(self, index: int, steps: int) -> NDArray[np.complex128]:
        """Reconstructs a sequence from its modes: (steps, d).

        Args:
            index: index of the sequence.
            steps: number of steps, from the first one.
        """
        return np.asarray(_powers(self.poles, steps) @ self.amplitudes[index], np.complex128)


def modes(sequences: Sequence[ArrayLike], order: int | None = None, tolerance: float = 0.01, delays: int | None = None) -> Modes:
    """Fits the complex frequencies that sequences share, and their amplitudes in each.

    Args:
        sequences: sequences (t,) or (t, d), each of any length from 4, with the same d.
        order: r, the number of modes; None for the number of singular values of the delay matrix above the tolerance.
        tolerance: threshold as a fraction of the largest singular value; should be about the noise level.
        delays: window length of the delay matrix, which bounds the number of modes; None for half the length of the shortest
            sequence, which is most robust to noise. Fewer delays take less time.

    Raises:
        UsageError: for sequences whose shapes do not agree, and for an order or delays too large for their length.
    """
    given = _checked(sequences)
    shortest = min(len(x) for x in given)
    if delays is None:
        delays = shortest // 2
    elif not 1 <= delays <= shortest - 2:
        raise UsageError(f"delays cannot be {delays}. Allowed for sequences of {shortest} steps: 1 to {shortest - 2}.")
    rows = np.concatenate([_hankel(column, delays) for x in given for column in x.T])
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    most = min(delays, len(sizes))
    if order is None:
        order = min(most, int((sizes > tolerance * sizes[0]).sum()))
    elif not 1 <= order <= most:
        raise UsageError(f"order cannot be {order}. Allowed for sequences of {shortest} steps and {delays} delays: 1 to {most}.")
    basis = directions[:order].T
    poles = np.linalg.eigvals(np.linalg.pinv(basis[:-1]) @ basis[1:]).astype(np.complex128)
    poles = poles[np.lexsort((np.angle(poles), -np.abs(poles).round(12)))]
    return Modes(poles, tuple(np.linalg.lstsq(_powers(poles, len(x)), x, rcond=None)[0].astype(np.complex128) for x in given))


def _checked(sequences: Sequence[ArrayLike]) -> list[NDArray[np.complex128]]:
    given = [np.asarray(x, np.complex128) for x in sequences]
    given = [x[:, None] if x.ndim == 1 else x for x in given]
    if not given:
        raise UsageError("there is no sequence. Give one or more, each (steps,) or (steps, dimensions).")
    for number, x in enumerate(given):
        if x.ndim != 2 or len(x) < LEAST_STEPS or x.shape[1:] != given[0].shape[1:]:
            allowed = f"(steps, {given[0].shape[-1]}) with {LEAST_STEPS} steps or more"
            raise UsageError(f"sequence {number} has the shape {x.shape}. Allowed: {allowed}.")
        if not np.isfinite(x).all():
            raise UsageError(f"sequence {number} has values that are not finite. Leave out its steps from the first of them on.")
    return given


def _hankel(column: NDArray[np.complex128], delays: int) -> NDArray[np.complex128]:
    """Hankel matrix whose rows are all windows of delays + 1 steps: (t - delays, delays + 1)."""
    return np.lib.stride_tricks.sliding_window_view(column, delays + 1)


def _powers(poles: NDArray[np.complex128], steps: int) -> NDArray[np.complex128]:
    """Powers z^t of the poles: (steps, r)."""
    return np.asarray(poles[None, :] ** np.arange(steps)[:, None], np.complex128)
