"""Differentiable parts: pure functions first, a thin Keras layer over each."""

if __name__ != "hedgezoo.layers":
    raise ImportError(
        "layers/ is the source of hedgezoo.layers; import it by that name "
        "(run with `python -P`, or from outside the checkout)"
    )

from hedgezoo.layers.barrier_option import (
    barrier_delta,
    barrier_gamma,
    barrier_price,
    barrier_theta,
    barrier_vega,
)
from hedgezoo.layers.binary_option import (
    binary_delta,
    binary_gamma,
    binary_price,
    binary_theta,
    binary_vega,
    one_touch_delta,
    one_touch_gamma,
    one_touch_price,
    one_touch_theta,
    one_touch_vega,
)
from hedgezoo.layers.black_scholes import (
    BlackScholesDelta,
    black_scholes_call,
    european_delta,
    european_gamma,
    european_price,
    european_theta,
    european_vega,
    log_moneyness_delta,
)
from hedgezoo.layers.clamp_band import ClampBandHedge, clamp_band, clamp_band_step
from hedgezoo.layers.hedge_features import (
    HedgeFeatures,
    hedge_features,
    hedge_features_step,
)
from hedgezoo.layers.implied_volatility import (
    ImpliedVolatility,
    implied_volatility,
)
from hedgezoo.layers.lookback_option import (
    lookback_delta,
    lookback_gamma,
    lookback_price,
    lookback_theta,
    lookback_vega,
)
from hedgezoo.layers.multilayer_perceptron import MultilayerPerceptron
from hedgezoo.layers.named_features import feature_index
from hedgezoo.layers.running_extremes import running_maximum, running_minimum
from hedgezoo.layers.trading_gains import TradingGains, trading_gains

__all__ = [
    "BlackScholesDelta",
    "ClampBandHedge",
    "HedgeFeatures",
    "ImpliedVolatility",
    "MultilayerPerceptron",
    "TradingGains",
    "barrier_delta",
    "barrier_gamma",
    "barrier_price",
    "barrier_theta",
    "barrier_vega",
    "binary_delta",
    "binary_gamma",
    "binary_price",
    "binary_theta",
    "binary_vega",
    "black_scholes_call",
    "clamp_band",
    "clamp_band_step",
    "european_delta",
    "european_gamma",
    "european_price",
    "european_theta",
    "european_vega",
    "feature_index",
    "hedge_features",
    "hedge_features_step",
    "implied_volatility",
    "log_moneyness_delta",
    "lookback_delta",
    "lookback_gamma",
    "lookback_price",
    "lookback_theta",
    "lookback_vega",
    "one_touch_delta",
    "one_touch_gamma",
    "one_touch_price",
    "one_touch_theta",
    "one_touch_vega",
    "running_maximum",
    "running_minimum",
    "trading_gains",
]
