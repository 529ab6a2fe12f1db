"""HestonPanels: exact labels, the same panel everywhere, and what a calibrator is given."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from hedgezoo.datasets import HestonPanels, heston_panels
from hedgezoo.datasets.heston_panels import (
    BOXES,
    GRIDS,
    NOISE_CASES,
    SMALLEST_PRICE,
    FixedGrid,
    ParameterBox,
    QuoteNoise,
    RandomGrid,
)
from hedgezoo.layers import bates_call, heston_call, implied_volatility

SMALL_WIDE = RandomGrid(3, 4, (0.5, 1.6), (0.02, 5.0), (-0.8, 0.6), narrowing=0.5)


def numpy(tensors):
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def simulate(panels, *arguments):
    return tuple(numpy(tensors) for tensors in panels.simulate(*arguments))


def in_double(inputs, targets):
    """Parameters, strikes, maturities."""
    arrays = targets["parameters"], inputs["strikes"], inputs["maturities"]
    return [array.astype("float64") for array in arrays]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_contract(grid, dtype):
    inputs, targets = simulate(
        HestonPanels(grid=grid, noise="inside_15_bp_spread", dtype=dtype), 0, 6
    )
    m, n = GRIDS[grid].shape
    shapes = {name: array.shape for name, array in inputs.items()}
    assert shapes == {
        "implied_volatility": (6, m, n),
        "strikes": (6, m, n),
        "maturities": (6, m),
        "mask": (6, m, n),
        "spread": (6, m, n),
    }
    assert {name: array.shape for name, array in targets.items()} == {
        "parameters": (6, 5),
        "implied_volatility": (6, m, n),
    }
    mask = inputs.pop("mask")
    assert mask.dtype == bool
    assert {array.dtype for array in (*inputs.values(), *targets.values())} == {np.dtype(dtype)}
    assert BOXES["paper"].contains(targets["parameters"]).numpy().all()
    assert (np.diff(inputs["strikes"], axis=2) > 0).all()
    assert (np.diff(inputs["maturities"], axis=1) > 0).all()
    for name in ("implied_volatility", "spread"):
        assert (inputs[name][~mask] == 0).all()
        assert (inputs[name][mask] > 0).all()
    error = inputs["implied_volatility"] - targets["implied_volatility"]
    assert (np.abs(error) <= inputs["spread"] / 2 + 3e-4)[mask].all()


@pytest.mark.parametrize(("draws", "grid"), [("plain", "paper"), ("sobol", "random")])
def test_a_panel_is_the_same_in_any_batch(draws, grid):
    noise = QuoteNoise(gaussian_bp=0.5, spread_bp=(0, 15), missing=0.1, missing_maturities=0.1)
    panels = HestonPanels(grid=grid, noise=noise, draws=draws)
    whole = simulate(panels, 3, 24)
    part = simulate(panels, 3, 5, 17)
    in_graph = tf.function(panels.simulate)(*(tf.constant(x, tf.int64) for x in (3, 5, 17)))
    for other in (part, [numpy(tensors) for tensors in in_graph]):
        for ours, theirs in zip(whole, other, strict=True):
            for name in ours:
                # volatilities are rounded to float32 from sums that may differ in the last bit
                bits = name == "implied_volatility"
                np.testing.assert_allclose(ours[name][17:22], theirs[name], rtol=2e-7 * bits)
    neighbour = simulate(panels, 4, 24)
    for name in ("implied_volatility", "spread"):
        assert (neighbour[0][name] != whole[0][name]).mean() > 0.7
    assert (neighbour[1]["parameters"] != whole[1]["parameters"]).all()


@pytest.mark.parametrize(
    ("options", "price"),
    [
        ({}, heston_call),
        ({"grid": "random"}, heston_call),
        ({"box": "wide", "grid": SMALL_WIDE}, heston_call),
        ({"box": "bates"}, bates_call),
        ({"box": "wide_bates", "grid": SMALL_WIDE}, bates_call),
    ],
    ids=lambda x: "-".join(map(str, x.values())) if isinstance(x, dict) else "",
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_labels_are_exact(options, price, dtype):
    inputs, targets = simulate(HestonPanels(dtype=dtype, **options), 11, 28)
    parameters, strikes, maturities = in_double(inputs, targets)
    # many nodes on the vertical contour, which needs no rule; two panels fit into a block
    calls = np.concatenate(
        [
            price(*(x[i : i + 2] for x in (parameters, strikes, maturities)), "vertical", 3000)
            for i in range(0, 28, 2)
        ]
    )
    expected = implied_volatility(calls, strikes, maturities).numpy()
    time_value = calls - np.maximum(1.0 - strikes, 0.0)
    usable = time_value >= SMALLEST_PRICE
    np.testing.assert_array_equal(inputs["mask"], usable)
    labels = targets["implied_volatility"]
    np.testing.assert_array_equal(labels[~usable], 0.0)
    np.testing.assert_array_equal(labels, inputs["implied_volatility"])
    error = np.abs(labels - expected)[usable]
    rounding, tail = {"float32": (4e-8, 8e-8), "float64": (1e-12, 1e-9)}[dtype]
    assert np.median(error) < rounding
    assert np.quantile(error, 0.99) < tail
    assert error.max() < 2e-6  # 0.02 bp, where options are cheap


def test_options_that_are_worth_too_little_are_masked():
    box = ParameterBox((1, 0.01, 0.2, -0.8, 0.01), (2, 0.02, 0.4, -0.5, 0.02))
    grid = FixedGrid(strikes=np.linspace(0.5, 1.6, 12), maturities=(0.05, 0.5))
    inputs, targets = simulate(HestonPanels(box=box, grid=grid, contour="tilted"), 0, 64)
    parameters, strikes, maturities = in_double(inputs, targets)
    calls = heston_call(parameters, strikes, maturities, "tilted", 320).numpy()
    usable = calls - np.maximum(1.0 - strikes, 0.0) >= 1e-7
    assert 0.2 < usable.mean() < 0.8
    np.testing.assert_array_equal(inputs["mask"], usable)
    assert np.isfinite(inputs["implied_volatility"]).all()
    assert (targets["implied_volatility"][usable] > 0.01).all()


def test_no_panel_of_the_wide_boxes_is_without_quotes_or_finite_labels():
    for box in ("wide", "wide_bates"):
        panels = HestonPanels(box=box, grid=SMALL_WIDE)
        inputs, targets = simulate(panels, 0, 32)
        labels = targets["implied_volatility"]
        assert np.isfinite(labels).all()
        assert (labels[inputs["mask"]] > 0.005).all()
        assert (labels < 3.0).all()
        assert inputs["mask"].sum(axis=(1, 2)).min() >= 5


def test_noise_cases_show_the_same_panels():
    clean, targets = simulate(HestonPanels(), 2, 32)
    for case in NOISE_CASES:
        inputs, again = simulate(HestonPanels(noise=case), 2, 32)
        for name in targets:
            np.testing.assert_array_equal(again[name], targets[name])
        gaps = clean["mask"] & ~inputs["mask"]
        assert (~clean["mask"] & inputs["mask"]).sum() == 0
        assert gaps.mean() == pytest.approx(0.0 if case == "clean" else 0.05, abs=0.02)
    assert (HestonPanels(noise="clean").noise.deviation_bp, inputs["spread"].max()) == (
        0.0,
        np.float32(30e-4),
    )


def test_errors_that_exceed_the_volatility_leave_no_quote():
    panels = HestonPanels(noise=QuoteNoise(gaussian_bp=3000.0))
    inputs, targets = simulate(panels, 0, 32)
    assert 0.02 < 1.0 - inputs["mask"].mean() < 0.5
    assert (inputs["implied_volatility"] >= 0).all()
    assert (targets["implied_volatility"] > 0.05).mean() > 0.99


def test_sobol_parameters_are_spread_evenly():
    panels = HestonPanels(grid=FixedGrid((1.0,), (1.0,)))
    parameters = simulate(panels, 5, 256)[1]["parameters"]
    unit = panels.box.to_unit(parameters).numpy()
    for column in unit.T:  # one in each of 256 equal intervals
        assert len(np.unique(np.floor(column * 256 + 1e-4))) >= 254
    plain = simulate(HestonPanels(grid=panels.grid, draws="plain"), 5, 256)[1]["parameters"]
    # a plain sample leaves 1/e of the intervals empty
    unit = panels.box.to_unit(plain).numpy()
    for column in unit.T:
        assert 140 < len(np.unique(np.floor(column * 256))) < 185


def test_batches_resume_where_they_stopped():
    panels = HestonPanels(grid="random", noise="gaussian_half_bp")
    whole = panels.batches(8, steps=4, seed=1)
    assert int(whole.cardinality()) == 4
    assert whole.element_spec[0]["mask"] == tf.TensorSpec((8, 8, 10), tf.bool)
    expected = list(whole)[2:]
    resumed = list(panels.batches(8, steps=None, seed=1, first_step=2).take(2))
    direct = [panels.simulate(1, 8, first_panel=8 * k) for k in (2, 3)]
    assert int(panels.batches(8, steps=4, seed=1, first_step=2).cardinality()) == 2
    for other in (resumed, direct):
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-7), expected, other
        )


class Mean(keras.Model):
    """A calibrator that looks at the mean quote only."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(5)

    def call(self, inputs):
        mask = keras.ops.cast(inputs["mask"], "float32")
        total = keras.ops.sum(mask * inputs["implied_volatility"], axis=(1, 2))
        mean = total / keras.ops.sum(mask, axis=(1, 2))
        rows = keras.ops.ones_like(mask) * mean[:, None, None]
        return {"parameters": self.dense(mean[:, None]), "implied_volatility": rows}


def test_model_fit():
    keras.utils.set_random_seed(0)
    model = Mean()
    model.compile(keras.optimizers.Adam(0.05), {"parameters": "mse", "implied_volatility": "mae"})
    batches = HestonPanels(noise="plus_minus_15_bp").batches(32, steps=60, seed=0)
    history = model.fit(batches, epochs=3, steps_per_epoch=20, verbose=0).history
    losses = history["parameters_loss"]
    assert losses[-1] < 0.7 * losses[0]
    assert 0.01 < history["implied_volatility_loss"][-1] < 0.1


def test_replicas_share_a_batch(two_replicas):
    panels = HestonPanels(noise="gaussian_half_bp")
    batches = panels.batches(8, steps=2, seed=1)
    pieces = next(iter(two_replicas.experimental_distribute_dataset(batches)))[1]["parameters"]
    joined = tf.concat(two_replicas.experimental_local_results(pieces), axis=0)
    np.testing.assert_array_equal(joined, panels.simulate(1, 8)[1]["parameters"])


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("grid", [*GRIDS, FixedGrid(((0.9, 1.0), (0.8, 1.1)), (0.5, 1.0))], ids=str)
def test_config_round_trip(box, grid):
    for noise in (*NOISE_CASES, QuoteNoise(1.0, (2.0, 3.0), 0.1, 0.2)):
        panels = HestonPanels(box, grid, noise, "plain", "float64", "tilted", 64)
        config = json.loads(json.dumps(panels.get_config()))
        twin = HestonPanels.from_config(config)
        assert twin == panels
        assert hash(twin) == hash(panels)
        assert twin.scheme == ("tilted", 64)


def test_the_contour_follows_the_box():
    assert HestonPanels().scheme == ("vertical", 128)
    assert HestonPanels(grid="random", box="bates").scheme == ("vertical", 128)
    assert HestonPanels(box="wide").scheme == ("tilted", 192)
    assert HestonPanels(box="wide_bates").scheme == ("tilted", 256)
    assert HestonPanels(box="wide", contour="vertical", nodes=96).scheme == ("vertical", 96)


def test_the_public_name_is_the_package():
    assert heston_panels.HestonPanels is HestonPanels


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"box": "papr"}, "`box` must be one of.*'papr'.*Did you mean 'paper'"),
        ({"box": None}, "`box` must be one of.*or an object.*None"),
        ({"grid": (0.9, 1.1)}, r"`grid` must be one of.*\(0.9, 1.1\)"),
        ({"noise": "loud"}, "`noise` must be one of"),
        ({"draws": "antithetic"}, "`draws` must be one of"),
        ({"dtype": "float16"}, "`dtype` must be one of"),
        ({"contour": "slanted"}, "`contour` must be one of"),
        ({"nodes": 8}, "`nodes` must be an integer, 16 or above"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        HestonPanels(**arguments)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("simulate", (0.5, 8), "`seed` must be an integer"),
        ("simulate", (0, 0), "`panels` must be an integer, 1 or above"),
        ("simulate", (0, 8, -1), "`first_panel` must be an integer"),
        ("batches", (0, 1, 0), "`batch_size` must be an integer"),
        ("batches", (8, 2, 0, 3), "`first_step` must not lie beyond"),
    ],
)
def test_bad_draws_are_refused(method, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(HestonPanels(), method)(*arguments)
