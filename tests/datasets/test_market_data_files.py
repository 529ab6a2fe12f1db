"""Shipped daily closes and option chains: what is read is what the files say."""

import csv
import datetime
import re
from importlib import resources

import numpy as np
import pytest

from hedgezoo.datasets import market_data

FILES = resources.files("hedgezoo.datasets.market_data") / "files"
SERIES = {
    "vix_daily.csv": (market_data.vix, "%Y-%m-%d"),
    "vix3m_daily.csv": (market_data.vix3m, "%m/%d/%Y"),
    "spy_daily.csv": (market_data.spy, "%m/%d/%Y"),
}


def raw(name, layout):
    """Date to number, read in another way than the package does."""
    lines = (FILES / name).read_text().splitlines()[1:]
    cells = (line.split(",") for line in lines)
    return {datetime.datetime.strptime(d, layout).date(): float(c) for d, c in cells}


@pytest.mark.parametrize("name", SERIES)
def test_closes_are_those_of_the_file(name):
    function, layout = SERIES[name]
    dates, closes = function()
    expected = raw(name, layout)
    assert dates.dtype == np.dtype("datetime64[D]")
    assert closes.dtype == np.float64
    assert dict(zip(dates.astype(object), closes, strict=True)) == expected
    assert str(dates[0]) == "2009-09-18"
    assert (np.diff(dates) > np.timedelta64(0)).all()
    assert np.isin(np.is_busday(dates), True).all(), "a close on a weekend"


def test_closes_are_those_of_known_days():
    for function, day, close in (
        (market_data.vix, "2020-03-16", 82.69),  # the highest close of VIX
        (market_data.vix, "2017-11-03", 9.14),  # the lowest until then
        (market_data.vix3m, "2009-09-18", 26.54),
        (market_data.spy, "2020-03-23", 222.95),  # the low of 2020
    ):
        dates, closes = function()
        assert closes[dates == np.datetime64(day)] == [close]
    assert market_data.vix().closes[: len(market_data.spy().dates)].max() == 82.69


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_read_closes_reads_what_is_downloaded(tmp_path, bom, end):
    lines = ["DATE,OPEN,HIGH,LOW,CLOSE", "1/02/2024,1,2,3,13.2", "01/3/2024,1,2,3,14.04", ""]
    path = tmp_path / "closes.csv"
    path.write_bytes((bom + end.join(lines)).encode())
    dates, closes = market_data.read_closes(path)
    assert dates.tolist() == [datetime.date(2024, 1, 2), datetime.date(2024, 1, 3)]
    assert closes.tolist() == [13.2, 14.04]
    opens = market_data.read_closes(str(path), close_column="open")
    assert opens.closes.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,price\n2024-01-02,1\n", r"no column `close_column`='close'.*'price'"),
        ("", r"no column `date_column`='date'"),
        ("date,close\n2024-01-02,1\n2024-13-02,1\n", r"date.*'2024-13-02' in line 3 of"),
        ("date,close\n2024-01-02,1\n1/2,1\n", r"'1/2' in line 3"),
        ("date,close\n2024-01-02,-1\n", r"positive.*'-1' in line 2"),
        ("date,close\n2024-01-02,nan\n", r"positive.*'nan' in line 2"),
        ("date,close\n2024-01-02,\n", r"positive.*'' in line 2"),
        ("date,close\n2024-01-02\n", r"Too few columns in line 2"),
        ("date,close\n2024-01-03,1\n2024-01-02,1\n", r"2024-01-02 after 2024-01-03 in line 3"),
        ("date,close\n2024-01-03,1\n2024-01-03,1\n", r"must increase"),
    ],
)
def test_read_closes_names_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        market_data.read_closes(path)
    assert "bad.csv" in str(error.value)


@pytest.mark.parametrize(
    ("name", "quotes", "maturities", "spot", "day"),
    [
        ("sx5e_2010-03-01", 155, 12, 2772.70, "2010-03-01"),
        ("dax_2002-07-05", 104, 8, 4468.17, "2002-07-05"),
    ],
)
def test_option_chains(name, quotes, maturities, spot, day):
    chain = market_data.option_chain(name)
    assert len(chain) == quotes
    assert len(np.unique(chain.maturities)) == maturities
    assert chain.spot == spot
    assert chain.date == np.datetime64(day)
    with (FILES / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for column, values in (
        ("T", chain.maturities),
        ("K", chain.strikes),
        ("F", chain.forwards),
        ("iv", chain.implied_volatility),
    ):
        assert [float(row[column]) for row in rows] == values.tolist()
    # forwards carry the rates, and the indices pay no dividend in these files
    np.testing.assert_allclose(
        chain.forwards, chain.spot * np.exp(chain.rates * chain.maturities), rtol=1e-12
    )
    np.testing.assert_array_equal(chain.moneyness, chain.strikes / chain.forwards)


def test_unknown_chain_is_refused():
    with pytest.raises(ValueError, match=r"`name`.*'dax'.*Did you mean|`name`.*'dax'"):
        market_data.option_chain("dax")


def test_every_file_states_its_licence():
    readme = (FILES / "README.md").read_text()
    listed = set(re.findall(r"^\| (\S+\.csv) \|.*(?:MIT|BSD|Public Domain)", readme, re.MULTILINE))
    assert listed == {file.name for file in FILES.iterdir() if file.name.endswith(".csv")}
    for text in re.findall(r"licences/[\w.-]+\.txt", readme):
        assert "Copyright" in (FILES / text).read_text(encoding="utf-8")
