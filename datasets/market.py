"""What every market shares: batches keyed by global path index, checks, configuration."""

import abc
import dataclasses
import numbers

import tensorflow as tf

from hedgezoo.datasets import payoffs
from hedgezoo.datasets.checks import check_integer, plain


class Market(abc.ABC):
    """A source of `(inputs, liability)` batches, ready for `model.fit`.

    Markets are frozen dataclasses with at least the fields `steps` (T), `time_step` (in years) and
    `payoff`. A path belongs to the pair (seed, global path index): it is the same path in any
    batch, on any device and after any resume.

    `inputs` is a dictionary of

    - `features` `(B, T, F)`: what is known at the decision times t = 0 ... T−1;
    - `price` `(B, T+1, D)`: mid prices of the D instruments;
    - `cost` `(B, T, D)`: money per unit traded at each decision time;

    and `liability` `(B,)` is the payoff owed at the horizon.

    Raises:
        ValueError: If an argument is out of its range; the message names it.
    """

    @abc.abstractmethod
    def simulate(self, seed, paths, first_path=0):
        """Inputs and liability of the paths `first_path ... first_path + paths − 1`.

        Args:
            seed: Integer or scalar integer tensor.
            paths: Number of paths B, an integer or a scalar integer tensor.
            first_path: Global index of the first path, an integer or a scalar integer tensor.

        Returns:
            Tuple `(inputs, liability)`.
        """

    def spot_paths(self, seed, paths, first_path=0):
        """Prices alone, `(B, T+1, D)`, of the paths that `simulate` gives for these arguments."""
        return self.simulate(seed, paths, first_path)[0]["price"]

    @property
    def maturity(self):
        """Time from the first decision to the horizon, in years."""
        return self.steps * self.time_step

    def batches(self, batch_size, steps, seed, first_step=0):
        """Batches for `model.fit`: element k holds paths k·batch_size ... (k+1)·batch_size − 1.

        Args:
            batch_size: Paths per batch B.
            steps: Number of batches of the whole run; None for an endless data set.
            seed: Integer.
            first_step: Number of the first batch. A run resumed at step 40 asks for
                `first_step=40` and gets the batches `40 ... steps − 1` of the whole run.

        Returns:
            A `tf.data.Dataset` of `(inputs, liability)` with static shapes and known cardinality.

        Example:

        >>> from hedgezoo.datasets import BlackScholesMarket
        >>> batches = BlackScholesMarket().batches(batch_size=1000, steps=50, seed=0)
        >>> int(batches.cardinality())
        50
        """
        return simulated_batches(self.simulate, batch_size, steps, seed, first_step)

    def get_config(self):
        """The fields as a dictionary of plain values that JSON can hold."""
        config = {
            field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)
        }
        if any(callable(feature) for feature in config.get("features", ())):
            raise ValueError(
                "A market with a feature function of your own cannot be stored. "
                f"Received: features={config['features']}"
            )
        return {**config, "payoff": payoffs.serialize(self.payoff)}

    @classmethod
    def from_config(cls, config):
        """The market whose `get_config` returned `config`."""
        return cls(**{**config, "payoff": payoffs.deserialize(config["payoff"])})


def simulated_batches(simulate, batch_size, steps, seed, first_step, at_a_time=None):
    """Batches of whatever belongs to a seed and a global index; see `Market.batches`.

    Args:
        simulate: Function of seed, number and first index.
        batch_size: Number in a batch.
        steps: Number of batches of the whole run; None for an endless data set.
        seed: Integer.
        first_step: Number of the first batch.
        at_a_time: Batches that are simulated side by side, as in `tf.data.Dataset.map`.

    Returns:
        A `tf.data.Dataset`, in order.
    """
    check_batches(batch_size, steps, first_step)
    numbers_of_batches = (
        tf.data.Dataset.counter(first_step)
        if steps is None
        else tf.data.Dataset.range(first_step, steps)
    )

    def batch(step):
        return simulate(seed, batch_size, step * batch_size)

    return ready_for_training(numbers_of_batches.map(batch, at_a_time))


def check_batches(batch_size, steps, first_step):
    """Checks the arguments that `batches` has in every market."""
    check_integer("batch_size", batch_size, minimum=1)
    check_integer("first_step", first_step)
    if steps is not None:
        check_integer("steps", steps, minimum=1)
        if first_step > steps:
            raise ValueError(
                "`first_step` must not lie beyond the last step. "
                f"Received: first_step={first_step}, steps={steps}"
            )


def ready_for_training(dataset):
    """One batch ahead of the training step; under several workers, each takes its own batches."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.prefetch(1).with_options(options)


def check_draw_arguments(seed, paths, first_path, unit="path"):
    """Checks what `simulate` is asked for, as far as it is known before the graph runs."""
    for name, value, minimum in ((f"{unit}s", paths, 1), (f"first_{unit}", first_path, 0)):
        if not tf.is_tensor(value):
            check_integer(name, value, minimum)
    if not tf.is_tensor(seed) and not isinstance(seed, numbers.Integral):
        raise ValueError(f"`seed` must be an integer. Received: seed={seed!r}")


def liability_of(payoff, price):
    """The payoff on prices (B, T+1, D), checked to be one number per path."""
    liability = tf.cast(payoff(price), price.dtype)
    if not liability.shape.is_compatible_with(price.shape[:1]):
        raise ValueError(
            "`payoff` must map prices of shape (paths, steps + 1, instruments) to one number per "
            f"path. Received: payoff={payoff!r}, which returned shape {tuple(liability.shape)} "
            f"for prices of shape {tuple(price.shape)}"
        )
    return liability


def check_payoff(payoff, steps, instruments, time_step):
    """A callable; terms that paths of this size cannot carry are refused."""
    if not callable(payoff):
        raise ValueError(
            "`payoff` must be a payoff of hedgezoo.datasets.payoffs or a callable from prices of "
            f"shape (paths, steps + 1, instruments) to (paths,). Received: payoff={payoff!r}"
        )
    if isinstance(payoff, payoffs.Payoff):
        payoff.check_path(steps, instruments, time_step)


def reference_price(payoff, spot):
    """Price level of moneyness per instrument: the strike, or the initial price without one.

    Args:
        payoff: A payoff or any callable.
        spot: Initial prices, a list of D numbers.

    Returns:
        List of D numbers.
    """
    strike = getattr(payoff, "reference_price", None)
    if strike is None:
        return list(spot)
    underlying = payoff.instrument
    return [strike if d == underlying else level for d, level in enumerate(spot)]
