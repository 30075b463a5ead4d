"""Dynamic modes: known poles are found, those of many noisy sequences better together, and as dynamic mode decomposition does."""

from __future__ import annotations

import numpy as np
import pytest

from dcdnas.analysis import modes
from dcdnas.errors import UsageError

POLES = np.array([0.95 * np.exp(0.6j), 0.95 * np.exp(-0.6j), 0.8 + 0j])


def sequence(seed: int, steps: int = 30, dimensions: int = 2) -> np.ndarray:
    """A real sequence (steps, dimensions) with these poles: a pair of conjugates and one that only fades."""
    draw = np.random.default_rng(seed)
    pair = draw.normal(size=dimensions) + 1j * draw.normal(size=dimensions)
    amplitudes = np.stack([pair, pair.conj(), draw.normal(size=dimensions)])
    return (POLES[None, :] ** np.arange(steps)[:, None] @ amplitudes).real


def error(found: np.ndarray) -> float:
    """The largest distance of a true pole to the nearest found one."""
    return float(np.abs(found[:, None] - POLES[None]).min(0).max())


def test_known_poles_and_amplitudes_are_found() -> None:
    given = [sequence(seed, steps) for seed, steps in enumerate((30, 24, 17))]
    found = modes(given)
    assert len(found.poles) == 3
    assert error(found.poles) < 1e-9
    for index, x in enumerate(given):
        assert np.abs(found.sequence(index, len(x)) - x).max() < 1e-9
    np.testing.assert_allclose(sorted(found.frequencies), [-0.6 / (2 * np.pi), 0, 0.6 / (2 * np.pi)], atol=1e-9)
    np.testing.assert_allclose(sorted(found.decays), [np.log(0.8), np.log(0.95), np.log(0.95)], atol=1e-9)


def test_many_noisy_sequences_tell_more_together_than_each_alone() -> None:
    draw = np.random.default_rng(7)
    noisy = [x + 0.01 * draw.normal(size=x.shape) for x in (sequence(seed) for seed in range(20))]
    together = error(modes(noisy, order=3).poles)
    alone = np.median([error(modes([x], order=3).poles) for x in noisy])
    assert together < 0.01
    assert together < alone / 3


def test_it_is_the_dynamic_mode_decomposition_of_the_delays() -> None:
    x = sequence(3, dimensions=1)[:, 0]
    delayed = np.lib.stride_tricks.sliding_window_view(x, 16)
    before, after = delayed[:-1].T, delayed[1:].T
    u, s, vh = np.linalg.svd(before, full_matrices=False)
    operator = u[:, :3].T @ after @ vh[:3].T / s[:3]
    expected = np.sort_complex(np.linalg.eigvals(operator))
    np.testing.assert_allclose(np.sort_complex(modes([x], order=3).poles), expected, atol=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Input data condition number:UserWarning")
@pytest.mark.parametrize("dimensions", [1, 2])
def test_it_is_the_hankel_dmd_of_pydmd(dimensions: int) -> None:
    pydmd = pytest.importorskip("pydmd", reason="PyDMD is not installed; it is in the extra [oracles]")
    for seed in range(5):
        x = sequence(seed, dimensions=dimensions)
        ours, theirs = modes([x], order=3, delays=12).poles, pydmd.HankelDMD(svd_rank=3, d=12).fit(x.T).eigs
        np.testing.assert_allclose(ours[np.argsort(np.angle(ours))], theirs[np.argsort(np.angle(theirs))], atol=1e-9)


def test_one_mode_that_fades_is_an_annealing() -> None:
    found = modes([0.5 + 0.5 * 0.9 ** np.arange(20)], order=2)
    np.testing.assert_allclose(np.sort(found.poles.real), [0.9, 1.0], atol=1e-9)
    np.testing.assert_allclose(found.amplitudes[0][:, 0].real, [0.5, 0.5], atol=1e-9)


@pytest.mark.parametrize(
    ("sequences", "order", "said"),
    [
        ([], None, "there is no sequence"),
        ([[1.0, 2.0, 3.0]], None, r"sequence 0 has the shape \(3, 1\)\. Allowed: \(steps, 1\) with 4 steps or more"),
        ([np.ones((6, 2)), np.ones((6, 3))], None, r"sequence 1 has the shape \(6, 3\)\. Allowed: \(steps, 2\)"),
        ([[1.0, 2.0, float("nan"), 4.0]], None, "sequence 0 has values that are not finite"),
        ([np.arange(8.0)], 5, r"order cannot be 5\. Allowed for sequences of 8 steps and 4 delays: 1 to 4"),
    ],
)
def test_what_does_not_fit_is_said(sequences, order, said) -> None:
    with pytest.raises(UsageError, match=said):
        modes(sequences, order=order)


def test_fewer_delays_find_the_same_poles_and_too_many_are_refused() -> None:
    given = [sequence(seed) for seed in range(3)]
    assert error(modes(given, order=3, delays=5).poles) < 1e-9
    with pytest.raises(UsageError, match=r"delays cannot be 29\. Allowed for sequences of 30 steps: 1 to 28"):
        modes(given, delays=29)
