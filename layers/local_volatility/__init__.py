"""Local volatility: prices from σ(S, t) by Dupire's equation, and models whose σ(S, t) is known."""
