"""What a hedger knows at each decision time, as columns for a network."""

import keras
import tensorflow as tf

from hedgezoo.layers._arguments import (
    as_tensor,
    common_dtype,
    money_dtype,
    require_rank,
    require_values,
    shape_of,
)
from hedgezoo.layers.named_features import FEATURES as FEATURES
from hedgezoo.layers.named_features import check_features, named_column


@tf.autograph.experimental.do_not_convert
def hedge_features(
    price,
    time_to_expiry=None,
    features=("log_moneyness", "time_to_expiry"),
    strike=1.0,
    volatility=None,
    cost=None,
    risk_aversion=None,
    position=None,
    instrument=0,
    time_step=None,
    maturity=None,
):
    """Features of a path known at the decision times `t = 0..T-1`, never later.

    | name | column |
    |---|---|
    | `"spot"`, `"log_spot"` | `S`, `log(S)` |
    | `"moneyness"`, `"log_moneyness"` | `S / K`, `log(S / K)` |
    | `"max_log_moneyness"` | `log(max_{s <= t} S_s / K)` |
    | `"min_log_moneyness"` | `log(min_{s <= t} S_s / K)` |
    | `"time_to_expiry"` | years |
    | `"volatility"`, `"cost"`, `"risk_aversion"` | as given |
    | `"previous_position"` | `position`, the units held before the decision |

    Args:
        price: Mid prices at 0..T. Shape `(B, T+1, D)`.
        time_to_expiry: Years from each decision to expiry. A scalar, `(T,)` or `(B, T)`.
            Computed from `time_step` if absent.
        features: Names from the table, or callables that map `price` `(B, T+1, D)` to
            `(B, T)` or `(B, T, k)`, whose column t must not read prices after t.
        strike: Strike `K`. A scalar, `(B,)` or `(B, T)`.
        volatility: Annual volatility. A scalar, `(B,)` or `(B, T)`.
        cost: Cost rate, a fraction of the price. A scalar, `(B,)` or `(B, T)`; or money per
            unit traded `(B, T, D)`, which is divided by the price.
        risk_aversion: A scalar, `(B,)` or `(B, T)`.
        position: Units held before each decision. A scalar, `(B,)`, `(B, T)` or `(B, T, D)`.
        instrument: Index of the instrument whose price is the spot.
        time_step: Years between decisions.
        maturity: Years from the first decision to expiry. Default: `T * time_step`.

    Returns:
        Features. Shape `(B, T, F)`; columns in the order of `features`.

    Raises:
        ValueError: If a name is unknown, a feature lacks its argument, ranks or steps do not
            fit, or an eager price is not positive.

    Example:

    >>> price = [[[1.0], [2.0], [1.5]]]
    >>> hedge_features(price, features=("moneyness", "time_to_expiry"), time_step=0.5).numpy()
    array([[[1. , 1. ],
            [2. , 0.5]]], dtype=float32)
    """
    features = check_features(features)
    dtype = common_dtype(price)
    price = as_tensor(price, dtype)
    require_rank(price, 3, "price", "(B, T+1, D)")
    instruments = price.shape[2]
    if instruments is not None and not 0 <= instrument < instruments:
        raise ValueError(
            f"`instrument` must be an index below D={instruments}. Received: {instrument}"
        )
    spot = price[:, :-1, instrument]
    require_values(lambda x: x > 0, price[:, :, instrument], "price", "positive")
    if time_to_expiry is None and time_step is not None:
        steps = tf.shape(spot)[1]
        maturity = time_step * tf.cast(steps, dtype) if maturity is None else maturity
        time_to_expiry = maturity - time_step * tf.cast(tf.range(steps), dtype)
    cost, position = (None if x is None else as_tensor(x, dtype) for x in (cost, position))
    if cost is not None and cost.shape.rank == 3:
        cost = cost[:, :, instrument] / spot
    if position is not None and position.shape.rank == 3:
        position = position[:, :, instrument]
    state = {
        "spot": spot,
        "strike": strike,
        "time_to_expiry": time_to_expiry,
        "volatility": volatility,
        "cost": cost,
        "risk_aversion": risk_aversion,
        "position": position,
    }
    # Columns are gathered along the first axis and turned at the end: faster than writing
    # them side by side.
    columns = [
        _user_columns(feature, price, spot)
        if callable(feature)
        else named_column(feature, state, spot)[None]
        for feature in features
    ]
    return tf.transpose(tf.concat(columns, axis=0), (1, 2, 0))


@tf.autograph.experimental.do_not_convert
def hedge_features_step(
    spot,
    time_to_expiry=None,
    features=("log_moneyness", "time_to_expiry"),
    strike=1.0,
    volatility=None,
    cost=None,
    risk_aversion=None,
    position=None,
    maximum=None,
    minimum=None,
):
    """Named features at one decision time, for a serving process that sees no path.

    Column for column the same as `hedge_features` at that time.

    Args:
        spot: Price now. Shape `(B,)`.
        time_to_expiry: Years to expiry. A scalar or `(B,)`, as is every further argument.
        features: Names, see `hedge_features`. Callables read whole paths and are refused.
        strike: Strike.
        volatility: Annual volatility.
        cost: Cost rate, a fraction of the price.
        risk_aversion: Risk aversion.
        position: Units held before the decision.
        maximum: Highest price so far, the present one included.
        minimum: Lowest price so far, the present one included.

    Returns:
        Features. Shape `(B, F)`.

    Raises:
        ValueError: If a name is unknown, or a feature lacks its argument.

    Example:

    >>> hedge_features_step([2.0, 3.0], 0.25, ("moneyness", "time_to_expiry"), strike=2.0).numpy()
    array([[1.  , 0.25],
           [1.5 , 0.25]], dtype=float32)
    """
    features = check_features(features)
    if any(callable(feature) for feature in features):
        raise ValueError(f"`features` of one step must be names. Received: features={features}")
    spot = as_tensor(spot, common_dtype(spot))
    require_rank(spot, 1, "spot", "(B,)")
    require_values(lambda x: x > 0, spot, "spot", "positive")
    state = {
        "spot": spot,
        "strike": strike,
        "time_to_expiry": time_to_expiry,
        "volatility": volatility,
        "cost": cost,
        "risk_aversion": risk_aversion,
        "position": position,
        "maximum": maximum,
        "minimum": minimum,
    }
    return tf.stack([named_column(name, state, spot) for name in features], axis=-1)


@keras.saving.register_keras_serializable(package="hedgezoo")
class HedgeFeatures(keras.layers.Layer):
    """Layer over `hedge_features`: prices in, features out.

    Args:
        features: Names or callables, see `hedge_features`. To save the layer, callables must
            be registered with `keras.saving.register_keras_serializable`.
        strike: Strike, a number.
        volatility: Annual volatility, a number, or `None`.
        cost: Cost rate, a number, or `None`.
        risk_aversion: A number, or `None`.
        time_step: Years between decisions, or `None` if the times are inputs.
        maturity: Years from the first decision to expiry. Default: `T * time_step`.
        instrument: Index of the instrument whose price is the spot.
        **kwargs: Keyword arguments of `keras.layers.Layer`, e.g. `name` and `dtype`.

    Call arguments:
        inputs: Prices `(B, T+1, D)`, or a dictionary with `"price"` and any of
            `"time_to_expiry"`, `"strike"`, `"volatility"`, `"cost"`, `"risk_aversion"` and
            `"position"`, which then replace the numbers given above. Other keys are ignored.

    Output shape:
        `(B, T, F)`.

    Raises:
        ValueError: If a name is unknown or the inputs lack the price; see also `hedge_features`.

    Example:

    >>> layer = HedgeFeatures(("moneyness", "time_to_expiry"), time_step=0.5)
    >>> layer(tf.constant([[[1.0], [2.0], [1.5]]])).numpy()
    array([[[1. , 1. ],
            [2. , 0.5]]], dtype=float32)
    """

    def __init__(
        self,
        features=("log_moneyness", "time_to_expiry"),
        strike=1.0,
        volatility=None,
        cost=None,
        risk_aversion=None,
        time_step=None,
        maturity=None,
        instrument=0,
        **kwargs,
    ):
        # Under mixed precision prices must arrive as they are, see `money_dtype`.
        super().__init__(**{"autocast": False, **kwargs})
        self.features = check_features(features)
        self.strike = strike
        self.volatility = volatility
        self.cost = cost
        self.risk_aversion = risk_aversion
        self.time_step = time_step
        self.maturity = maturity
        self.instrument = instrument

    def call(self, inputs):
        given = inputs if isinstance(inputs, dict) else {"price": inputs}
        if "price" not in given:
            raise ValueError(f"`inputs` must have the key 'price'. Received: {sorted(given)}")
        columns = hedge_features(
            as_tensor(given["price"], money_dtype(self.compute_dtype)),
            time_to_expiry=given.get("time_to_expiry"),
            features=self.features,
            strike=given.get("strike", self.strike),
            volatility=given.get("volatility", self.volatility),
            cost=given.get("cost", self.cost),
            risk_aversion=given.get("risk_aversion", self.risk_aversion),
            position=given.get("position"),
            instrument=self.instrument,
            time_step=self.time_step,
            maturity=self.maturity,
        )
        return tf.cast(columns, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "features": [
                keras.saving.serialize_keras_object(f) if callable(f) else f for f in self.features
            ],
            "strike": self.strike,
            "volatility": self.volatility,
            "cost": self.cost,
            "risk_aversion": self.risk_aversion,
            "time_step": self.time_step,
            "maturity": self.maturity,
            "instrument": self.instrument,
        }

    @classmethod
    def from_config(cls, config):
        features = [
            f if isinstance(f, str) else keras.saving.deserialize_keras_object(f)
            for f in config["features"]
        ]
        return cls(**{**config, "features": features})


def _user_columns(feature, price, spot):
    """What a callable returns, as `(k, B, T)`."""
    column = tf.cast(tf.convert_to_tensor(feature(price)), spot.dtype)
    if column.shape.rank == 2:
        column = column[..., None]
    wanted = (*spot.shape, None)
    if column.shape.rank is None or not column.shape.is_compatible_with(wanted):
        label = getattr(feature, "__name__", repr(feature))
        raise ValueError(
            f"Feature `{label}` must return shape (B, T) or (B, T, k) with (B, T) = "
            f"{tuple(spot.shape)}. Received: shape={shape_of(column)}"
        )
    return tf.transpose(column, (2, 0, 1))
