"""A vector autoregression of log return and log discrete local volatilities: its coefficients.

The series is Y_t = (log S_t/S_{t−1}, f_t): the log return and the factors of the surface of
discrete local volatilities, log σ_t = mean + f_t · loadings. It follows

    Y_t = c + A₁ Y_{t−1} + ... + A_p Y_{t−p} + L ε_t,   ε_t independent standard normal,

so the log return and all log σ together are a vector autoregression whose coefficient matrices
and innovations have the rank of Y. With as many factors as volatilities it is a general one.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from hedgezoo.datasets.checks import check_array

_SHAPES = {
    "intercept": ("K",),
    "lag_matrices": ("p", "K", "K"),
    "innovation_factor": ("K", "K"),
    "log_dlv_mean": ("m", "n"),
    "loadings": ("K-1", "m", "n"),
    "last_state": ("p", "K"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class VARCoefficients:
    """The numbers of a vector autoregression of K series with p lags.

    Series 0 is the log return of one time step, the others are factors of the surface.

    Args:
        intercept: c, `(K,)`.
        lag_matrices: A₁ ... A_p, `(p, K, K)`; row i says how series i follows from the past.
        innovation_factor: L, `(K, K)`; L Lᵀ is the covariance of the innovations. May be singular.
        log_dlv_mean: Log of the discrete local volatilities at f = 0, `(m, n)`.
        loadings: Change of the log volatilities per unit of each factor, `(K−1, m, n)`.
        last_state: The last p values of Y that it was fitted to, oldest first, `(p, K)`.

    Raises:
        ValueError: If shapes do not fit or a number is not finite.

    Example:

    >>> coefficients = VARCoefficients(
    ...     intercept=[0.0, 0.1],
    ...     lag_matrices=[[[0.0, 0.0], [0.0, 0.9]]],
    ...     innovation_factor=[[0.01, 0.0], [-0.04, 0.03]],
    ...     log_dlv_mean=[[-1.8]],
    ...     loadings=[[[1.0]]],
    ...     last_state=[[0.0, 0.0]],
    ... )
    >>> coefficients.stability, coefficients.stationary_mean.round(6).tolist()
    (0.9, [0.0, 1.0])

    Reference:
        Buehler, Murray, Pakkanen, Wood, arXiv:2103.11948, equation (16).
    """

    intercept: np.ndarray
    lag_matrices: np.ndarray
    innovation_factor: np.ndarray
    log_dlv_mean: np.ndarray
    loadings: np.ndarray
    last_state: np.ndarray

    def __post_init__(self):
        sizes = {}
        for name, letters in _SHAPES.items():
            shape = tuple(sizes.get(letter) for letter in letters)
            array = check_array(name, getattr(self, name), {f"({', '.join(letters)})": shape})
            object.__setattr__(self, name, array)
            sizes |= dict(zip(letters, array.shape, strict=True))
            sizes["K-1"] = sizes["K"] - 1
        if not self.intercept.size or not self.lag_matrices.size:
            raise ValueError(
                "`lag_matrices` must hold at least one lag of one series. "
                f"Received: shape {self.lag_matrices.shape}"
            )

    @property
    def series(self):
        """Number of series K."""
        return len(self.intercept)

    @property
    def lags(self):
        """Number of lags p."""
        return len(self.lag_matrices)

    @property
    def companion(self):
        """Matrix `(p·K, p·K)` of one step of (Y_t, Y_{t−1}, ..., Y_{t−p+1})."""
        return companion(self.lag_matrices)

    @property
    def stability(self):
        """Largest modulus of the eigenvalues of the companion matrix; below 1 if stable."""
        return stability(self.lag_matrices)

    @property
    def stationary_mean(self):
        """Mean of Y in the long run, `(K,)`."""
        total = self.lag_matrices.sum(axis=0)
        return np.linalg.solve(np.eye(self.series) - total, self.intercept)

    @property
    def stationary_covariance(self):
        """Covariance of (Y_t, Y_{t−1}, ..., Y_{t−p+1}) in the long run, `(p·K, p·K)`."""
        from scipy.linalg import solve_discrete_lyapunov

        covariance = np.zeros_like(self.companion)
        k = self.series
        covariance[:k, :k] = self.innovation_factor @ self.innovation_factor.T
        return solve_discrete_lyapunov(self.companion, covariance)

    def factors_of(self, log_dlv):
        """Factors `(..., K−1)` of log volatilities `(..., m, n)`: least squares on the loadings."""
        surface = np.asarray(log_dlv, np.float64) - self.log_dlv_mean
        flat = surface.reshape(*surface.shape[:-2], -1)
        return flat @ np.linalg.pinv(self.loadings.reshape(len(self.loadings), -1))

    def tensors(self, dtype):
        """The arrays by name as constants of a floating type."""
        return {name: tf.constant(getattr(self, name), dtype) for name in _SHAPES}

    def get_config(self):
        """The numbers as nested lists, for JSON."""
        return {name: getattr(self, name).tolist() for name in _SHAPES}

    @classmethod
    def from_config(cls, config):
        """The coefficients whose `get_config` returned `config`."""
        return cls(**config)

    def __eq__(self, other):
        return isinstance(other, VARCoefficients) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in _SHAPES
        )

    def __hash__(self):
        return hash(tuple(getattr(self, name).tobytes() for name in _SHAPES))

    def __repr__(self):
        return (
            f"VARCoefficients(series={self.series}, lags={self.lags}, "
            f"surface={self.log_dlv_mean.shape}, stability={self.stability:.4f})"
        )


def companion(lag_matrices):
    """Companion matrix `(p·K, p·K)` of lag matrices `(p, K, K)`."""
    p, k, _ = np.shape(lag_matrices)
    top = np.concatenate(list(lag_matrices), axis=1)
    return np.concatenate([top, np.eye((p - 1) * k, p * k)], axis=0)


def stability(lag_matrices):
    """Largest modulus of the eigenvalues of the companion matrix.

    Args:
        lag_matrices: A₁ ... A_p, `(p, K, K)`.

    Returns:
        Float; shocks die out, and means and covariances exist in the long run, if below 1.
    """
    return float(np.abs(np.linalg.eigvals(companion(lag_matrices))).max())


def check_stable(lag_matrices):
    """Raises a ValueError with the modulus unless the autoregression is stable."""
    modulus = stability(lag_matrices)
    if not modulus < 1.0:
        raise ValueError(
            "The vector autoregression is not stable: the largest modulus of an eigenvalue of its "
            f"companion matrix must be below 1. Received: {modulus:.6f} with "
            f"{len(lag_matrices)} lag(s). A longer history, fewer lags or fewer components help."
        )


def covariance_factor(covariance):
    """Lower triangular L with L Lᵀ = `covariance`, also for a singular covariance.

    Eigenvalues of the correlation matrix that rounding has made negative count as zero.

    Args:
        covariance: Symmetric, positive semidefinite, `(K, K)`.

    Returns:
        Array `(K, K)`.

    Raises:
        ValueError: If an eigenvalue is negative beyond rounding.

    Example:

    >>> factor = covariance_factor([[4.0, 2.0], [2.0, 1.0]])
    >>> (factor @ factor.T).round(12).tolist()
    [[4.0, 2.0], [2.0, 1.0]]
    """
    covariance = np.asarray(covariance, np.float64)
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    unit = np.where(scale > 0.0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(unit, unit))
    if values.min() < -1e-8 * len(values):
        raise ValueError(
            "`covariance` must be positive semidefinite. Received: one with the eigenvalue "
            f"{values.min():.3g} of its correlation matrix"
        )
    root = unit[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    factor = np.linalg.qr(root.T, mode="r").T
    return factor * np.where(np.diag(factor) < 0.0, -1.0, 1.0)
