"""Dynamic modes of many sequences at once, by the matrix pencil: a few complex frequencies that all share.

A sequence is taken for a sum of damped oscillations, x(t) = sum_k a_k z_k^t: |z_k| says how it decays, the angle of z_k how it
oscillates. Noise that drowns the poles z_k of one sequence averages out over many with the same poles, such as a layer's
attentions for many images over the epochs of a training. Not for foretelling learning curves, where the last value does better.

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
"""Fewer do not tell one mode from another."""


@dataclass(frozen=True)
class Modes:
    """What several sequences are made of.

    Args:
        poles: z, (r,) complex, the slowest decay first.
        amplitudes: a, one array (r, d) for each sequence.
    """

    poles: NDArray[np.complex128]
    amplitudes: tuple[NDArray[np.complex128], ...]

    @property
    def decays(self) -> NDArray[np.float64]:
        """log |z| a step, (r,): below 0 a mode fades, by a factor e in 1 / |decay| steps."""
        return np.asarray(np.log(np.abs(self.poles)), np.float64)

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Oscillations a step, (r,), from -1/2 to 1/2; a real sequence has those of either sign in pairs."""
        return np.asarray(np.angle(self.poles) / (2 * np.pi), np.float64)

    def sequence(self, index: int, steps: int) -> NDArray[np.complex128]:
        """What the modes say of a sequence: (steps, d).

        Args:
            index: of the sequence.
            steps: from its first on.
        """
        return np.asarray(_powers(self.poles, steps) @ self.amplitudes[index], np.complex128)


def modes(sequences: Sequence[ArrayLike], order: int | None = None, tolerance: float = 0.01, delays: int | None = None) -> Modes:
    """The complex frequencies that sequences share, and the amplitudes of each.

    Args:
        sequences: each (t,) or (t, d), of any lengths from 4 on, with one d.
        order: r, how many modes; when None, as many as singular values of the sequences' delays exceed the tolerance.
        tolerance: as a fraction of the largest singular value; about the noise.
        delays: steps over which modes are looked for, the most that there may be; when None, half of the shortest sequence, which
            is best under noise. Fewer take less time.

    Raises:
        UsageError: for sequences that do not fit together, and for an order or delays that they cannot carry.
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
            raise UsageError(f"sequence {number} has values that are not finite. Leave its steps from there on out.")
    return given


def _hankel(column: NDArray[np.complex128], delays: int) -> NDArray[np.complex128]:
    """Each stretch of delays + 1 steps as a row: (t - delays, delays + 1)."""
    return np.lib.stride_tricks.sliding_window_view(column, delays + 1)


def _powers(poles: NDArray[np.complex128], steps: int) -> NDArray[np.complex128]:
    """z^t: (steps, r)."""
    return np.asarray(poles[None, :] ** np.arange(steps)[:, None], np.complex128)
