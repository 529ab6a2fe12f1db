"""Quote noise: each named case has the errors, spreads and gaps that its name says."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from hedgezoo.datasets.heston_panels import NOISE_CASES, QuoteNoise

EXACT = tf.fill((4000, 8, 10), tf.constant(0.25, tf.float64))
BP = 1e-4


def _errors(noise, seed=1):
    """Errors and spreads in bp."""
    quotes, spreads = noise.quotes(EXACT, seed)
    return (quotes - EXACT).numpy() / BP, spreads.numpy() / BP


@pytest.mark.parametrize(
    ("case", "deviation", "lowest", "highest", "missing"),
    [
        ("clean", 0.0, 0.0, 0.0, 0.0),
        ("gaussian_half_bp", 0.5, 0.0, 0.0, 0.05),
        ("inside_15_bp_spread", np.hypot(0.5, 15 / 6), 0.0, 15.0, 0.05),
        ("plus_minus_15_bp", np.hypot(0.5, 15 / 3**0.5), 30.0, 30.0, 0.05),
    ],
)
def test_named_cases(case, deviation, lowest, highest, missing):
    noise = NOISE_CASES[case]
    errors, spreads = _errors(noise)
    assert noise.deviation_bp == pytest.approx(deviation)
    # 320 000 errors: the standard error of their deviation is at most 0.13 %
    assert errors.std() == pytest.approx(deviation, rel=0.006)
    assert abs(errors.mean()) <= 4 * deviation / np.sqrt(errors.size)
    assert spreads.min() == pytest.approx(lowest, abs=1e-3)
    assert spreads.max() == pytest.approx(highest, abs=1e-3)
    assert (np.abs(errors) <= spreads / 2 + 6 * noise.gaussian_bp).all()
    gone = 1.0 - noise.present(EXACT, 1).numpy()
    assert gone.mean() == pytest.approx(missing, abs=4 * np.sqrt(0.05 * 0.95 / gone.size))
    # each quote by itself
    if missing:
        for sample in (errors, gone):
            for axis in (1, 2):
                a, b = np.split(sample, 2, axis=axis)
                assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


def test_laws():
    gaussian, _ = _errors(QuoteNoise(gaussian_bp=2.0))
    assert stats.kstest(gaussian.ravel() / 2.0, "norm").pvalue > 1e-4
    errors, spreads = _errors(QuoteNoise(spread_bp=(3.0, 15.0)))
    assert stats.kstest(spreads.ravel(), stats.uniform(3, 12).cdf).pvalue > 1e-4
    assert stats.kstest((errors / spreads).ravel(), stats.uniform(-0.5, 1).cdf).pvalue > 1e-4
    # where the trade takes place says nothing about the width
    assert abs(np.corrcoef((errors / spreads).ravel(), spreads.ravel())[0, 1]) < 0.007


def test_missing_maturities_go_as_a_whole_and_never_all():
    present = QuoteNoise(missing_maturities=0.9).present(EXACT, 0).numpy()
    assert (present.all(axis=2) == present.any(axis=2)).all()
    assert present.any(axis=(1, 2)).all()
    # 0.1 of eight, and one where all would have gone
    assert present.mean() == pytest.approx(0.1 + 0.9**8 / 8, abs=0.01)


def test_cases_share_their_gaps_and_single_quotes_belong_to_their_panel():
    both = QuoteNoise(gaussian_bp=0.5, spread_bp=(0, 15), missing=0.3, missing_maturities=0.2)
    part = EXACT[40:47]
    for whole, piece in zip(both.quotes(EXACT, 9), both.quotes(part, 9, 40), strict=True):
        np.testing.assert_array_equal(whole[40:47], piece)
    present = both.present(EXACT, 9).numpy()
    np.testing.assert_array_equal(present[40:47], both.present(part, 9, 40))
    quiet = QuoteNoise(missing=0.3).present(EXACT, 9).numpy()
    assert (quiet | ~present).all()
    assert (both.present(EXACT, 10).numpy() != present).any()
    np.testing.assert_array_equal(QuoteNoise(missing=0.3, gaussian_bp=1.0).present(EXACT, 9), quiet)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gaussian_bp": -1.0}, "`gaussian_bp` must not be negative"),
        ({"spread_bp": (15, 0)}, "`spread_bp` must have low <= high"),
        ({"spread_bp": (-1, 1)}, r"`spread_bp\[0\]` must not be negative"),
        ({"spread_bp": np.nan}, "`spread_bp` must be a finite number"),
        ({"missing": 1.0}, "`missing` must be below 1"),
        ({"missing_maturities": -0.1}, "`missing_maturities` must not be negative"),
    ],
)
def test_bad_noise_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuoteNoise(**arguments)
