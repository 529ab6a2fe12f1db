"""Parameter boxes: where draws lie, on which scale, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from hedgezoo.datasets.heston_panels import BOXES, PAPER_BOX, WIDE_BOX, ParameterBox
from hedgezoo.layers.draws import uniform_draws

LOW = (0.5, 0.02, 0.1, -0.9, 0.01)
HIGH = (8.0, 0.5, 1.5, -0.1, 0.4)


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_cube_maps_onto_the_box(name, dtype):
    box = BOXES[name]
    p = len(box.names)
    unit = uniform_draws(0, 4096, p, dtype=dtype)
    parameters = box.from_unit(unit)
    assert parameters.dtype == dtype
    assert box.contains(parameters).numpy().all()
    rounding = np.finfo(dtype).eps
    np.testing.assert_allclose(box.to_unit(parameters), unit, atol=40 * rounding)
    corners = np.array([np.zeros(p), np.ones(p)], dtype)
    ends = np.array([box.low, box.high])
    np.testing.assert_allclose(box.from_unit(corners), ends, rtol=10 * rounding)
    for i, parameter in enumerate(box.names):
        values = parameters.numpy()[:, i].astype("float64")
        ends = box.low[i], box.high[i]
        if parameter in box.logarithmic:
            values, ends = np.log(values), np.log(ends)
        law = stats.uniform(ends[0], ends[1] - ends[0])
        assert stats.kstest(values, law.cdf).pvalue > 1e-4, parameter


def test_boxes_are_those_of_their_names():
    assert (PAPER_BOX.low, PAPER_BOX.high) == (
        (0.5, 0.02, 0.1, -0.95, 0.01),
        (8.0, 0.5, 1.5, -0.05, 0.4),
    )
    assert PAPER_BOX.logarithmic == ()
    # the wide box holds that of the paper, and fits to stressed index surfaces
    assert WIDE_BOX.contains([PAPER_BOX.low, PAPER_BOX.high]).numpy().all()
    assert WIDE_BOX.contains([15.66, 0.0746, 3.36, -0.51, 0.196])
    assert WIDE_BOX.contains([0.94, 0.097, 0.73, -0.65, 0.056])
    assert {box.model for box in BOXES.values()} == {"heston", "bates"}


def test_contains_says_which():
    box = ParameterBox(LOW, HIGH)
    inside = (1.0, 0.04, 0.5, -0.7, 0.04)
    outside = [(*inside[:i], 9.0, *inside[i + 1 :]) for i in range(5)]
    unknown = (*inside[:4], np.nan)
    found = box.contains([LOW, HIGH, inside, *outside, unknown]).numpy()
    assert found.tolist() == [True] * 3 + [False] * 6


def test_slowest_decay_is_the_smallest_in_the_box():
    box, years = WIDE_BOX, 0.1
    kappa, theta, xi, rho, v0 = box.from_unit(uniform_draws(1, 10000, 5, dtype="float64")).numpy().T
    rates = np.sqrt(1 - rho**2) * (v0 + kappa * theta * years) / xi
    corner = np.sqrt(1 - 0.98**2) * (0.002 + 0.2 * 0.005 * years) / 4.0
    assert box.slowest_decay(years) == pytest.approx(corner)
    assert box.slowest_decay(years) < rates.min() < 20 * corner


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": (1.0, 2.0)}, r"`low` must hold 5 numbers.*or 8.*\(1.0, 2.0\)"),
        ({"low": 1.0}, "`low` must hold 5 numbers"),
        ({"low": (*LOW, 0.1, -0.2, 0.1)}, "same length"),
        ({"low": (9.0, *LOW[1:])}, r"range of `kappa`.*low < high.*\(9.0, 8.0\)"),
        ({"high": (np.inf, *HIGH[1:])}, "range of `kappa` must have finite ends"),
        ({"low": (*LOW[:3], -1.1, 0.01)}, r"`rho` must lie in \[-1, 1\].*-1.1"),
        ({"low": (*LOW[:4], -0.01)}, "`v0` must not be negative"),
        ({"logarithmic": ("kapa",)}, "`logarithmic` must be one of.*'kapa'.*Did you mean 'kappa'"),
        ({"logarithmic": ("rho",)}, "`logarithmic` must be one of.*'rho'"),
        ({"low": (0.0, *LOW[1:]), "logarithmic": ("kappa",)}, "kappa.*must be positive"),
    ],
)
def test_bad_boxes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ParameterBox(**{"low": LOW, "high": HIGH, **arguments})
