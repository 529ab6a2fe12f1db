"""QuantLib's own calibration: its engine, its helpers and its Levenberg-Marquardt."""

import numpy as np

_EPOCH = (1, 1, 2000)
_MOST_DAYS = 60_000  # QuantLib's calendar ends in 2199
_MOST_STRETCH = 100
_ACCURACY = 1e-8  # as in QuantLib's own test of the DAX
_BATES_NODES = 144  # of Gauss-Laguerre quadrature; the fitted engine knows no jumps
# of QuantLib's EndCriteria::Type
_REASONS = {
    1: "evaluations used up",
    2: "the point no longer changes",
    3: "the sum of squares no longer changes",
    4: "the sum of squares is as small as asked for",
    5: "the gradient is zero",
    6: "a step of the differences is too small",
}


def quantlib(errors, start, limits):
    """Levenberg-Marquardt of QuantLib, its derivatives by finite differences.

    QuantLib's options expire at whole days. Time is therefore counted in units of 1/s years, s
    the smallest integer for which all maturities are whole days: variances and κ, ξ scale by 1/s.
    Where there is none, maturities are rounded, and the message says so. Of `limits` it takes the
    number of evaluations alone.

    Args:
        errors: A `VolatilityErrors`.
        start: Coordinates to start from.
        limits: A `Limits`.

    Returns:
        Coordinates, whether it converged, and a message.
    """
    import QuantLib as ql

    model, useful = errors.model, ~errors.worthless
    years = errors.quotes.maturities[useful]
    stretch = _stretch(years)
    days = np.maximum(1.0, np.round(365 * stretch * years))
    settings = ql.Settings.instance()
    date = settings.evaluationDate
    settings.evaluationDate = ql.Date(*_EPOCH)
    try:
        flat = ql.FlatForward(ql.Date(*_EPOCH), 0.0, ql.Actual365Fixed())
        flat = ql.YieldTermStructureHandle(flat)
        dynamics, engine = _model(ql, flat, model.from_free(start)[0].tolist(), stretch)
        # the same total variance in the other units of time
        quoted = errors.quotes.implied_volatility[useful] * np.sqrt(365 * years / days)
        helpers = _helpers(ql, flat, engine, days, errors.quotes.strikes[useful], quoted)
        dynamics.calibrate(
            helpers,
            ql.LevenbergMarquardt(_ACCURACY, _ACCURACY, _ACCURACY),
            ql.EndCriteria(limits.evaluations, 40, _ACCURACY, _ACCURACY, _ACCURACY),
            ql.NoConstraint(),
            errors.weights[useful].tolist(),
        )
    except RuntimeError as error:  # what QuantLib raises where an engine fails on its way
        return start, False, f"QuantLib: {error}"
    finally:
        settings.evaluationDate = date
    errors.evaluations += dynamics.functionEvaluation()
    low, high = np.array([row[2] for row in model.rows]).T
    found = np.clip(_parameters(dynamics, stretch), low, high)
    code = dynamics.endCriteria()
    message = _REASONS.get(code, f"EndCriteria {code}")
    gap = np.abs(days / (365 * stretch * years) - 1).max()
    if gap > 1e-9:
        message += f"; maturities rounded by up to {gap:.1e} of themselves"
    return model.to_free(found), code in (2, 3, 4, 5), message


def _helpers(ql, flat, engine, days, strikes, volatilities):
    """QuantLib's quotes, whose errors are in implied volatility."""
    helpers = []
    for day, strike, volatility in zip(
        days.tolist(), strikes.tolist(), volatilities.tolist(), strict=True
    ):
        helper = ql.HestonModelHelper(
            ql.Period(int(day), ql.Days),
            ql.NullCalendar(),
            1.0,
            strike,
            ql.QuoteHandle(ql.SimpleQuote(volatility)),
            flat,
            flat,
            ql.BlackCalibrationHelper.ImpliedVolError,
        )
        helper.setPricingEngine(engine)
        helpers.append(helper)
    return helpers


def _stretch(maturities):
    """Days in QuantLib's year per day of the year."""
    most = max(1, min(_MOST_STRETCH, int(_MOST_DAYS / (365 * maturities.max()))))
    for stretch in range(1, most + 1):
        days = 365 * stretch * maturities
        if (abs(days - days.round()) < 1e-7).all() and days.min() > 0.5:
            return stretch
    return most


def _model(ql, flat, parameters, stretch):
    """QuantLib's model in its units of time, and its engine."""
    kappa, theta, xi, rho, v0, *jumps = parameters
    spot = ql.QuoteHandle(ql.SimpleQuote(1.0))
    scaled = (v0 / stretch, kappa / stretch, theta / stretch, xi / stretch, rho)
    if not jumps:
        model = ql.HestonModel(ql.HestonProcess(flat, flat, spot, *scaled))
        return model, ql.ExponentialFittingHestonEngine(model)
    intensity, mean, deviation = jumps
    jumps = (intensity / stretch, mean, deviation)
    model = ql.BatesModel(ql.BatesProcess(flat, flat, spot, *scaled, *jumps))
    return model, ql.BatesEngine(model, _BATES_NODES)


def _parameters(dynamics, stretch):
    """Ours, from a calibrated model of QuantLib."""
    theta, kappa, xi, rho, v0, *jumps = dynamics.params()
    found = [kappa * stretch, theta * stretch, xi * stretch, rho, v0 * stretch]
    if jumps:
        mean, deviation, intensity = jumps
        found += [intensity * stretch, mean, deviation]
    return found
