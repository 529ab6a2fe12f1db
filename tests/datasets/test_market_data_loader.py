"""Histories of surfaces from files: what is written is read, what is wrong is named."""

import numpy as np
import pandas
import pytest

from hedgezoo.datasets import market_data
from hedgezoo.datasets.market_data import SurfaceHistory


@pytest.fixture
def surfaces():
    return market_data.spx_surfaces(start="2020-02-24", end="2020-04-09")


@pytest.fixture
def frame():
    """Three dates, two maturities, three strikes; line 2 + 6 d + 3 j + i of a CSV file."""
    history = SurfaceHistory.from_volatilities(
        dates=["2024-01-02", "2024-01-03", "2024-01-04"],
        spot=[100.0, 101.0, 99.5],
        implied_volatility=np.full((3, 2, 3), 0.2) + 0.01 * np.array([1.0, 0.0, -1.0]),
        strikes=[0.9, 1.0, 1.1],
        maturities=[0.25, 0.5],
    )
    return history.to_frame()


def assert_same(loaded, surfaces):
    for name in (
        *("dates", "spot", "strikes", "maturities", "implied_volatility"),
        *("calls", "dlv", "log_returns"),
    ):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(surfaces, name))


def test_csv_round_trip(surfaces, tmp_path):
    path = tmp_path / "surfaces.csv"
    surfaces.to_frame().to_csv(path, index=False)
    loaded = market_data.load_surfaces(path, ghost_strikes=surfaces.ghost_strikes)
    assert_same(loaded, surfaces)
    assert loaded.source == "surfaces.csv"
    assert loaded.repairs == ()
    # the month of the crash decides the ghost strikes of the whole history, too
    assert_same(market_data.load_surfaces(str(path)), surfaces)


def test_order_names_blank_lines_and_byte_order_mark_do_not_matter(surfaces, tmp_path):
    path = tmp_path / "surfaces.csv"
    frame = surfaces.to_frame().sample(frac=1.0, random_state=0)
    frame = frame.rename(columns={"date": "Datum", "maturity": "T", "implied_volatility": "iv"})
    frame["desk"] = "A"
    text = frame.to_csv(index=False).replace("\n", "\n\n", 5)
    path.write_text(text + "\n\n", encoding="utf-8-sig")
    loaded = market_data.load_surfaces(
        path,
        date_column="Datum",
        maturity_column="T",
        volatility_column="iv",
        ghost_strikes=surfaces.ghost_strikes,
    )
    assert_same(loaded, surfaces)


@pytest.mark.parametrize("as_text", [False, True])
def test_parquet_round_trip(surfaces, tmp_path, as_text):
    frame = surfaces.to_frame()
    if as_text:
        frame["date"] = frame["date"].dt.strftime("%Y-%m-%d")
    path = tmp_path / "surfaces.parquet"
    frame.to_parquet(path, index=False)
    loaded = market_data.load_surfaces(path, ghost_strikes=surfaces.ghost_strikes)
    assert_same(loaded, surfaces)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    def missing(*arguments, **options):
        raise ImportError("No module named 'pyarrow'")

    monkeypatch.setattr(pandas, "read_parquet", missing)
    with pytest.raises(ImportError, match=r"pip install 'hedgezoo\[parquet\]'"):
        market_data.load_surfaces(tmp_path / "surfaces.parquet")


def test_maturities_that_agree_to_rounding_are_one(frame, tmp_path):
    frame.loc[7, "maturity"] += 1e-13
    frame.loc[8, "moneyness"] -= 1e-13
    frame.to_csv(tmp_path / "surfaces.csv", index=False)
    loaded = market_data.load_surfaces(tmp_path / "surfaces.csv")
    assert loaded.maturities.tolist() == [0.25, 0.5]
    assert loaded.strikes.tolist() == [0.9, 1.0, 1.1]


def spoil(frame, row, column, value):
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: spoil(f, 4, "implied_volatility", "n/a"), r"positive numbers.*'n/a' in line 6"),
        (lambda f: spoil(f, 4, "implied_volatility", -0.2), r"'-0.2' in line 6"),
        (lambda f: spoil(f, 4, "implied_volatility", ""), r"'' in line 6"),
        (lambda f: spoil(f, 4, "implied_volatility", "nan"), r"'nan' in line 6"),
        (lambda f: spoil(f, 4, "implied_volatility", "inf"), r"'inf' in line 6"),
        (lambda f: spoil(f, 4, "implied_volatility", 20.0), r"fractions.*20 in line 6"),
        (lambda f: spoil(f, 0, "maturity", 0), r"'maturity' must hold positive.*'0' in line 2"),
        (lambda f: spoil(f, 0, "moneyness", -1), r"'moneyness' must hold positive"),
        (lambda f: spoil(f, 5, "spot", 0), r"'spot' must hold positive.*line 7"),
        (lambda f: spoil(f, 5, "spot", 1.0), r"one spot per date.*100.0 and 1.0 on 2024-01-02"),
        (lambda f: spoil(f, 1, "date", "02.01.2024"), r"dates such as.*'02.01.2024' in line 3"),
        (lambda f: spoil(f, 1, "date", ""), r"dates such as.*'' in line 3"),
        (lambda f: f.drop(columns="spot"), r"no column `spot_column`='spot'.*'moneyness'"),
        (lambda f: f.iloc[:0], "no data"),
        (
            lambda f: f.drop(index=[10, 16]),
            r"2024-01-03 without \(maturity, moneyness\) \(0.5, 1\); 2 dates have holes",
        ),
        (
            lambda f: spoil(f, 7, "moneyness", 1.02),
            r"all 2 maturities at all 4 moneynesses.*2024-01-02 without.*\(0.25, 1.02\)",
        ),
        (
            lambda f: pandas.concat([f, f.iloc[[2]]]),
            r"maturity 0.25, moneyness 1.1 on 2024-01-02 in line 4.* and again in line 20",
        ),
        (lambda f: f.assign(moneyness=f["moneyness"] + 0.2), r"contain the forward.*1.1"),
        (lambda f: f[f["moneyness"] == 1.0], "at least two strikes"),
        (
            lambda f: spoil(f, 10, "implied_volatility", 0.3),
            r"2024-01-03, butterfly at strike 1, maturity 0.5",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_named(frame, tmp_path, change, message):
    path = tmp_path / "history.csv"
    change(frame).to_csv(path, index=False)
    with pytest.raises(ValueError, match=message) as error:
        market_data.load_surfaces(path)
    assert "history.csv" in str(error.value)


def test_empty_file_and_unknown_choice(frame, tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("")
    with pytest.raises(ValueError, match=r"history.csv is not a CSV file with a header line"):
        market_data.load_surfaces(path)
    with pytest.raises(ValueError, match=r"`arbitrage` must be one of.*'ignore'"):
        market_data.load_surfaces(path, arbitrage="ignore")
    with pytest.raises(FileNotFoundError):
        market_data.load_surfaces(tmp_path / "other.csv")


def test_rows_of_parquet_files_are_counted_from_one(frame, tmp_path):
    frame.loc[4, "implied_volatility"] = np.nan
    frame.to_parquet(tmp_path / "history.parquet", index=False)
    with pytest.raises(ValueError, match=r"nan in row 5 of .*history.parquet"):
        market_data.load_surfaces(tmp_path / "history.parquet")


def test_arbitrage_in_a_file_is_repaired_on_request(frame, tmp_path):
    path = tmp_path / "history.csv"
    spoil(frame, 10, "implied_volatility", 0.3).to_csv(path, index=False)
    loaded = market_data.load_surfaces(path, arbitrage="repair")
    (repair,) = loaded.repairs
    assert str(repair.date) == "2024-01-03"
    assert 0.0 < repair.largest_volatility_change < 0.1
    assert (loaded.dlv > 0).all()
