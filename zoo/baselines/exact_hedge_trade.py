"""The trade of one step under `ExactHedge`, and quadrature that knows where its result has kinks.

After the trade, values have a kink in the spot wherever a position touches the edge of the band:
on one side of it the hedger trades, on the other she rests. Both branches are smooth and known
everywhere, so the trapezoid rule is corrected by the Euler-Maclaurin formula for their difference,
which removes the errors of second to fourth order in the spacing.
"""

import numpy as np

LARGEST_EXPONENT = 50.0  # beyond it, a correction at a kink is cut off anyway


def trade(held, positions, spot, cost, risk_aversion, band=None, target=None):
    """Values before the trade from values after it.

    Args:
        held: certainty equivalents after the trade, `(rows, positions)`.
        positions: a `PositionGrid`.
        spot: `(rows,)`.
        cost: proportional cost rate.
        risk_aversion: of the exponential utility.
        band: `(lower, upper)`, each `(rows,)`; None for the best one.
        target: new positions `(rows, positions)` of a policy that is no band.

    Returns:
        `(owed, integrand, band)`: certainty equivalents before the trade; the same, changed next
        to kinks so that the trapezoid rule integrates `exp(a integrand)` right; the band.
    """
    slopes = positions.slopes(held)
    nodes = positions.nodes
    buy, sell = ((1 + cost) * spot)[:, None], ((1 - cost) * spot)[:, None]
    if target is not None:
        gap = target - nodes
        after = positions.evaluate(held, slopes, target)
        buying, selling = after + buy * gap, after + sell * gap
        owed = np.where(gap > 0, buying, selling)
        kinks = [(buying, selling, gap)]
    else:
        if band is None:
            lower = positions.where_slope_is(-buy[:, 0], held, slopes)
            upper = positions.where_slope_is(-sell[:, 0], held, slopes)
            band = lower, np.maximum(lower, upper)
        lower, upper = (edge[:, None] for edge in band)
        at_lower = positions.evaluate(held, slopes, band[0])[:, None]
        at_upper = positions.evaluate(held, slopes, band[1])[:, None]
        buying = at_lower + buy * (lower - nodes)
        selling = at_upper + sell * (upper - nodes)
        owed = np.where(lower > nodes, buying, np.where(upper < nodes, selling, held))
        kinks = [(buying, held, lower - nodes), (selling, held, nodes - upper)]
    factor = np.zeros_like(owed)
    for inside, outside, where in kinks:
        _correct_kinks(factor, risk_aversion * owed, risk_aversion, inside, outside, where)
    return owed, add_masses(owed, factor, risk_aversion), band


def add_masses(owed, factor, risk_aversion):
    """`(1/a) log(exp(a owed) (1 + factor))`; bounds keep a discontinuous policy from harm."""
    return owed + np.log1p(np.clip(factor, -0.5, 1.0)) / risk_aversion


def relative_exp(exponent):
    """`exp(exponent) − 1`, bounded."""
    return np.expm1(np.minimum(exponent, LARGEST_EXPONENT))


def kink_masses(derivatives, place):
    """Masses that correct the trapezoid sum of `D(x) K(x)` over `x > kink`, with `D(kink) = 0`.

    The Euler-Maclaurin terms `B_n (D K)^(n-1) / n!`, n = 2, 3, 4, are written as a combination of
    K and its derivatives, and these by the cubic through the four nodes around the kink.

    Args:
        derivatives: first, second and third derivative of D; the unit of x is the spacing.
        place: distance of the kink from the node on its left, from 0 to 1.

    Returns:
        What to add to D at the nodes −1, 0, 1, 2, counted from the one left of the kink.
    """
    first, second, third = derivatives
    rest = 1 - place  # Bernoulli polynomials of the distance to the first node inside
    b2 = (rest * rest - rest + 1 / 6) / 2
    b3 = rest * (rest - 0.5) * (rest - 1) / 6
    b4 = (rest**2 * (rest - 1) ** 2 - 1 / 30) / 24
    value = b2 * first + b3 * second + b4 * third
    slope = 2 * b3 * first + 3 * b4 * second
    bend = 3 * b4 * first
    t = place
    basis = (
        (-t * (t - 1) * (t - 2) / 6, -(3 * t * t - 6 * t + 2) / 6, 1 - t),
        ((t + 1) * (t - 1) * (t - 2) / 2, (3 * t * t - 4 * t - 1) / 2, 3 * t - 2),
        (-(t + 1) * t * (t - 2) / 2, -(3 * t * t - 2 * t - 2) / 2, 1 - 3 * t),
        ((t + 1) * t * (t - 1) / 6, (3 * t * t - 1) / 6, t),
    )
    return [value * at + slope * rise + bend * curve for at, rise, curve in basis]


def _correct_kinks(factor, exponent, risk_aversion, inside, outside, where):
    """Add to `factor` the corrections for `(exp(a inside) − exp(a outside)) 1{where > 0}`."""
    sign = where > 0
    row, column = np.nonzero(sign[1:-2] != sign[2:-1])
    if not row.size:
        return
    stencil = (np.arange(4)[:, None] + row, column)
    scale = exponent[row + 1, column]
    jump = relative_exp(risk_aversion * inside[stencil] - scale)
    jump -= relative_exp(risk_aversion * outside[stencil] - scale)
    edge = where[stencil]
    place = edge[1] / (edge[1] - edge[2])
    c0, c1, c2, c3 = _cubic(edge)
    for _ in range(2):
        derivative = c1 + place * (2 * c2 + 3 * place * c3)
        value = c0 + place * (c1 + place * (c2 + place * c3))
        place = np.clip(place - value / np.where(derivative == 0, np.inf, derivative), 0.0, 1.0)
    _, c1, c2, c3 = _cubic(jump)
    derivatives = c1 + place * (2 * c2 + 3 * place * c3), 2 * c2 + 6 * place * c3, 6 * c3
    # inside on the left is all of the line less inside on the right
    side = np.where(edge[2] > 0, 1.0, -1.0)
    for node, mass in enumerate(kink_masses(derivatives, place)):
        relative = 1 + relative_exp(scale - exponent[row + node, column])
        np.add.at(factor, (row + node, column), side * mass * relative)


def _cubic(values):
    """Coefficients of the cubic through values at −1, 0, 1, 2 (leading axis)."""
    a, b, c, d = values
    return (
        b,
        -a / 3 - b / 2 + c - d / 6,
        (a + c) / 2 - b,
        (d - a) / 6 + (b - c) / 2,
    )
