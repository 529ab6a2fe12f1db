"""Simulation of a stochastic differential equation as a Keras layer."""

import dataclasses

import keras
import tensorflow as tf

from hedgezoo.layers._arguments import as_tensor, is_concrete, money_dtype
from hedgezoo.layers.correlation import check_correlation
from hedgezoo.layers.draws import DRAWS
from hedgezoo.layers.sde.finite import finite_paths, require_finite
from hedgezoo.layers.sde.grid_rollout import sde_rollout_on_grid
from hedgezoo.layers.sde.increments import brownian_increments
from hedgezoo.layers.sde.rollout import sde_rollout
from hedgezoo.layers.sde.schemes import check_scheme, log_mask
from hedgezoo.layers.sde.spot_grid import SpotGrid
from hedgezoo.layers.sde.time_grid import time_grid

OUTPUTS = ("maturities", "path")


@keras.saving.register_keras_serializable(package="hedgezoo")
class SDERollout(keras.layers.Layer):
    """Paths of dx = μ(x, t) dt + Σ(x, t) dW with layers or functions as coefficients.

    In the log schemes x = log(S / F), and μ and Σ are those of dS / S; without a drift
    E[S] = F then holds at every step, whatever the diffusion is. `simulate` draws the increments
    from a seed; calling the layer takes them as a tensor. Eagerly, paths that are not finite raise
    an error that says where; in a graph `finite_paths` and `non_finite_counts` find them.

    Args:
        diffusion: Layer or registered function `(state (B, d), time (B, 1))`, with features as a
            third argument if the layer is called with features, to Σ `(B, d, k)`; or to `(B, d)`,
            where k = d and component i is driven by Brownian motion i alone.
        maturities: Times in years at which states are wanted, positive and increasing.
        drift: Optional layer or registered function of the same arguments to μ `(B, d)`.
        scheme: `"euler"`, `"milstein"`, `"log_euler"` or `"log_milstein"`, see `sde_rollout`.
        log_states: Indices of the components that are logarithms; by default all of them in a log
            scheme, none else.
        initial: Initial state, a number or one per component.
        factors: Number k of Brownian motions.
        steps_per_year: Steps per year of the time grid, see `time_grid`.
        first_steps: Least number of steps up to the first maturity.
        concentration: One or above; more puts more steps at the start.
        draws: `"plain"`, `"antithetic"` or `"sobol"` (scrambled, along a Brownian bridge that knows
            the maturities first).
        correlation: Optional `(k, k)` correlation matrix of the Brownian motions that `simulate`
            draws.
        grid: A `SpotGrid`, or a dict of its arguments, to evaluate the coefficients of a
            one-factor model on a grid and interpolate; None to evaluate them at every path.
        output: `"maturities"` for the states there, or `"path"` for all, the initial one included.
        check_finite: Whether an eager call raises if a path is not finite.
        **kwargs: Of `keras.layers.Layer`.

    Call arguments:
        increments: Increments of the Brownian motions at the steps of `times`, as made by `draw`.
            Shape `(B, T, k)`.
        initial: Optional initial states `(d,)` or `(B, d)`.
        features: Optional market features `(B, f)`; or `(P, f)`, one row for each of P equal blocks
            of paths that follow each other.

    Output shape:
        `(B, n, d)` with n maturities, or n = T + 1 times of a path; float32 also under a 16-bit
        policy.

    Raises:
        ValueError: If an argument is unknown or out of its range, a shape does not fit, or an eager
            path is not finite.

    Example:

    >>> rollout = SDERollout(lambda x, t: 0.2 * tf.ones_like(x), maturities=[0.25, 1.0])
    >>> log_spot = rollout.simulate(seed=1, paths=4096)
    >>> log_spot.shape
    TensorShape([4096, 2, 1])
    >>> print(tf.reduce_mean(tf.exp(log_spot), axis=0).numpy().ravel().round(3))
    [1. 1.]

    Reference:
        Gierjatowicz, Sabate-Vidales, Šiška, Szpruch, Žurič, "Robust pricing and hedging via neural
        SDEs" (2020).
    """

    def __init__(
        self,
        diffusion,
        maturities,
        drift=None,
        scheme="log_euler",
        log_states=None,
        initial=0.0,
        factors=1,
        steps_per_year=96,
        first_steps=8,
        concentration=1.0,
        draws="sobol",
        correlation=None,
        grid=None,
        output="maturities",
        check_finite=True,
        **kwargs,
    ):
        # Under mixed precision increments must arrive as they are, see `money_dtype`.
        super().__init__(**{"autocast": False, **kwargs})
        for name, value in (("diffusion", diffusion), ("drift", drift)):
            if not callable(value) and not (name == "drift" and value is None):
                raise ValueError(f"`{name}` must be a layer or a function. Received: {value!r}")
        check_scheme(scheme)
        if draws not in DRAWS:
            raise ValueError(f"`draws` must be one of {DRAWS}. Received: draws={draws!r}")
        if output not in OUTPUTS:
            raise ValueError(f"`output` must be one of {OUTPUTS}. Received: output={output!r}")
        if isinstance(factors, bool) or not isinstance(factors, int) or factors < 1:
            raise ValueError(f"`factors` must be a positive integer. Received: factors={factors!r}")
        self.times, self.maturity_steps = time_grid(
            maturities, steps_per_year, first_steps, concentration
        )
        self.maturities = tuple(float(maturity) for maturity in maturities)
        self.steps_per_year = steps_per_year
        self.first_steps = first_steps
        self.concentration = concentration
        self.diffusion = diffusion
        self.drift = drift
        self.scheme = scheme
        self.log_states = None if log_states is None else tuple(log_states)
        self.initial = initial if isinstance(initial, int | float) else tuple(initial)
        self.factors = factors
        self.draws = draws
        self.correlation = check_correlation(correlation)
        if self.correlation is not None and len(self.correlation) != factors:
            raise ValueError(
                f"`correlation` must be of size {factors}, the number of `factors`. "
                f"Received: {correlation!r}"
            )
        self.grid = SpotGrid(**grid) if isinstance(grid, dict) else grid
        self.output_name = output
        self.check_finite = bool(check_finite)
        log_mask(scheme, self.log_states, self.states)
        if self.grid is not None and (factors > 1 or self.states > 1):
            raise ValueError(
                "`grid` takes one-factor models. "
                f"Received: factors={factors}, initial={self.initial}"
            )

    @property
    def states(self):
        """Number d of components of the state."""
        return len(self.initial) if isinstance(self.initial, tuple) else 1

    def build(self, increments_shape, initial_shape=None, features_shape=None):
        arguments = [tf.zeros((1, self.states)), tf.zeros((1, 1))]
        if features_shape is not None:
            arguments.append(tf.zeros((1, features_shape[-1])))
        for part in (self.diffusion, self.drift):
            # also one that says it is built: after loading, its own layers may not be
            if isinstance(part, keras.layers.Layer):
                part(*arguments)

    def draw(self, seed, paths, first_path=0, stream=0, first_dimension=0):
        """Increments for paths `first_path ... first_path + paths - 1`, see `brownian_increments`.

        Args:
            seed: Integer or scalar integer tensor.
            paths: Number of paths B, an integer or a scalar integer tensor.
            first_path: Global index of the first path, an integer or a scalar integer tensor.
            stream: Integer; another stream gives independent numbers (not for Sobol draws).
            first_dimension: Number of leading Sobol dimensions left to other uses.

        Returns:
            Tensor of shape `(B, T, k)`.
        """
        return brownian_increments(
            seed,
            paths,
            self.times,
            self.factors,
            first_path,
            self.draws,
            self.maturity_steps,
            self.correlation,
            stream,
            first_dimension,
            money_dtype(self.compute_dtype),
        )

    def simulate(self, seed, paths, first_path=0, initial=None, features=None):
        """States of paths that belong to (seed, global path index), in any split into batches.

        Args:
            seed: Integer or scalar integer tensor.
            paths: Number of paths B, an integer or a scalar integer tensor.
            first_path: Global index of the first path, an integer or a scalar integer tensor.
            initial, features: As in a call.

        Returns:
            Tensor of shape `(B, n, d)`.
        """
        return self(self.draw(seed, paths, first_path), initial=initial, features=features)

    def call(self, increments, initial=None, features=None):
        saved = self.maturity_steps if self.output_name == "maturities" else None
        states = self._roll(increments, initial, features, saved)
        look = self.check_finite and is_concrete(states)
        if look and not bool(tf.reduce_all(finite_paths(states))):
            require_finite(self._roll(increments, initial, features, None), self.times)
        return states

    def _roll(self, increments, initial, features, saved):
        dtype = money_dtype(self.compute_dtype)
        initial = as_tensor(self.initial if initial is None else initial, dtype)
        increments = as_tensor(increments, dtype)
        common = {
            "drift": self.drift,
            "initial": initial,
            "features": features,
            "scheme": self.scheme,
            "save_at": saved,
        }
        if self.grid is not None:
            return sde_rollout_on_grid(
                self.diffusion, increments, self.times, grid=self.grid, **common
            )
        return sde_rollout(
            self.diffusion, increments, self.times, log_states=self.log_states, **common
        )

    def compute_output_spec(self, increments, initial=None, features=None):
        saved = len(self.maturity_steps if self.output_name == "maturities" else self.times)
        shape = (increments.shape[0], saved, self.states)
        return keras.KerasTensor(shape, dtype=money_dtype(self.compute_dtype))

    def get_config(self):
        def saved(part):
            return None if part is None else keras.saving.serialize_keras_object(part)

        return {
            **super().get_config(),
            "diffusion": saved(self.diffusion),
            "maturities": list(self.maturities),
            "drift": saved(self.drift),
            "scheme": self.scheme,
            "log_states": None if self.log_states is None else list(self.log_states),
            "initial": list(self.initial) if isinstance(self.initial, tuple) else self.initial,
            "factors": self.factors,
            "steps_per_year": self.steps_per_year,
            "first_steps": self.first_steps,
            "concentration": self.concentration,
            "draws": self.draws,
            "correlation": self.correlation and [list(row) for row in self.correlation],
            "grid": None if self.grid is None else dataclasses.asdict(self.grid),
            "output": self.output_name,
            "check_finite": self.check_finite,
        }

    @classmethod
    def from_config(cls, config):
        parts = {
            name: config[name] and keras.saving.deserialize_keras_object(config[name])
            for name in ("diffusion", "drift")
        }
        return cls(**{**config, **parts})
