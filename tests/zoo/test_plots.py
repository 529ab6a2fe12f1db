"""Figures: the data they show, the same style everywhere, nothing written by halves."""

import pathlib

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from hedgezoo import NoTransactionBand, plots
from hedgezoo.baselines.exact_hedge import ExactHedge
from hedgezoo.baselines.whalley_wilmott import WhalleyWilmott
from hedgezoo.datasets import BlackScholesMarket, ConditionalBlackScholesMarket
from hedgezoo.deep_hedge import FeedForwardHedge
from hedgezoo.hedge_pictures import hedge_pictures
from hedgezoo.layers.black_scholes import european_delta
from hedgezoo.styles import STYLES, styles

MATURITY = 4 / 250
SPOTS = np.linspace(0.95, 1.05, 11)


@pytest.fixture(scope="module")
def model():
    model = NoTransactionBand(
        hidden_units=(4,), risk_aversion=50.0, width="whalley_wilmott", maturity=MATURITY
    )
    model.build()
    return model


@pytest.fixture(scope="module")
def exact():
    return ExactHedge(steps=4, spot_nodes=2, position_nodes=24)


def lines(axis):
    """Data of the lines of an axes by label; the unlabelled ones, too."""
    return {line.get_label(): np.asarray(line.get_data(), float) for line in axis.get_lines()}


# ------------------------------------------------------------------------------------------- band


def test_band_shows_the_models_band(model):
    figure = plots.band(model, MATURITY, SPOTS)
    (axis,) = figure.axes
    lower, upper = (edge.numpy() for edge in model.band(SPOTS, MATURITY))
    (shade,) = axis.collections
    corners = shade.get_paths()[0].vertices
    for spot, low, high in zip(SPOTS, lower, upper, strict=True):
        at_spot = corners[np.isclose(corners[:, 0], spot), 1]
        assert at_spot.min() == pytest.approx(low, abs=1e-6)
        assert at_spot.max() == pytest.approx(high, abs=1e-6)
    delta = lines(axis)["Black-Scholes delta"]
    np.testing.assert_allclose(delta[0], SPOTS)
    np.testing.assert_allclose(delta[1], european_delta(SPOTS, 1.0, MATURITY, 0.2), rtol=1e-6)
    assert "spot" in axis.get_xlabel()
    assert "position" in axis.get_ylabel()
    assert "0.016 years" in axis.get_title()


def test_band_of_the_exact_optimum_is_at_the_right_step(model, exact):
    times = [MATURITY, 1 / 250]
    figure = plots.band(
        model, times, SPOTS, references={"exact": exact, "asymptotic": WhalleyWilmott()}
    )
    assert len(figure.axes) == 2
    for axis, step in zip(figure.axes, (0, 3), strict=True):
        lower, upper = exact.band(SPOTS, step)
        edges = [
            line.get_ydata() for line in axis.get_lines() if to_hex(line.get_color()) == "#000000"
        ]
        np.testing.assert_allclose(edges, [lower, upper])
        assert {"exact", "asymptotic", "Black-Scholes delta"} <= set(lines(axis))


def test_band_runs_out_of_the_picture_where_it_is_too_wide():
    wide = WhalleyWilmott(risk_aversion=1e-4, cost=0.01)
    low, high = plots.band(wide).axes[0].get_ylim()
    assert low == pytest.approx(-0.6)
    assert high == pytest.approx(1.6)


def test_band_of_a_model_that_looks_at_the_maximum():
    model = NoTransactionBand(features=("log_moneyness", "max_log_moneyness", "time_to_expiry"))
    model.build()
    figure = plots.band(model, 0.01, SPOTS, maximum=1.0)
    lower, _ = model.band(SPOTS, 0.01, maximum=np.maximum(1.0, SPOTS))
    shown = [line.get_ydata() for line in figure.axes[0].get_lines()]
    np.testing.assert_allclose(shown[0], lower, rtol=1e-6)


def test_exact_hedge_between_its_dates_is_refused(model, exact):
    with pytest.raises(ValueError, match=r"time_to_expiry=0.0101"):
        plots.band(model, 0.0101, references={"exact": exact})
    with pytest.raises(ValueError, match=r"time_to_expiry=0.02"):
        plots.band(model, 0.02, references={"exact": exact})


# ------------------------------------------------------------------------------------- histograms


def test_histograms_share_bins_and_lose_no_path():
    random = np.random.default_rng(0)
    profits = {"delta": random.normal(size=5000), "network": random.normal(size=3000) + 0.3}
    figure = plots.profit_histograms(profits, prices={"delta": 0.5}, compare=None)
    edges = []
    for axis, (name, values) in zip(figure.axes, profits.items(), strict=True):
        (bars,) = [patch for patch in axis.patches if patch.get_fill()]
        data = bars.get_data()
        assert data.values.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(data.values, np.histogram(values, data.edges)[0] / len(values))
        assert to_hex(bars.get_facecolor()) == STYLES[name].colour.lower()
        assert axis.get_yscale() == "log"
        assert lines(axis)["mean"][0][0] == pytest.approx(values.mean())
        edges.append(data.edges)
    np.testing.assert_array_equal(*edges)
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert lines(figure.axes[0])["minus price"][0][0] == -0.5
    assert "minus price" not in lines(figure.axes[1])


def test_histogram_says_what_it_does_not_show():
    narrow = np.linspace(-1.0, 1.0, 1001)
    wide = np.concatenate([np.linspace(-3.0, 1.0, 900), np.full(100, -30.0)])
    figure = plots.profit_histograms({"naked": wide, "delta": narrow}, scale=10.0)
    low, high = figure.axes[0].get_xlim()
    assert -40 < low < -20
    assert high >= 10
    assert "10 % not shown" in figure.axes[0].texts[0].get_text()
    assert "worst −300" in figure.axes[0].texts[0].get_text()
    assert "not shown" not in figure.axes[1].texts[0].get_text()
    everything = plots.profit_histograms({"naked": wide, "delta": narrow}, limits=(-31, 2))
    assert everything.axes[0].get_xlim() == (-31, 2)
    assert "not shown" not in everything.axes[0].texts[0].get_text()


def test_histogram_repeats_the_outline_to_compare_with():
    profits = {"naked": np.linspace(-1, 1, 50), "network": np.linspace(-0.5, 0.5, 50)}
    first, second = plots.profit_histograms(profits).axes
    (outline,) = [patch for patch in first.patches if not patch.get_fill()]
    (bars,) = second.patches
    np.testing.assert_array_equal(outline.get_data().values, bars.get_data().values)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"profits": {}}, "profits"),
        ({"profits": {"a": [0.0, np.nan]}}, "'a'"),
        ({"profits": {"a": [[0.0]]}}, "'a'"),
        ({"profits": {"a": [0.0, 1.0]}, "limits": (2, 1)}, "limits"),
    ],
)
def test_histogram_errors(arguments, culprit):
    with pytest.raises(ValueError, match=culprit):
        plots.profit_histograms(**arguments)


def test_one_sure_outcome_has_a_histogram():
    (axis,) = plots.profit_histograms({"mine": np.full(10, -2.0)}).axes
    (bars,) = axis.patches
    assert bars.get_data().values.max() == 1.0


# --------------------------------------------------------------------------------- learning curves


def test_learning_curves_show_losses_and_references():
    curves = {"network": [(1, 0.5), (10, 0.03), (100, 0.025)], "mine": [(1, 0.4), (100, 0.026)]}
    figure = plots.learning_curves(
        curves, references={"optimum": 0.0245}, xlabel="paths", scale=1e4, unit="bp"
    )
    (axis,) = figure.axes
    shown = lines(axis)
    np.testing.assert_allclose(shown["band network"], [[1, 10, 100], [5000, 300, 250]])
    np.testing.assert_allclose(shown["mine"][1], [4000, 260])
    assert shown["exact optimum"][1] == pytest.approx([245, 245])
    assert axis.get_xscale() == "log"
    assert axis.get_xlabel() == "paths"
    assert "bp" in axis.get_ylabel()
    low, high = axis.get_ylim()
    assert low < 245
    assert 260 < high < 5000


@pytest.mark.parametrize("curves", [{}, {"a": []}, {"a": [1.0, 2.0, 3.0]}])
def test_learning_curve_errors(curves):
    with pytest.raises(ValueError, match="curves"):
        plots.learning_curves(curves)


# ----------------------------------------------------------------------------- price against cost


def test_price_against_cost_shows_spreads_and_errors():
    costs = np.array([1e-4, 1e-3, 1e-2])
    prices = {"network": ([0.021, 0.022, 0.024], [1e-5, 2e-5, 3e-5]), "naked": [0.0225] * 3}
    figure = plots.price_against_cost(costs, prices, 0.0205, scale=1e4, title="European")
    (axis,) = figure.axes
    assert axis.get_xscale() == axis.get_yscale() == "log"
    assert axis.get_title() == "European"
    network, naked = axis.containers
    np.testing.assert_allclose(network.lines[0].get_data(), [costs, [5, 15, 35]])
    bars = np.array(network.lines[2][0].get_segments())
    np.testing.assert_allclose(np.diff(bars[:, :, 1])[:, 0], [0.2, 0.4, 0.6])
    assert not naked.has_yerr
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["band network", "no hedge"]


def test_price_below_the_zero_cost_price_is_left_out():
    figure = plots.price_against_cost([1e-4, 1e-3], {"mine": [0.9, 1.1]}, 1.0, legend=False)
    ((line, *_),) = (bars.lines for bars in figure.axes[0].containers)
    np.testing.assert_allclose(line.get_data(), [[1e-3], [0.1]])
    assert figure.axes[0].get_legend() is None


@pytest.mark.parametrize(
    ("costs", "prices", "culprit"),
    [
        ([0.0, 1.0], {"a": [1, 2]}, "costs"),
        ([0.1, 1.0], {"a": [1, 2, 3]}, "'a'"),
        ([0.1, 1.0], {"a": ([1, 2], [1])}, "'a'"),
    ],
)
def test_price_against_cost_errors(costs, prices, culprit):
    with pytest.raises(ValueError, match=culprit):
        plots.price_against_cost(costs, prices, 0.0)


# ------------------------------------------------------------------------------ figures and styles


def test_panels_compose():
    figure, axes = plots.panels(1, 2, sharey=True)
    assert axes.shape == (1, 2)
    for axis, title in zip(axes[0], ("European", "lookback"), strict=True):
        got = plots.price_against_cost([0.1, 1], {"a": [1, 2]}, 0.5, title=title, axes=axis)
        assert got is figure
    assert figure.axes[0].get_ylabel()
    assert not figure.axes[1].get_ylabel()
    with pytest.raises(ValueError, match=r"`axes` must be 1.*Received: 2"):
        plots.learning_curves({"a": [(1, 1)]}, axes=axes)


def test_known_strategies_look_the_same_under_every_name():
    for names in (["Whalley-Wilmott"], ["whalley_wilmott"], ["asymptotic"], ["mine", "Asymptotic"]):
        assert styles(names)[names[-1]].colour == STYLES["whalley_wilmott"].colour
    known = [style.colour for style in STYLES.values()]
    others = [style.colour for style in styles(["a", "b", "c", "d"]).values()]
    assert len({*known, *others}) == len(known) + 4
    assert styles(["", "exact"])[""].label == "band network"


def test_saved_bytes_depend_on_the_figure_alone(tmp_path):
    def draw():
        return plots.learning_curves({"network": [(1, 2.0), (10, 1.0)]})

    first = plots.save(draw(), tmp_path / "new" / "first.png").read_bytes()
    with matplotlib.rc_context({"font.size": 30.0, "axes.grid": True, "savefig.dpi": 40}):
        second = plots.save(draw(), tmp_path / "second.png").read_bytes()
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    assert first == second
    assert b"Software" not in first
    assert matplotlib.rcParams["font.size"] != 8.5  # the user's settings are left alone


def test_no_figure_is_held_by_pyplot(model):
    assert plots.band(model, MATURITY, SPOTS).canvas.manager is None


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    from PIL import Image

    figure = plots.learning_curves({"network": [(1, 2.0), (10, 1.0)]})
    path = plots.save(figure, tmp_path / "a.png")
    before = path.read_bytes()

    save = Image.Image.save

    def fail(picture, target, **options):
        if not isinstance(target, pathlib.Path):
            return save(picture, target, **options)
        target.write_bytes(b"half a picture")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


# ------------------------------------------------------------------------------------ card figures


def about(**metrics):
    return {
        "training": {"curve": [[1, 0.02], [2, 0.019]]},
        "recipe": {"batch_size": 256},
        "metrics": {
            key.replace("__", "/"): {"value": value, "stderr": 0.0}
            for key, value in metrics.items()
        },
    }


def card_figures(model, metadata):
    """Figures of a card by name; each one has a caption."""
    pictures = hedge_pictures(model, metadata)
    assert all(picture.caption.endswith(".") for picture in pictures)
    return {picture.name: picture.figure for picture in pictures}


@pytest.mark.parametrize("spot", [1.0, 100.0])
def test_card_of_a_band(spot):
    market = BlackScholesMarket(steps=4, spot=spot, payoff=_call(spot))
    model = NoTransactionBand(
        hidden_units=(4,), strike=spot, risk_aversion=50.0 / spot, maturity=market.maturity
    )
    model.build()
    model.market = market
    figures = card_figures(model, about(exact_price=0.012 * spot, delta__exact_price=0.0125 * spot))
    assert set(figures) == {"learning_curve", "band", "profits"}
    shown = lines(figures["learning_curve"].axes[0])
    assert shown["Black-Scholes delta"][1] == pytest.approx([125, 125])
    assert len(figures["band"].axes) == 2
    assert "exact optimum" in lines(figures["band"].axes[0])
    profits = figures["profits"].axes
    assert [axis.texts[0].get_text().split("\n")[0] for axis in profits] == [
        "no hedge",
        "Black-Scholes delta",
        "Whalley-Wilmott",
        "band network",
    ]
    assert lines(profits[3])["minus price"][0][0] == pytest.approx(-120)
    assert profits[3].texts[0].get_text().split("\n")[1] == "price 120.0"


def _call(strike):
    from hedgezoo.datasets.payoffs import European

    return European(strike=strike)


def test_card_of_a_policy_has_no_band():
    market = BlackScholesMarket(steps=2)
    model = FeedForwardHedge(hidden_units=(4,), risk_aversion=50.0, maturity=market.maturity)
    model.build()
    model.market = market
    figures = card_figures(model, about(exact_price=0.012))
    assert set(figures) == {"learning_curve", "profits"}
    assert "feed-forward network" in lines(figures["learning_curve"].axes[0])


def test_card_of_a_model_for_many_contracts_is_of_its_markets():
    features = ("log_moneyness", "time_to_expiry", "volatility", "cost", "risk_aversion")
    market = ConditionalBlackScholesMarket(
        volatility=0.3, cost=2e-3, risk_aversion=40.0, steps=4, expiry_steps=4, features=features
    )
    model = NoTransactionBand(features, hidden_units=(4,), width="whalley_wilmott", maturity=0.1)
    model.build()
    model.market = market
    figures = card_figures(model, about(exact_price=0.012))
    assert set(figures) == {"learning_curve", "band", "profits"}
    assert "units of the loss" in figures["learning_curve"].axes[0].get_ylabel()
    axis = figures["band"].axes[0]
    spots, lower = axis.get_lines()[0].get_data()
    expected, _ = model.band(spots, market.maturity, volatility=0.3, cost=2e-3, risk_aversion=40.0)
    np.testing.assert_allclose(lower, expected, rtol=1e-5)
