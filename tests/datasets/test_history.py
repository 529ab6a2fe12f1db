"""Windows of one price history, from an array or a CSV file."""

import numpy as np
import pytest

from hedgezoo.datasets import from_csv, payoffs, windows

SERIES = np.exp(np.cumsum(np.random.default_rng(0).normal(scale=0.01, size=21)))


def test_windows_share_no_price_change_by_default():
    paths = windows(SERIES, steps=5)
    assert paths.shape == (4, 6, 1)
    assert (paths[:, 0] == 1.0).all()
    changes = np.diff(np.log(paths[:, :, 0]), axis=1).ravel()
    np.testing.assert_allclose(changes, np.diff(np.log(SERIES)))


def test_overlapping_windows():
    paths = windows(SERIES, steps=5, stride=1)
    assert paths.shape == (16, 6, 1)
    np.testing.assert_allclose(paths[3, :, 0], SERIES[3:9] / SERIES[3])
    assert windows(SERIES, steps=20).shape == (1, 21, 1)


def test_several_instruments():
    paths = windows(np.stack([SERIES, 2 * SERIES**2], axis=1), steps=4, stride=2)
    assert paths.shape == (9, 5, 2)
    np.testing.assert_allclose(paths[..., 1], paths[..., 0] ** 2)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "history.csv"
    lines = [
        f"2024-01-{day + 1:02d},{price!r},{3 * price!r}"
        for day, price in enumerate(SERIES.tolist())
    ]
    path.write_text("Date,Close,Other\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_from_csv(file):
    market = from_csv(file, "Close", steps=5, payoff=payoffs.European(), dtype="float64")
    np.testing.assert_allclose(market.inputs["price"], windows(SERIES, 5))
    inputs, liability = market.simulate(seed=0, paths=8)
    expected = np.maximum(inputs["price"].numpy()[:, -1, 0] - 1, 0)
    np.testing.assert_allclose(liability, expected)


def test_from_csv_backwards_and_several_columns(file):
    market = from_csv(
        file,
        ("Other", "Close"),
        steps=5,
        stride=1,
        newest_first=True,
        payoff=payoffs.Basket(weights=(1.0, 1.0), strike=2.0),
        dtype="float64",
    )
    expected = windows(np.stack([SERIES[::-1]] * 2, axis=1), 5, 1)
    np.testing.assert_allclose(market.inputs["price"], expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windows(SERIES, steps=21), "takes 22 prices. Received: prices of length 21"),
        (lambda: windows(SERIES, steps=0), "steps=0"),
        (lambda: windows(SERIES, steps=5, stride=0), "stride=0"),
        (lambda: windows(np.where(SERIES[4] == SERIES, np.nan, SERIES), 5), "nan in row 4"),
        (lambda: windows(-SERIES, 5), "in row 0, instrument 0"),
        (lambda: windows(np.ones((2, 2, 2)), 1), "`prices` must have shape"),
    ],
)
def test_bad_series_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bad_files_are_refused(file):
    with pytest.raises(ValueError, match="Did you mean 'Close'"):
        from_csv(file, "close", steps=5, payoff=payoffs.European())
    text = file.read_text(encoding="utf-8").splitlines()
    text[6] = "5,n/a,1.0"
    file.write_text("\n".join(text), encoding="utf-8")
    with pytest.raises(ValueError, match="'n/a' in line 7"):
        from_csv(file, "Close", steps=5, payoff=payoffs.European())
    text[6] = "5,-1.0,1.0"
    file.write_text("\n".join(text), encoding="utf-8")
    with pytest.raises(ValueError, match=r"'-1\.0' in line 7"):
        from_csv(file, "Close", steps=5, payoff=payoffs.European())
    file.write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="`column` must be one of"):
        from_csv(file, "Close", steps=5, payoff=payoffs.European())
