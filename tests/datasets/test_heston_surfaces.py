import dataclasses
import json

import numpy as np
import pytest

from hedgezoo.datasets import HestonSurfaces, SurfaceQuotes
from hedgezoo.datasets.heston_panels import PAPER_BOX
from hedgezoo.layers import heston_call


@pytest.fixture(scope="module")
def drawn():
    return HestonSurfaces().draw(count=20, seed=4)


def test_surfaces_are_those_of_their_parameters(drawn):
    surfaces = HestonSurfaces()
    exact = heston_call(drawn["parameters"], drawn["strikes"], np.array(surfaces.maturities))
    np.testing.assert_array_equal(drawn["calls"], exact)
    assert surfaces.box.contains(drawn["parameters"]).numpy().all()
    kappa, theta, xi = drawn["parameters"].T[:3]
    assert (2 * kappa * theta >= 0.2 * xi**2).all()


def test_strikes_are_where_the_volatility_at_the_money_puts_them(drawn):
    surfaces = HestonSurfaces()
    at_money = drawn["implied_volatility"][..., surfaces.deviations.index(0.0)]
    root = at_money * np.sqrt(surfaces.maturities)
    deviation = np.log(drawn["strikes"]) / root[..., None]
    np.testing.assert_allclose(deviation, np.broadcast_to(surfaces.deviations, deviation.shape))


def test_quotes_at_deviations_of_ones_own(drawn):
    surfaces = HestonSurfaces()
    parameters, middle = drawn["parameters"][:3], drawn["strikes"][:3, :, 4:6]
    there = surfaces.priced(parameters, np.tile([-0.5, 0.0], (3, 1)))
    np.testing.assert_allclose(there["strikes"], middle)
    each = np.tile([-0.5, 0.0], (3, len(surfaces.maturities), 1))
    np.testing.assert_array_equal(surfaces.priced(parameters, each)["strikes"], there["strikes"])
    with pytest.raises(ValueError, match="`deviations` must have shape"):
        surfaces.priced(parameters, np.zeros((2, 4)))


def test_more_surfaces_begin_with_the_same(drawn):
    surfaces = HestonSurfaces()
    np.testing.assert_array_equal(surfaces.parameters(5, 4), drawn["parameters"][:5])
    assert not np.allclose(surfaces.parameters(5, 5), drawn["parameters"][:5])


def test_quotes_of_one_surface(drawn):
    surfaces = HestonSurfaces()
    quotes = surfaces.quotes(drawn, 7)
    assert isinstance(quotes, SurfaceQuotes)
    np.testing.assert_allclose(quotes.calls, drawn["calls"][7].ravel(), atol=1e-12)


def test_a_preset_can_hold_it():
    surfaces = HestonSurfaces(maturities=(0.25, 0.5), deviations=(-1.0, 0.0), feller=0.5)
    assert HestonSurfaces.from_config(json.loads(json.dumps(surfaces.get_config()))) == surfaces


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maturities": (0.5, 0.25)}, "`maturities` must be increasing"),
        ({"deviations": (0.0, 0.0)}, "`deviations` must be increasing"),
        ({"feller": -1.0}, "`feller` must not be negative"),
        ({"feller": 50.0}, "`feller` must be possible in the box"),
    ],
)
def test_bad_surfaces(change, message):
    with pytest.raises(ValueError, match=message):
        HestonSurfaces(**change)


def test_other_boxes():
    drawn = dataclasses.replace(HestonSurfaces(), box=PAPER_BOX).parameters(50, 1)
    assert PAPER_BOX.contains(drawn).numpy().all()
    assert drawn[:, 0].max() > 5.0
