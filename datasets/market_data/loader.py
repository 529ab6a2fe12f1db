"""A history of surfaces from a user's own file."""

import pathlib

import numpy as np

from hedgezoo.datasets.checks import check_one_of
from hedgezoo.datasets.market_data.surface_history import SurfaceHistory

_HIGHEST_VOLATILITY = 10.0
_SAME = 9  # decimals: maturities and strikes that agree to 1e-9 are one


def load_surfaces(
    path,
    date_column="date",
    maturity_column="maturity",
    moneyness_column="moneyness",
    volatility_column="implied_volatility",
    spot_column="spot",
    ghost_strikes=None,
    arbitrage="raise",
):
    """A history of implied-volatility surfaces from a CSV or Parquet file.

    One line per option and date: date (ISO in a CSV file), maturity in years, moneyness K/F,
    implied volatility per √year (0.2 for 20 %) and spot. The lines may come in any order. Every
    date must have every pair of a maturity and a moneyness that occurs in the file.
    `SurfaceHistory.to_frame` writes this format.

    Args:
        path: File name; `.parquet` or `.pq` is read as Parquet, which takes the package pyarrow,
            anything else as CSV with a header line.
        date_column: Name of the column of dates.
        maturity_column: Name of the column of maturities.
        moneyness_column: Name of the column of strikes divided by the forward.
        volatility_column: Name of the column of implied volatilities.
        spot_column: Name of the column of spot prices, one value per date.
        ghost_strikes: Strikes below and above the others at which options are worth their
            intrinsic value, `(2,)`. None for those of `choose_ghost_strikes`.
        arbitrage: What to do with a surface that has static arbitrage: "raise" an error, or
            "repair" it to the nearest one without and report it in `repairs`.

    Returns:
        A `SurfaceHistory`.

    Raises:
        ValueError: If a column is missing, a cell is not a date or a positive number, a point is
            double or missing, the strikes do not contain the forward, the spot of a date is not
            unique, or a surface has arbitrage; the message names the file and the line or date.
        ImportError: If a Parquet file is given and pyarrow is not installed.

    Example:

    >>> import pathlib, tempfile
    >>> from hedgezoo.datasets import market_data
    >>> history = market_data.spx_surfaces(start="2020-03-16", end="2020-03-18")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "surfaces.csv")
    ...     history.to_frame().to_csv(path, index=False)
    ...     market_data.load_surfaces(path).calls.shape
    (3, 4, 8)
    """
    check_one_of("arbitrage", arbitrage, ("raise", "repair"))
    path = pathlib.Path(path)
    table, place = _read(path)
    columns = {
        "date_column": date_column,
        "maturity_column": maturity_column,
        "moneyness_column": moneyness_column,
        "volatility_column": volatility_column,
        "spot_column": spot_column,
    }
    for argument, name in columns.items():
        if name not in table.columns:
            raise ValueError(
                f"{path} has no column `{argument}`={name!r}. "
                f"Received: columns {[str(column) for column in table.columns]}"
            )
    if not len(table):
        raise ValueError(f"{path} must hold at least one surface. Received: no data")
    numbers = {
        name: _positive(table, name, place)
        for name in (maturity_column, moneyness_column, volatility_column, spot_column)
    }
    volatility, spot = numbers[volatility_column], numbers[spot_column]
    if volatility.max() > _HIGHEST_VOLATILITY:
        row = int(volatility.argmax())
        raise ValueError(
            f"Column {volatility_column!r} must hold fractions, 0.2 for 20 %. "
            f"Received: {volatility[row]:.6g} in {place(row)}"
        )
    dates, day = np.unique(_dates(table, date_column, place), return_inverse=True)
    maturities, maturity = _levels(numbers[maturity_column])
    strikes, strike = _levels(numbers[moneyness_column])
    shape = (len(dates), len(maturities), len(strikes))
    cell = np.ravel_multi_index((day, maturity, strike), shape)

    def described(index):
        at = np.unravel_index(index, shape)
        return f"maturity {maturities[at[1]]:.6g}, moneyness {strikes[at[2]]:.6g} on {dates[at[0]]}"

    _require_once(cell, described, place)
    _require_all(cell, shape, dates, maturities, strikes, path)
    surfaces = np.empty(shape)
    surfaces.ravel()[cell] = volatility
    try:
        return SurfaceHistory.from_volatilities(
            dates,
            _spot_of_day(spot, day, dates, spot_column, place),
            surfaces,
            strikes,
            maturities,
            ghost_strikes,
            arbitrage=arbitrage,
            source=path.name,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(path):
    """The table, and a function that says where a row of it stands in the file."""
    import pandas

    if path.suffix.lower() in (".parquet", ".pq"):
        try:
            table = pandas.read_parquet(path, engine="pyarrow").reset_index(drop=True)
        except ImportError as error:
            raise ImportError(
                "A Parquet file takes the package pyarrow: pip install 'hedgezoo[parquet]', or "
                f"write it as CSV. Received: path={str(path)!r}"
            ) from error
        return table, lambda row: f"row {row + 1} of {path}"
    try:
        # as text, so that what cannot be read can be shown; blank lines keep the count of lines
        table = pandas.read_csv(
            path, dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8-sig"
        )
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is not a CSV file with a header line: {error}") from error
    blank = (table.isna() | table.eq("")).all(axis=1)
    lines = np.flatnonzero(~blank) + 2
    return table[~blank].reset_index(drop=True), lambda row: f"line {lines[row]} of {path}"


def _positive(table, name, place):
    import pandas

    values = pandas.to_numeric(table[name], errors="coerce").to_numpy("float64", na_value=np.nan)
    good = np.isfinite(values) & (values > 0.0)
    if not good.all():
        row = int(np.argmax(~good))
        raise ValueError(
            f"Column {name!r} must hold positive numbers. "
            f"Received: {_shown(table[name][row])} in {place(row)}; bad cells in all: "
            f"{np.sum(~good)}"
        )
    return values


def _dates(table, name, place):
    import pandas

    column = table[name]
    if not pandas.api.types.is_datetime64_any_dtype(column):
        column = pandas.to_datetime(column.astype(str), format="ISO8601", errors="coerce")
    if column.dt.tz is not None:
        column = column.dt.tz_localize(None)
    missing = column.isna().to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"Column {name!r} must hold dates such as 2020-03-16. "
            f"Received: {_shown(table[name][row])} in {place(row)}"
        )
    return column.to_numpy().astype("datetime64[D]")


def _levels(values):
    """The different values, and for each entry the index of its own."""
    _, first, index = np.unique(values.round(_SAME), return_index=True, return_inverse=True)
    return values[first], index


def _require_once(cell, described, place):
    order = np.argsort(cell, kind="stable")
    again = np.flatnonzero(np.diff(cell[order]) == 0)
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise ValueError(
            "There must be one line for each date, maturity and moneyness. "
            f"Received: {described(cell[first])} in {place(first)} and again in {place(second)}"
        )


def _require_all(cell, shape, dates, maturities, strikes, path):
    present = np.zeros(shape, bool)
    present.ravel()[cell] = True
    if present.all():
        return
    day = int(np.argmax(~present.all(axis=(1, 2))))
    holes = np.argwhere(~present[day])
    listed = ", ".join(f"({maturities[j]:.6g}, {strikes[i]:.6g})" for j, i in holes[:5])
    raise ValueError(
        f"Every date in {path} must have all {shape[1]} maturities at all {shape[2]} moneynesses "
        f"of the file. Received: {dates[day]} without (maturity, moneyness) {listed}"
        + (f" and {len(holes) - 5} more" if len(holes) > 5 else "")
        + f"; {np.sum(~present.all(axis=(1, 2)))} dates have holes"
    )


def _spot_of_day(spot, day, dates, name, place):
    first = np.unique(day, return_index=True)[1]
    level = spot[first]
    different = spot != level[day]
    if different.any():
        row = int(np.argmax(different))
        raise ValueError(
            f"Column {name!r} must hold one spot per date. Received: {level[day[row]]} and "
            f"{spot[row]} on {dates[day[row]]}, in {place(first[day[row]])} and {place(row)}"
        )
    return level


def _shown(cell):
    return repr(cell) if isinstance(cell, str) else str(cell)
