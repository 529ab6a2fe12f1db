"""One module per preset: market, model, loss, schedule, evaluation."""
