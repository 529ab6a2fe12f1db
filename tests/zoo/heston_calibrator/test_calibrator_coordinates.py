"""Search coordinates: a round trip, slopes, ranges."""

import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets.heston_panels import BOXES
from hedgezoo.heston_calibrator.coordinates import Coordinates


@pytest.mark.parametrize("box", ["wide", "wide_bates"])
def test_every_parameter_comes_back(box):
    box = BOXES[box]
    coordinates = Coordinates(box.model)
    unit = np.random.default_rng(0).uniform(size=(50, len(box.low)))
    parameters = box.from_unit(unit)
    back = coordinates.to_parameters(coordinates.from_parameters(parameters))
    np.testing.assert_allclose(back, parameters, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("model", ["heston", "bates"])
def test_slopes_are_derivatives(model):
    coordinates = Coordinates(model)
    u = tf.constant(np.random.default_rng(1).uniform(-1.5, 1.5, (4, len(coordinates))))
    step = 1e-6
    rise = coordinates.to_parameters(u + step) - coordinates.to_parameters(u - step)
    np.testing.assert_allclose(coordinates.slopes(u), rise / (2 * step), rtol=1e-8)


def test_known_values():
    u = Coordinates("heston").from_parameters([1.0, 1.0, 1.0, 0.0, 1.0])
    np.testing.assert_array_equal(u, np.zeros(5))
    rho = Coordinates("heston").from_parameters([1.0, 1.0, 1.0, 0.5, 1.0])[3]
    assert float(rho) == pytest.approx(np.log(3.0))


def test_what_is_out_of_range_becomes_the_end():
    coordinates = Coordinates("bates")
    wild = [1e9, 0.0, 1e9, -1.0, 0.0, 0.0, -5.0, 9.0]
    u = coordinates.from_parameters(wild).numpy()
    ends = np.where([1, 0, 1, 0, 0, 0, 0, 1], coordinates.high, coordinates.low)
    np.testing.assert_allclose(u, ends, rtol=1e-12)
    np.testing.assert_array_equal(coordinates.clip(tf.constant(u * 1.5)), ends)
    assert np.all(np.isfinite(coordinates.to_parameters(u)))


def test_the_box_in_coordinates():
    box = BOXES["paper"]
    coordinates = Coordinates("heston")
    middle, half = coordinates.box(box)
    np.testing.assert_allclose(coordinates.to_parameters(tf.constant(middle - half)), box.low)
    np.testing.assert_allclose(coordinates.to_parameters(tf.constant(middle + half)), box.high)


def test_there_are_two_models():
    with pytest.raises(ValueError, match="`model` must be one of"):
        Coordinates("sabr")
