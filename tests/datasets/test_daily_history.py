import json

import numpy as np
import pytest

from hedgezoo.datasets import DailyHistory, market_data

HESTON = (3.0, 0.04, 0.4, -0.7, 0.04)


def test_shipped_history_joins_the_days_that_both_files_have():
    history = DailyHistory.spx()
    spy, vix = market_data.spy(), market_data.vix()
    day = np.datetime64("2020-03-16")
    row = int(np.flatnonzero(history.dates == day)[0])
    assert history.spot[row] == spy.closes[spy.dates == day][0]
    assert history.volatility[row] == vix.closes[vix.dates == day][0] / 100
    assert set(history.dates) == set(spy.dates) & set(vix.dates)
    assert not history.spot.flags.writeable


def test_heston_history_has_the_moments_of_its_model():
    histories = [DailyHistory.heston(HESTON, 20.0, seed) for seed in range(4)]
    returns = np.concatenate([history.returns for history in histories])
    assert returns.std() * 252**0.5 == pytest.approx(0.2, rel=0.06)
    # the index of 30 days against its formula, inverted to v
    kappa, theta, xi, rho, start = HESTON
    clock = kappa * 30 / 365
    share = (1 - np.exp(-clock)) / clock
    variances = [(h.volatility**2 - theta) / share + theta for h in histories]
    variance = np.concatenate(variances)
    assert histories[0].volatility[0] ** 2 == pytest.approx(theta + share * (start - theta))
    assert variance.min() >= -1e-12
    assert variance.mean() == pytest.approx(theta, rel=0.12)
    assert variance.std() == pytest.approx(xi * (theta / (2 * kappa)) ** 0.5, rel=0.15)
    # both shocks scale with √v
    root = np.concatenate([np.sqrt(v[:-1]) for v in variances])
    moves = np.concatenate([np.diff(v) for v in variances])
    calm = root > 0.05  # where a day does not reach v = 0
    shocks = (returns / root)[calm], (moves / root)[calm]
    assert np.corrcoef(*shocks)[0, 1] == pytest.approx(rho, abs=0.03)
    assert shocks[1].std() * 252**0.5 == pytest.approx(xi, rel=0.03)


def test_heston_history_belongs_to_its_seed_and_can_be_prolonged():
    short, long = (DailyHistory.heston(HESTON, years, seed=3) for years in (1.0, 2.0))
    np.testing.assert_allclose(long.spot[: len(short)], short.spot, rtol=1e-12)
    assert not np.allclose(DailyHistory.heston(HESTON, 1.0, seed=4).spot, short.spot)
    drifting = DailyHistory.heston(HESTON, 1.0, seed=3, drift=0.1)
    np.testing.assert_allclose(drifting.returns - short.returns, 0.1 / 252, atol=1e-12)


def test_parts_share_a_day_and_no_move():
    history = DailyHistory.heston(HESTON, 1.0, seed=1)
    first, last = history.split(0.25)
    assert first.dates[-1] == last.dates[0]
    np.testing.assert_array_equal(np.concatenate([first.returns, last.returns]), history.returns)
    with pytest.raises(ValueError, match="`share`"):
        history.split(0.999)


@pytest.mark.parametrize("which", ["spx", "heston", "own"])
def test_a_preset_can_hold_it(which):
    history = {
        "spx": DailyHistory.spx,
        "heston": lambda: DailyHistory.heston(HESTON, 0.1, seed=5, drift=0.03),
        "own": lambda: DailyHistory(["2020-01-01", "2020-01-02", "2020-01-03"], [1.0, 2.0, 1.5]),
    }[which]()
    config = json.loads(json.dumps(history.get_config()))
    assert len(json.dumps(config)) < 400
    again = DailyHistory.from_config(config)
    for name in ("dates", "spot", "volatility"):
        np.testing.assert_array_equal(getattr(again, name), getattr(history, name))
    assert again.source == history.source


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spot": [1.0, -1.0, 1.0]}, "`spot` must be positive. Received: -1.0 on 2020-01-02"),
        ({"spot": [1.0, np.nan, 1.0]}, "`spot` must be positive. Received: nan"),
        ({"volatility": [20.0, 21.0, 19.0]}, "not in percent"),
        ({"volatility": [0.2, 0.2]}, r"`volatility` must have shape \(L,\)"),
        ({"dates": ["2020-01-01", "2020-01-01", "2020-01-03"]}, "strictly increasing"),
        ({"time_step": 0.0}, "`time_step` must be positive"),
    ],
)
def test_bad_histories(change, message):
    good = {"dates": ["2020-01-01", "2020-01-02", "2020-01-03"], "spot": [1.0, 1.1, 1.2]}
    DailyHistory(**good)
    with pytest.raises(ValueError, match=message):
        DailyHistory(**{**good, **change})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parameters": (0.0, 0.04, 0.4, -0.7, 0.04)}, "`parameters` must be"),
        ({"parameters": (3.0, 0.04, 0.4, -1.7, 0.04)}, "`parameters` must be"),
        ({"parameters": HESTON, "years": -1.0}, "`years` must be positive"),
        ({"parameters": HESTON, "index_years": -0.1}, "`index_years` must not be negative"),
    ],
)
def test_bad_heston_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        DailyHistory.heston(**arguments)
