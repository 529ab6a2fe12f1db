"""The chi-square distance of densities: probabilities, and a distance."""

import numpy as np
import pytest

from hedgezoo.datasets.heston_panels import BATES_BOX, PAPER_BOX
from hedgezoo.heston_calibrator.density_distance import bin_probabilities, density_distance

MATURITIES = np.array([0.1, 0.5, 2.0])


def drawn(box, count, seed=0):
    """Parameters that are uniform in a box."""
    unit = np.random.Generator(np.random.Philox(key=seed)).uniform(size=(count, len(box.low)))
    return np.asarray(box.from_unit(unit))


@pytest.mark.parametrize("box", [PAPER_BOX, BATES_BOX], ids=["heston", "bates"])
def test_probabilities_sum_to_one_and_are_not_negative(box):
    found = bin_probabilities(drawn(box, 20), MATURITIES)
    assert found.shape == (20, 3, 151)
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-12)
    assert found.min() > -1e-9


def test_probabilities_are_those_of_black_scholes_without_volatility_of_variance():
    variance = 0.04
    found = bin_probabilities([[1.0, variance, 1e-4, 0.0, variance]], [1.0], width=0.01)[0, 0]
    strikes = 0.5 + 0.01 * np.arange(151)
    deviation = np.sqrt(variance)
    z = (np.log(strikes) + 0.5 * variance) / deviation
    density = np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * deviation * strikes)
    # a tent two hundredths wide hardly smooths a law twenty hundredths wide
    np.testing.assert_allclose(found[1:-1], 0.01 * density[1:-1], rtol=0.01, atol=1e-6)


def test_mean_is_the_forward():
    found = bin_probabilities(drawn(PAPER_BOX, 8), [0.1], low=0.01, high=4.0)
    strikes = 0.01 + 0.01 * np.arange(found.shape[-1])
    np.testing.assert_allclose(found @ strikes, 1.0, atol=1e-5)


def test_distance_is_zero_for_equal_parameters_and_positive_else():
    true = drawn(PAPER_BOX, 16)
    assert not density_distance(true, true, MATURITIES).any()
    for column in range(5):
        moved = true.copy()
        moved[:, column] *= 1.05
        assert (density_distance(moved, true, MATURITIES) > 1e-9).all()


def test_distance_is_symmetric_grows_and_stays_below_one():
    true = np.array([[2.0, 0.04, 0.3, -0.5, 0.04]])
    distances = []
    for factor in (1.01, 1.1, 2.0, 10.0):
        other = true * [1.0, factor, 1.0, 1.0, factor]
        (distance,) = density_distance(other, true, [0.1])
        assert density_distance(true, other, [0.1])[0] == pytest.approx(distance, rel=1e-12)
        distances.append(distance)
    assert distances == sorted(distances)
    assert distances[-1] < 1
    # a small change counts with its square
    small = density_distance(true * [1, 1.005, 1, 1, 1.005], true, [0.1])[0]
    assert distances[0] == pytest.approx(4 * small, rel=0.05)


def test_each_panel_may_have_its_own_maturities():
    true = drawn(PAPER_BOX, 2)
    moved = true * 1.02
    years = np.array([[0.1, 1.0], [0.5, 2.0]])
    together = density_distance(moved, true, years)
    alone = [density_distance(moved[i : i + 1], true[i : i + 1], years[i])[0] for i in range(2)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"parameters": [[1.0, 0.04, 0.5]]}, "reference"),
        ({"parameters": [[1.0, 0.04, 0.5]], "reference": [[1.0, 0.04, 0.5]]}, "parameters"),
        ({"maturities": [[[1.0]]]}, "maturities"),
        ({"maturities": [0.0]}, "maturities"),
        ({"low": 0.0}, "low"),
        ({"width": -0.01}, "width"),
        ({"high": 0.51}, "high"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    good = [[2.0, 0.04, 0.3, -0.5, 0.04]]
    defaults = {"parameters": good, "reference": good, "maturities": [1.0]}
    with pytest.raises(ValueError, match=f"`{name}`.*Received"):
        density_distance(**{**defaults, **arguments})
