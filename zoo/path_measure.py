"""What a change of measure says about paths: weights, expectations, and how far to trust them."""

import warnings

import keras
import numpy as np
import tensorflow as tf

from hedgezoo import measure_diagnostics as diagnostics
from hedgezoo.datasets.checks import check_array, check_integer, check_positive
from hedgezoo.statistical_arbitrage.simulated_paths import simulated_paths
from hedgezoo.statistical_arbitrage.traded_paths import CONVENTIONS, TradedPaths, finite

_CHUNK = 2**22  # numbers of one array in a chunk of paths
_DEGENERATE = 0.05  # share of the sample below which estimates under Q mean little


class PathMeasure:
    """Questions to a model whose density is `exp(-gains)` up to a constant.

    A part of `RiskNeutralMeasure`, which maps `inputs` to gains.

    Everywhere `inputs` are paths: a dictionary of arrays, or a finite `tf.data.Dataset`.
    """

    _warned = False
    _compiled_call = None

    def gains(self, inputs):
        """Gains of the policy net of cost, `(N,)` as an array, in chunks of bounded size.

        Args:
            inputs: Paths.
        """
        return self.gains_and_weights(inputs, None)[0]

    def path_weights(self, inputs):
        """Density of the paths with mean one on them, `(N,)`: sample weights for a later `fit`.

        Args:
            inputs: Paths.

        Returns:
            Float64 array. Warns if fewer than 5 % of the sample decide.
        """
        log_density = -np.asarray(self.gains(inputs), np.float64)
        self._warn_if_degenerate(log_density)
        return diagnostics.density(log_density)

    def relative_entropy(self, inputs):
        """`H(Q|P)` on paths, `{"value", "stderr"}`.

        Args:
            inputs: Paths.
        """
        return diagnostics.relative_entropy(-self.gains(inputs))

    def effective_sample_size(self, inputs):
        """Number of paths that decide under Q, `1 / sum (w / N)^2`.

        Args:
            inputs: Paths.

        Returns:
            Python float between 1 and N.
        """
        weights = diagnostics.density(-self.gains(inputs))
        return float(len(weights) ** 2 / np.sum(weights**2))

    def utility(self, inputs, sample_weight=None, risk_aversion=1.0):
        """Certainty equivalent `-log E[exp(-a G)] / a` of the policy, `{"value", "stderr"}`.

        Args:
            inputs: Paths.
            sample_weight: Weights of the paths `(N,)`, e.g. of another measure.
            risk_aversion: a, 1/money.
        """
        gains, weights = self.gains_and_weights(inputs, sample_weight)
        return diagnostics.certainty_equivalent(gains, weights, risk_aversion)

    def expectation(self, values, inputs):
        """`E_Q[values]` with the weighted standard error.

        Args:
            values: `(N,)` or `(N, ...)`, one outcome (or array of outcomes) per path.
            inputs: The paths they belong to.

        Returns:
            `{"value", "stderr"}`: Python floats, or arrays for values `(N, ...)`.

        Raises:
            ValueError: If there is not one finite value per path.
        """
        weights = self.path_weights(inputs)
        values = check_array("values", values, {"(N, ...)": (len(weights), *np.shape(values)[1:])})
        flat = values.reshape(len(weights), -1)
        p = weights / weights.sum()
        mean = p @ flat
        error = np.sqrt(p**2 @ (flat - mean) ** 2 * len(p) / max(len(p) - 1, 1))
        shape = values.shape[1:]
        if not shape:
            return {"value": float(mean[0]), "stderr": float(error[0])}
        return {"value": mean.reshape(shape), "stderr": error.reshape(shape)}

    def band_check(self, inputs, sample_weight=None):
        """Expected gain of a unit of every instrument bought at every date, against its cost.

        Args:
            inputs: Paths.
            sample_weight: Weights `(N,)` of a measure; default: this one's.

        Returns:
            A `measure_diagnostics.BandCheck` of arrays `(T, D)`.
        """
        weights = self.path_weights(inputs) if sample_weight is None else sample_weight
        return diagnostics.band_check(self.paths_of(inputs), weights)

    def report(self, inputs, detail=False):
        """All there is to know about the measure on a sample.

        - `relative_entropy`, `utility`: `H(Q|P)` and `U_P(G*)`; equal at the optimum;
        - `effective_sample_share`, `effective_sample_size`, `largest_weight` (mean 1);
        - `degenerate`: 1 if fewer than 5 % of the sample decide;
        - `gain/p`, `gain/q`: expected gains of the policy;
        - `inside_band/p`, `inside_band/q`: share of (date, instrument) whose expected gain lies
          within the cost band, up to 2.5 standard errors; `largest_excess/p`, `/q`: by how many
          standard errors the worst one lies outside;
        - with `detail`, `gain/p/t/d` and `gain/q/t/d`, and the band `lower/...`, `upper/...`.

        Args:
            inputs: Paths.
            detail: Whether to list every date and instrument.

        Returns:
            Dictionary `{metric: {"value": float, "stderr": float}}`.
        """
        gains = self.gains(inputs)
        paths = self.paths_of(inputs)
        self._warn_if_degenerate(-gains)
        weights = diagnostics.density(-gains)
        share = diagnostics.effective_sample_share(-gains)
        rows = len(weights)

        def exact(value):
            return {"value": float(value), "stderr": 0.0}

        report = {
            "relative_entropy": diagnostics.relative_entropy(-gains),
            "utility": diagnostics.certainty_equivalent(gains),
            "effective_sample_share": share,
            "effective_sample_size": {name: rows * value for name, value in share.items()},
            "largest_weight": exact(weights.max()),
            "degenerate": exact(share["value"] < _DEGENERATE),
            "gain/p": diagnostics.estimate("mean", gains),
            "gain/q": diagnostics.estimate("mean", gains, weights),
        }
        for name, density in (("p", None), ("q", weights)):
            check = diagnostics.band_check(paths, density)
            report[f"inside_band/{name}"] = exact(check.share_inside())
            report[f"largest_excess/{name}"] = exact(check.excess.max())
            if detail:
                for t, d in np.ndindex(check.gain.shape):
                    key = f"{name}/{t}/{d}"
                    report[f"gain/{key}"] = {
                        "value": float(check.gain[t, d]),
                        "stderr": float(check.stderr[t, d]),
                    }
                    report[f"lower/{key}"] = exact(check.lower[t, d])
                    report[f"upper/{key}"] = exact(check.upper[t, d])
        return report

    def improvement_bound(self, inputs, better, risk_aversion=1.0):
        """Bound on what any policy can gain under Q, given a better policy under P.

        If a policy improves the certainty equivalent under P by `e` over this one, and nothing
        improves it further, every policy has a certainty equivalent under this Q of at most
        `e / a` at risk aversion `a`; without cost some policy reaches it.

        Args:
            inputs: Paths.
            better: Gains `(N,)` of the better policy, or another `RiskNeutralMeasure`.
            risk_aversion: a, 1/money.

        Returns:
            `{"value", "stderr"}`, money; the error is that of the paired difference.

        Reference:
            arXiv:2103.11948, Proposition 3.1.
        """
        check_positive("risk_aversion", risk_aversion)
        own = self.gains(inputs)
        others = better.gains(inputs) if isinstance(better, PathMeasure) else better
        others = check_array("better", others, {"(N,)": own.shape})
        found = diagnostics.paired_difference(others, own)
        return {name: value / risk_aversion for name, value in found.items()}

    def evaluate_on(self, market, paths, seed, detail=False):
        """The `report` on fresh paths of a market.

        Args:
            market: A market, or None for the model's own.
            paths: Number of paths.
            seed: Seed of the paths.
            detail: As in `report`.
        """
        market = self.market if market is None else market
        if market is None:
            raise ValueError("`market` must be given for a model that has none. Received: None")
        check_integer("paths", paths, minimum=2)
        return self.report(simulated_paths(market, seed, paths), detail=detail)

    def _warn_if_degenerate(self, log_density):
        weights = diagnostics.density(log_density)
        size = len(weights) ** 2 / np.sum(weights**2)
        if size < _DEGENERATE * len(weights) and not self._warned:
            self._warned = True
            warnings.warn(
                f"The change of measure is degenerate: {size:.0f} of {len(weights)} paths decide "
                f"({size / len(weights):.1%}; effective sample size). Expectations under Q rest "
                "on few paths and their standard errors are too small. Use a higher cost, a "
                "shorter horizon, or trade limits.",
                stacklevel=3,
            )

    # ------------------------------------------------------------------ reading paths

    def known(self, inputs):
        names = ("features", *CONVENTIONS, "cost", "sell_cost")
        return [name for name in names if inputs.get(name) is not None]

    def paths_of(self, inputs):
        """Checked paths that fit this model."""
        self.build()
        paths = TradedPaths(inputs)
        self.remember_convention({"unit_gain" if paths.floating else "price": paths.features})
        _, steps, instruments = paths.shape
        width = paths.features.shape[2]
        wanted = (self.steps or steps, self.width, self.instruments)
        if (steps, width, instruments) != wanted:
            raise ValueError(
                f"`inputs` must be paths with T = {self.steps or 'any'} dates, F = {self.width} "
                f"features and D = {self.instruments} instruments. "
                f"Received: T = {steps}, F = {width}, D = {instruments}"
            )
        return paths

    def rows_per_chunk(self, steps):
        """Paths in a chunk."""
        return max(1, _CHUNK // (steps * (self.width + self.instruments + sum(self.hidden_units))))

    def gains_and_weights(self, inputs, sample_weight):
        """Gains `(N,)` float64, and the weights `(N,)` that came with the paths or None."""
        if not isinstance(inputs, tf.data.Dataset):
            return self.gains_tensor(inputs).numpy().astype(np.float64), sample_weight
        gains, weights = [], []
        for batch in finite(inputs):
            x, _, weight = keras.utils.unpack_x_y_sample_weight(batch)
            gains.append(self.gains_tensor(x).numpy().astype(np.float64))
            weights.append(np.ones(len(gains[-1])) if weight is None else np.asarray(weight))
        weights = np.concatenate(weights) if sample_weight is None else sample_weight
        return np.concatenate(gains), weights

    def gains_tensor(self, inputs):
        """Gains `(N,)` of paths in a dictionary, checked, in chunks if they are many."""
        paths = self.paths_of(inputs)
        inputs = {name: inputs[name] for name in self.known(inputs)}
        rows = self.rows_per_chunk(paths.shape[1])
        if len(paths) <= rows:
            return self(inputs)
        if self._compiled_call is None:
            self._compiled_call = tf.function(self.call, reduce_retracing=True)
        parts = [
            {name: tf.cast(value[part], self.compute_dtype) for name, value in inputs.items()}
            for part in paths.parts(rows)
        ]
        return tf.concat([self._compiled_call(part) for part in parts], 0)
