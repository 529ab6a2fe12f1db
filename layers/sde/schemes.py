"""One step of a simulation: Euler-Maruyama and Milstein, of a state or of its logarithm.

The state x `(B, d)` follows dx = μ dt + Σ dW with Σ `(B, d, k)`. Where a component is a
logarithm, x = log(S / F), its coefficients are those of dS / S = μ dt + Σ dW, so that x itself
drifts by μ - |Σ|² / 2. With μ = 0 every step then keeps E[S]: exactly in the Euler scheme, and up
to the cube of its length in Milstein's.
"""

import tensorflow as tf

# name -> (the components are logarithms unless told otherwise, Milstein's term is added)
SCHEMES = {
    "euler": (False, False),
    "milstein": (False, True),
    "log_euler": (True, False),
    "log_milstein": (True, True),
}


def check_scheme(scheme):
    """Raises `ValueError` unless `scheme` is known."""
    if scheme not in SCHEMES:
        raise ValueError(f"`scheme` must be one of {tuple(SCHEMES)}. Received: scheme={scheme!r}")


def log_mask(scheme, log_states, states):
    """Per component of the state, whether it is a logarithm: a tuple of d booleans.

    Raises:
        ValueError: If `log_states` has indices outside 0 ... d - 1.
    """
    if log_states is None:
        return (SCHEMES[scheme][0],) * states
    if not all(isinstance(i, int) and 0 <= i < states for i in log_states):
        raise ValueError(
            f"`log_states` must be indices from 0 to {states - 1}. Received: {log_states}"
        )
    return tuple(i in log_states for i in range(states))


def sde_step(state, dt, increment, diffusion, drift=None, logs=(False,), milstein=False):
    """The state after one step.

    Milstein's term needs the slope of Σ along itself. It is taken as a difference,
    (Σ(x + Σ√h) - Σ(x)) / √h, which keeps the strong order 1 and asks nothing of Σ but values.

    Args:
        state: x. Shape `(B, d)`.
        dt: Length h of the step, a scalar. A step of length zero changes nothing.
        increment: Change of the k Brownian motions. Shape `(B, k)`.
        diffusion: Function of x to Σ `(B, d, k)`; or `(B, d)`, where k = d and component i is
            driven by Brownian motion i alone.
        drift: Optional function of x to μ `(B, d)`.
        logs: Per component, whether it is a logarithm; d booleans.
        milstein: Whether to add Milstein's term. That takes k = 1 or a diffusion `(B, d)`, and
            has strong order 1 there if k = 1 or if component i of Σ depends on that of x alone.

    Returns:
        Tensor of shape `(B, d)`.

    Raises:
        ValueError: If the diffusion has another shape than the above.

    Reference:
        Kloeden, Platen, "Numerical Solution of Stochastic Differential Equations" (1992),
        sections 10.2, 10.3 and 11.1.
    """
    sigma = diffusion(state)
    _check_diffusion(sigma, state.shape[-1], increment.shape[-1], milstein)
    change = _noise(sigma, increment)
    if drift is not None:
        change += drift(state) * dt
    if any(logs):
        rate = tf.square(sigma) if sigma.shape.rank == 2 else tf.reduce_sum(sigma**2, axis=-1)
        if not all(logs):
            rate *= tf.cast(logs, rate.dtype)
        change -= 0.5 * dt * rate
    if milstein:
        root = tf.sqrt(dt)
        sigma = _one_column(sigma)
        slope = tf.math.divide_no_nan(_one_column(diffusion(state + sigma * root)) - sigma, root)
        change += 0.5 * slope * (tf.square(increment) - dt)
        if any(logs):
            correction = martingale_correction(sigma, 0.5 * slope, dt)
            change -= correction if all(logs) else correction * tf.cast(logs, correction.dtype)
    return state + change


def martingale_correction(sigma, slope, dt):
    """How much a log-Milstein step must lose so that E[S] = F holds but for h³.

    With b = σ σ' / 2, log E[exp(σ dW + b (dW² - h) - σ² h / 2)] = (b² + σ² b) h² + O(h³). Left
    alone that is 0.1 basis points of the forward a year in a steep smile, more than the noise of a
    good simulation.

    Args:
        sigma: σ. Shape `(B, d)`.
        slope: b. Shape `(B, d)`.
        dt: h, a scalar.

    Returns:
        Tensor of shape `(B, d)`.

    Example:

    >>> correction = martingale_correction(tf.constant([[0.2]]), tf.constant([[-0.1]]), 0.01)
    >>> round(float(correction[0, 0]), 9)
    6e-07
    """
    return tf.square(dt) * slope * (slope + tf.square(sigma))


def _noise(sigma, increment):
    """Σ dW, `(B, d)`."""
    if sigma.shape.rank == 2:
        return sigma * increment
    if sigma.shape[-1] == 1:
        return sigma[..., 0] * increment
    return tf.reduce_sum(sigma * increment[:, tf.newaxis], axis=-1)


def _one_column(sigma):
    return sigma if sigma.shape.rank == 2 else sigma[..., 0]


def _check_diffusion(sigma, states, factors, milstein):
    if sigma.shape.rank == 2:
        good = sigma.shape[1] == states == factors
    else:
        good = sigma.shape.rank == 3 and tuple(sigma.shape[1:]) == (states, factors)
        good = good and not (milstein and factors > 1)
    if not good:
        only = "; Milstein schemes take k = 1 or (B, d)" if milstein else ""
        raise ValueError(
            f"`diffusion` must return shape (B, d, k) = (B, {states}, {factors}), or (B, d) "
            f"for k = d{only}. Received: shape={tuple(sigma.shape)}"
        )
