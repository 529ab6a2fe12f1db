"""Paths of stochastic differential equations whose coefficients are networks."""
