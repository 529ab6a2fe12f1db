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
from hedgezoo.layers.heston.pricer import (
    bates_call,
    bates_call_and_jacobian,
    heston_call,
    heston_call_and_jacobian,
)
from hedgezoo.layers.heston.pricer_layer import BatesPricer, HestonPricer
from hedgezoo.layers.implied_volatility import (
    ImpliedVolatility,
    implied_volatility,
)
from hedgezoo.layers.local_volatility.cev import cev_call, cev_local_volatility
from hedgezoo.layers.local_volatility.dupire import dupire_calls, dupire_quotes
from hedgezoo.layers.local_volatility.dupire_grid import DupireGrid
from hedgezoo.layers.local_volatility.markovian_projection import heston_local_volatility
from hedgezoo.layers.lookback_option import (
    lookback_delta,
    lookback_gamma,
    lookback_price,
    lookback_theta,
    lookback_vega,
)
from hedgezoo.layers.multilayer_perceptron import MultilayerPerceptron
from hedgezoo.layers.named_features import feature_index
from hedgezoo.layers.no_arbitrage.durrleman import durrleman
from hedgezoo.layers.no_arbitrage.parts import no_arbitrage_parts
from hedgezoo.layers.no_arbitrage.penalty import (
    NoArbitragePenalty,
    no_arbitrage_penalty,
)
from hedgezoo.layers.running_extremes import running_maximum, running_minimum
from hedgezoo.layers.sde.chunks import chunked_mean
from hedgezoo.layers.sde.finite import finite_paths, non_finite_counts
from hedgezoo.layers.sde.grid_rollout import sde_rollout_on_grid
from hedgezoo.layers.sde.increments import brownian_increments, correlate
from hedgezoo.layers.sde.rollout import sde_rollout
from hedgezoo.layers.sde.rollout_layer import SDERollout
from hedgezoo.layers.sde.spot_grid import SpotGrid
from hedgezoo.layers.sde.time_grid import time_grid
from hedgezoo.layers.sinusoidal_positions_2d import (
    SinusoidalPositions2D,
    sinusoidal_positions_2d,
)
from hedgezoo.layers.surfaces.arbitrage import find_arbitrage
from hedgezoo.layers.surfaces.discrete_local_volatility import (
    DiscreteLocalVolatility,
    calls_to_dlv,
    dlv_to_calls,
    dlv_to_density,
)
from hedgezoo.layers.surfaces.interpolation import call_prices_at, volatility_at
from hedgezoo.layers.surfaces.maturity_interpolation import interpolate_maturities
from hedgezoo.layers.surfaces.put_call_parity import calls_to_puts, puts_to_calls
from hedgezoo.layers.surfaces.repair import repair_calls
from hedgezoo.layers.trading_gains import TradingGains, trading_gains

__all__ = [
    "BatesPricer",
    "BlackScholesDelta",
    "ClampBandHedge",
    "DiscreteLocalVolatility",
    "DupireGrid",
    "HedgeFeatures",
    "HestonPricer",
    "ImpliedVolatility",
    "MultilayerPerceptron",
    "NoArbitragePenalty",
    "SDERollout",
    "SinusoidalPositions2D",
    "SpotGrid",
    "TradingGains",
    "barrier_delta",
    "barrier_gamma",
    "barrier_price",
    "barrier_theta",
    "barrier_vega",
    "bates_call",
    "bates_call_and_jacobian",
    "binary_delta",
    "binary_gamma",
    "binary_price",
    "binary_theta",
    "binary_vega",
    "black_scholes_call",
    "brownian_increments",
    "call_prices_at",
    "calls_to_dlv",
    "calls_to_puts",
    "cev_call",
    "cev_local_volatility",
    "chunked_mean",
    "clamp_band",
    "clamp_band_step",
    "correlate",
    "dlv_to_calls",
    "dlv_to_density",
    "dupire_calls",
    "dupire_quotes",
    "durrleman",
    "european_delta",
    "european_gamma",
    "european_price",
    "european_theta",
    "european_vega",
    "feature_index",
    "find_arbitrage",
    "finite_paths",
    "hedge_features",
    "hedge_features_step",
    "heston_call",
    "heston_call_and_jacobian",
    "heston_local_volatility",
    "implied_volatility",
    "interpolate_maturities",
    "log_moneyness_delta",
    "lookback_delta",
    "lookback_gamma",
    "lookback_price",
    "lookback_theta",
    "lookback_vega",
    "no_arbitrage_parts",
    "no_arbitrage_penalty",
    "non_finite_counts",
    "one_touch_delta",
    "one_touch_gamma",
    "one_touch_price",
    "one_touch_theta",
    "one_touch_vega",
    "puts_to_calls",
    "repair_calls",
    "running_maximum",
    "running_minimum",
    "sde_rollout",
    "sde_rollout_on_grid",
    "sinusoidal_positions_2d",
    "time_grid",
    "trading_gains",
    "volatility_at",
]
