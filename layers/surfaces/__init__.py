"""Option surfaces without arbitrage: discrete local volatilities, checks, repair, interpolation."""
