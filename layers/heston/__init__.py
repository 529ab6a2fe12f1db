"""Heston and Bates option prices by a Fourier integral, with closed-form gradients."""
