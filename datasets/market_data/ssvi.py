"""The SSVI smile: a slice of total variance that one number, its at-the-money value, determines."""

import dataclasses
import math

import numpy as np

from hedgezoo.datasets.checks import check_number, check_positive


@dataclasses.dataclass(frozen=True)
class SSVISkew:
    """Shape of a volatility surface free of static arbitrage at any at-the-money level.

    Total implied variance at log-moneyness k = log(K/F), given its at-the-money value θ:

    w(k, θ) = θ/2 (1 + ρ φ k + √((φ k + ρ)² + 1 - ρ²)),  φ(θ) = η θ^(-γ) (1 + θ)^(γ-1)

    No butterfly arbitrage at any θ: θ φ (1 + |ρ|) < 4 and θ φ² (1 + |ρ|) ≤ 4. The suprema over θ
    are η and η² (1-2γ)^(1-2γ) (2-2γ)^(2γ-2), so both are conditions on (ρ, η, γ) alone. No
    calendar arbitrage as long as θ does not decrease with maturity: θ φ increases in θ, and
    ∂(θφ)/∂θ ≤ φ.

    Args:
        rho: Correlation-like skew ρ, between -1 and 1; negative is the skew of equity.
        eta: Strength η > 0 of the curvature.
        gamma: Decay γ of the skew with total variance, in (0, 1/2].

    Raises:
        ValueError: If a parameter is out of range or allows butterfly arbitrage.

    Example:

    >>> skew = SSVISkew(rho=-0.6, eta=2.0, gamma=0.25)
    >>> skew.total_variance(np.log([0.9, 1.0, 1.1]), 0.01).round(6)
    array([0.014453, 0.01    , 0.007205])

    Reference:
        Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces", 2014, Theorems 4.1
        and 4.2, and Section 4.
    """

    rho: float
    eta: float
    gamma: float

    def __post_init__(self):
        for name in ("rho", "eta", "gamma"):
            check_number(name, getattr(self, name))
        if not -1.0 < self.rho < 1.0:
            raise ValueError(f"`rho` must lie between -1 and 1. Received: rho={self.rho}")
        check_positive("eta", self.eta)
        if not 0.0 < self.gamma <= 0.5:
            raise ValueError(f"`gamma` must lie in (0, 1/2]. Received: gamma={self.gamma}")
        bound = largest_eta(self.rho, self.gamma)
        if self.eta > bound:
            raise ValueError(
                "The smile has butterfly arbitrage: `eta` must not exceed "
                f"{bound:.6g} at this rho and gamma. Received: {self}"
            )

    def phi(self, theta):
        """φ(θ), elementwise."""
        return self.eta * theta**-self.gamma * (1.0 + theta) ** (self.gamma - 1.0)

    def total_variance(self, log_moneyness, theta):
        """w(k, θ) = σ²T, of the broadcast shape of the arguments."""
        x = self.phi(theta) * log_moneyness
        return 0.5 * theta * (1.0 + self.rho * x + self._root(x))

    def slope(self, log_moneyness, theta):
        """∂w/∂k, of the broadcast shape of the arguments."""
        phi = self.phi(theta)
        x = phi * log_moneyness
        return 0.5 * theta * phi * (self.rho + (x + self.rho) / self._root(x))

    def _root(self, x):
        return np.sqrt((x + self.rho) ** 2 + 1.0 - self.rho**2)


def largest_eta(rho, gamma):
    """Largest η free of butterfly arbitrage at every level of total variance, see `SSVISkew`."""
    one = 1.0 + abs(rho)
    rest = 1.0 - 2.0 * gamma
    # the maximum of θ φ² over θ, for η = 1, is attained at θ = 1 - 2 γ (0⁰ = 1)
    peak = rest**rest * (1.0 + rest) ** -(1.0 + rest)
    strictly_below = math.nextafter(4.0, 0.0)
    return min(strictly_below / one, 2.0 / math.sqrt(one * peak))
