"""How far a surface is from being free of arbitrage: the penalty and the conditions in it."""
