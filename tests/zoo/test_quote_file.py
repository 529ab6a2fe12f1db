"""Files of quotes: what is read, what is left out and why, and what is refused."""

import csv

import numpy as np
import pytest
from scipy.special import ndtr

from hedgezoo.baselines.calibration import calibrate
from hedgezoo.datasets.market_data import option_chain
from hedgezoo.layers import heston_call, implied_volatility
from hedgezoo.market_calibration.quote_file import read_quotes
from hedgezoo.market_calibration.quote_panel import panel_of_chain

TRUTH = np.array([1.5, 0.05, 0.7, -0.6, 0.03])
SPOT, RATE, DIVIDEND = 2500.0, 0.03, 0.01
YEARS = np.array([0.25, 1.0, 2.0])
FORWARDS = SPOT * np.exp((RATE - DIVIDEND) * YEARS)
STRIKES = np.array([2000.0, 2250.0, 2500.0, 2750.0, 3000.0])
HALF = 0.002  # of the spread, in volatility


@pytest.fixture(scope="module")
def surface():
    """Prices in money and volatilities of a Heston model, as rows of a file."""
    moneyness = STRIKES / FORWARDS[:, np.newaxis]
    calls = heston_call(TRUTH, moneyness, YEARS).numpy()
    sigma = implied_volatility(calls, moneyness, YEARS).numpy()
    rows = []
    for j, i in np.ndindex(calls.shape):
        unit = FORWARDS[j] * np.exp(-RATE * YEARS[j])
        put = calls[j, i] - 1 + moneyness[j, i]
        for kind, price in (("call", calls[j, i]), ("put", put)):
            rows.append(
                {
                    "strike": STRIKES[i],
                    "maturity": YEARS[j],
                    "forward": FORWARDS[j],
                    "type": kind,
                    "iv": sigma[j, i],
                    "price": unit * price,
                }
            )
    return rows


def write(path, rows, separator=","):
    lines = [separator.join(rows[0])]
    lines += [separator.join(str(value) for value in row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def chosen(rows, *names, **formulas):
    """The named columns, and others as functions of a row."""
    return [
        {name: row[name] for name in names} | {name: f(row) for name, f in formulas.items()}
        for row in rows
    ]


def calls_only(rows):
    return [row for row in rows if row["type"] == "call"]


def assert_recovered(panel, tolerance=1e-6):
    fit = calibrate(*panel.arguments)
    np.testing.assert_allclose(fit.parameters, TRUTH, rtol=tolerance)
    np.testing.assert_allclose(panel.maturities, YEARS)
    np.testing.assert_allclose(panel.strikes, STRIKES / FORWARDS[:, np.newaxis], rtol=1e-12)


# ------------------------------------------------------------------------------------------- read


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_volatilities_and_forwards(surface, tmp_path, separator):
    rows = chosen(calls_only(surface), "iv", "strike", "maturity", "forward")
    panel = read_quotes(write(tmp_path / "quotes.csv", rows[::-1], separator))
    assert_recovered(panel)
    np.testing.assert_allclose(panel.forwards, FORWARDS)
    assert panel.spread is None
    assert panel.mask.all()
    assert panel.dropped == ()
    assert panel.lines[0, 0] == len(rows) + 1  # the file is written backwards


def test_bid_and_ask_volatilities(surface, tmp_path):
    rows = chosen(
        calls_only(surface),
        **{
            "K": lambda row: row["strike"],
            "T": lambda row: row["maturity"],
            "Bid Vol": lambda row: row["iv"] - HALF,
            "Ask Vol": lambda row: row["iv"] + HALF,
        },
    )
    panel = read_quotes(
        write(tmp_path / "quotes.csv", rows), spot=SPOT, rate=RATE, dividend=DIVIDEND
    )
    assert_recovered(panel)
    np.testing.assert_allclose(panel.spread, 2 * HALF)
    assert panel.quoted_as == ("Bid Vol", "Ask Vol")


@pytest.mark.parametrize("kept", ["call", "put", "both"])
def test_prices_with_spot_rate_and_dividend(surface, tmp_path, kept):
    rows = [row for row in surface if kept in ("both", row["type"])]
    path = write(tmp_path / "quotes.csv", chosen(rows, "strike", "maturity", "type", "price"))
    panel = read_quotes(path, spot=SPOT, rate=RATE, dividend=DIVIDEND)
    assert_recovered(panel)
    if kept != "both":
        return
    assert len(panel) == len(panel.dropped) == 15
    for quote in panel.dropped:
        row = rows[quote.line - 2]
        assert "in the money" in quote.reason
        assert (row["type"] == "call") == (row["strike"] < row["forward"])
        assert (quote.strike, quote.maturity) == (row["strike"], row["maturity"])


def test_bid_and_ask_prices_with_discount_factors(surface, tmp_path):
    """A spread that is symmetric in price, around prices of the model."""
    day = np.datetime64("2019-01-10")
    rows = chosen(
        [row for row in surface if row["maturity"] >= 1],  # 0.25 years are no whole days
        "strike",
        "forward",
        expiry=lambda row: day + int(365 * row["maturity"]),
        cp_flag=lambda row: row["type"][0].upper(),
        best_bid=lambda row: 0.99 * row["price"],
        best_offer=lambda row: 1.01 * row["price"],
        df=lambda row: np.exp(-RATE * row["maturity"]),
    )
    panel = read_quotes(write(tmp_path / "quotes.csv", rows), date="2019-01-10")
    np.testing.assert_array_equal(panel.maturities, YEARS[1:])
    assert panel.date == day
    expected = [row["iv"] for row in calls_only(surface) if row["maturity"] >= 1]
    np.testing.assert_allclose(panel.implied_volatility.ravel(), expected, rtol=1e-10)
    # to first order the difference of two volatilities is that of the prices by vega
    k, years = panel.strikes, panel.maturities[:, np.newaxis]
    w = panel.implied_volatility * np.sqrt(years)
    vega = np.exp(-0.5 * (-np.log(k) / w + 0.5 * w) ** 2) * np.sqrt(years / (2 * np.pi))
    calls = heston_call(TRUTH, k, panel.maturities).numpy()
    otm = np.where(k < 1, calls - 1 + k, calls)
    np.testing.assert_allclose(panel.spread, 0.02 * otm / vega, rtol=1e-3)


@pytest.mark.parametrize("rate", [None, RATE])
def test_prices_of_calls_and_puts_need_no_forward(surface, tmp_path, rate):
    """Put-call parity; one call is stale, and a maturity has two strikes only."""
    rows = chosen(surface, "strike", "maturity", "type", "price")
    rows[2]["price"] += 40.0
    rows = [row for row in rows if row["maturity"] < 2 or row["strike"] in (2250.0, 2750.0)]
    panel = read_quotes(write(tmp_path / "quotes.csv", rows), rate=rate)
    assert panel.forwards_from == "from put-call parity"
    np.testing.assert_allclose(panel.forwards, FORWARDS, rtol=1e-12)
    wrong = panel.lines == 4
    sigma = {(row["maturity"], row["strike"]): row["iv"] for row in surface}
    for j, i in np.argwhere(panel.mask & ~wrong):
        strike = round(panel.strikes[j, i] * FORWARDS[j])
        truth = sigma[YEARS[j], strike]
        assert panel.implied_volatility[j, i] == pytest.approx(truth, rel=1e-8)


def test_spot_in_the_file_does_not_stop_parity(surface, tmp_path):
    rows = chosen(surface, "strike", "maturity", "type", "price", underlying=lambda row: SPOT)
    panel = read_quotes(write(tmp_path / "quotes.csv", rows))
    np.testing.assert_allclose(panel.forwards, FORWARDS, rtol=1e-12)
    panel = read_quotes(write(tmp_path / "quotes.csv", rows), rate=RATE)
    assert panel.forwards_from == "from spot and rate, without dividend"
    np.testing.assert_allclose(panel.forwards, SPOT * np.exp(RATE * YEARS))


def test_moneyness_days_and_percent(surface, tmp_path):
    rows = chosen(
        calls_only(surface),
        days=lambda row: 365 * row["maturity"],
        moneyness=lambda row: row["strike"] / row["forward"],
        vol=lambda row: 100 * row["iv"],
    )
    panel = read_quotes(write(tmp_path / "quotes.csv", rows), percent=True)
    assert_recovered(panel)
    assert np.isnan(panel.forwards).all()


def test_far_put_keeps_its_digits(tmp_path):
    """A put worth 1e-8 of the forward: by parity from a call, eight digits would be lost."""
    w = 0.2 * np.sqrt(0.5)
    d1 = -np.log(0.5) / w + w / 2
    put = 100 * (0.5 * ndtr(w - d1) - ndtr(-d1))
    rows = [{"strike": 50, "maturity": 0.5, "type": "P", "price": put}]
    panel = read_quotes(write(tmp_path / "quotes.csv", rows), forward=100, rate=0)
    assert 1e-9 < put / 100 < 1e-6
    assert panel.implied_volatility[0, 0] == pytest.approx(0.2, rel=1e-12)


@pytest.mark.parametrize("name", ["sx5e_2010-03-01", "dax_2002-07-05"])
def test_chains_round_trip(name, tmp_path):
    chain = option_chain(name)
    chain.to_csv(tmp_path / "chain.csv")
    panel, direct = read_quotes(tmp_path / "chain.csv"), panel_of_chain(chain)
    for mine, other in zip(panel.arguments[:4], direct.arguments[:4], strict=True):
        np.testing.assert_array_equal(mine, other)
    np.testing.assert_array_equal(panel.lines, direct.lines)
    assert panel.date == chain.date
    rows = list(csv.DictReader((tmp_path / "chain.csv").open()))
    line = panel.lines[2, 3]
    assert float(rows[line - 2]["implied_volatility"]) == panel.implied_volatility[2, 3]


def test_some_rows_of_a_chain():
    chain = option_chain("dax_2002-07-05")
    panel = panel_of_chain(chain, chain.maturities > 0.1)
    assert len(panel) == 91
    assert len(panel.maturities) == 7


# ---------------------------------------------------------------------------------------- left out


def test_what_is_left_out_says_line_and_reason(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text(
        "K,T,type,bid,ask\n"
        "100,1,call,7.9,8.1\n"
        "100,1,call,7.8,8.2\n"  # 3: again
        "110,1,call,5,4\n"  # 4: crossed
        "120,1,call,0,0.4\n"  # 5: no bid
        "130,1,call,,0.4\n"  # 6: empty
        "\n"
        "70,1,call,29.5,31\n"  # 8: the bid is below the intrinsic value of 30
        "90,1,call,99,101\n"  # 9: more than the forward
        "95,0,call,5,6\n"  # 10: expired
        "80,1,call,20,21\n"  # 11: at intrinsic value, to the digit
        "90,1,put,3.0,3.2\n"
        "90,1,call,13.0,13.2\n"  # 13: in the money
    )
    panel = read_quotes(path, forward=100.0, rate=0.0)
    np.testing.assert_array_equal(panel.lines, [[12, 2]])
    reasons = {quote.line: quote.reason for quote in panel.dropped}
    assert reasons == {
        3: "repeats the strike of line 2",
        4: "crossed: bid above ask",
        5: "no bid",
        6: "no bid",
        8: "bid below intrinsic value",
        9: "ask above what the option can pay",
        10: "expired",
        11: "bid at intrinsic value",
        13: "in the money; line 12 has the other side of it",
    }


def test_worthless_quotes(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text("K,T,iv\n100,0.02,0.2\n150,0.02,0.2\n60,0.02,0.2\n")
    panel = read_quotes(path, forward=100.0)
    assert [quote.line for quote in panel.dropped] == [3, 4]
    assert all("worthless" in quote.reason for quote in panel.dropped)
    path.write_text("K,T,type,price\n150,0.02,call,0\n")
    with pytest.raises(ValueError, match=r"no quote that can be used.*line 2: worthless: price 0"):
        read_quotes(path, forward=100.0, rate=0.0)


def test_the_side_in_the_money_is_used_where_the_other_cannot_be(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text("K,T,type,bid,ask\n90,1,put,3.2,3.0\n90,1,call,13.0,13.2\n")
    panel = read_quotes(path, forward=100.0, rate=0.0)
    assert panel.lines.tolist() == [[3]]


def test_a_file_of_several_days(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text(
        "date,expiry,strike,forward,iv\n2019-01-10,2020-01-10,100,100,0.2\n"
        "20190111,2020-01-11,100,101,0.21\n"
    )
    panel = read_quotes(path, date="2019-01-11")
    assert panel.implied_volatility.tolist() == [[0.21]]
    assert panel.maturities.tolist() == [1.0]
    with pytest.raises(ValueError, match="quotes of 2 days, 2019-01-10 to 2019-01-11"):
        read_quotes(path)
    with pytest.raises(ValueError, match="no quotes of `date`=2019-02-01"):
        read_quotes(path, date="2019-02-01")


# ------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "must have a heading and at least one quote"),
        ("K,T,iv\n", {}, "must have a heading and at least one quote"),
        ("T,iv\n1,0.2\n", {}, r"no column of strikes: 'strike' or 'moneyness'.*\['T', 'iv'\]"),
        ("K,iv\n100,0.2\n", {}, "no column of maturities"),
        ("K,T,ask\n100,1,2\n", {}, "no column of quotes: 'implied_volatility' or 'bid_vol'"),
        ("K,expiry,iv\n100,2020-01-10,0.2\n", {}, "option `date` must give it"),
        ("K,expiry,iv\n100,10.01.2020,0.2\n", {}, "line 2: expected the expiry as an ISO date"),
        ("K,T,price\n100,1,8\n", {"rate": 0}, "no column of option types"),
        ("K,T,price,type\n100,1,8,\n", {"rate": 0}, "line 2: a price needs the type"),
        ("K,T,price,type\n100,1,8,x\n", {}, "line 2: expected the type 'call' or 'put'"),
        ("K,T,price,type\n100,1,8,c\n", {}, "prices need a column 'discount' or a `rate`"),
        ("K,T,price,type\n100,1,-8,c\n", {"rate": 0}, "line 2: the price must not be negative"),
        ("K,T,iv\n100,1,0.2\n100,1\n", {}, "line 3: expected 3 cells.*Received: 2"),
        ("K,T,iv\n100,1,abc\n", {}, "line 2: expected a number.*'abc' in column 'iv'"),
        ("K,T,iv\n100,1,inf\n", {}, "line 2: expected a finite number"),
        ("K;T;iv\n100;1;0,2\n", {}, "line 2: expected a number with a decimal point"),
        ("K,T,iv\n100,1,20%\n", {}, "line 2: numbers must be decimals"),
        ("K,T,iv\n\n100,1,0\n", {}, "line 3: the implied volatility must be positive"),
        ("K,T,iv\n-1,1,0.2\n", {}, "line 2: the strike must be positive"),
        ("K,T,iv\n,1,0.2\n", {}, "line 2: the strike is missing"),
        ("K,T,iv\n100,1,0.2\n90,1,21.5\n", {}, "line 3: volatilities must be decimals.*21.5"),
        ("K,T,iv\n100,1,0.2\n", {"percent": True}, "do not look like percent"),
        ("K,T,iv\n100,1,\n", {}, "no quote that can be used.*line 2: no implied volatility"),
        ("K,T,iv,vol\n100,1,0.2,0.2\n", {}, "one column of each kind.*'iv' and 'vol'"),
        ("K,T,iv,F\n100,1,0.2,100\n", {}, "`forward` is in .*already, column 'F'"),
        ("K,T,iv\n100,1,0.2\n", {"spot": 90}, "`spot` has no use beside a forward"),
        ("K,T,iv\n100,1,0.2\n", {"forward": None}, "no forwards"),
        ("K,T,iv,S\n100,1,0.2,100\n", {"forward": None}, "no forwards"),
        ("K,T,iv\n9,1,0.2\n", {"forward": None, "spot": 9}, "forward of a `spot` needs `rate`"),
        (
            "K,T,price,type\n100,1,8,c\n100,1,8,p\n90,1,14,c\n",
            {"forward": None},
            "a call and a put at 2 strikes of each maturity.*Received: 1 at maturity 1, line 2",
        ),
        (
            "K,T,price,type\n100,1,8,c\n100,1,8,p\n90,1,80,c\n90,1,4,p\n",
            {"forward": None},
            "must imply a forward by put-call parity.*discount factor 7.6",
        ),
        ("K,T,iv\n1.05,1,0.2\n", {"forward": 2500}, "line 2: strike and forward.*same units"),
        ("K,T,iv\n100,1,0.2\n", {"forward": -1}, "`forward` must be a positive number"),
        ("K,T,iv\n100,1,0.2\n", {"rate": float("nan")}, "`rate` must be a finite number"),
        ("K,T,iv\n100,1,0.2\n", {"date": "January"}, "`date` must be a date such as 2019-01-10"),
    ],
)
def test_refusals_name_file_line_column_and_value(text, options, message, tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_quotes(path, **{"forward": 100.0, **options})
    assert "Received: " in str(caught.value)
    if not message.startswith(("`forward` must", "`rate`", "`date`", "`spot`")):
        assert str(path) in str(caught.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_quotes(tmp_path / "missing.csv")
    workbook = tmp_path / "quotes.xlsx"
    workbook.write_bytes(b"PK\x03\x04\xff\xfe\x00\x00")
    with pytest.raises(ValueError, match=r"quotes\.xlsx must be a text file"):
        read_quotes(workbook)
