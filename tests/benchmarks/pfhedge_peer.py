"""PFHedge's side of the comparison: the band network of its examples, on its own simulator."""

import torch
from pfhedge.instruments import BrownianStock, EuropeanOption
from pfhedge.nn import BlackScholes, Clamp, EntropicRiskMeasure, Hedger, MultiLayerPerceptron


class PeerBand(torch.nn.Module):
    """Delta minus and plus the rectified outputs of a 4×32 network, then PFHedge's clamp."""

    def __init__(self, derivative):
        super().__init__()
        self.delta = BlackScholes(derivative)
        self.network = MultiLayerPerceptron(out_features=2)
        self.clamp = Clamp()

    def inputs(self):
        return [*self.delta.inputs(), "prev_hedge"]

    def forward(self, rows):
        state, previous = rows[..., :-1], rows[..., -1:]
        below, above = torch.nn.functional.leaky_relu(self.network(state)).split(1, dim=-1)
        delta = self.delta(state)
        return self.clamp(previous, min=delta - below, max=delta + above)


class Peer:
    """A hedger with its optimiser; `step(paths)` is one simulation and one update by Adam."""

    def __init__(self, steps=20, time_step=1 / 250, cost=1e-3, risk_aversion=50.0, seed=0):
        torch.manual_seed(seed)
        stock = BrownianStock(cost=cost, dt=time_step)
        self.derivative = EuropeanOption(stock, maturity=steps * time_step)
        self.model = PeerBand(self.derivative)
        criterion = EntropicRiskMeasure(a=risk_aversion)
        self.hedger = Hedger(self.model, self.model.inputs(), criterion=criterion)
        self.hedger.compute_loss(self.derivative, n_paths=2)  # makes the lazy layers
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def step(self, paths):
        self.optimizer.zero_grad()
        loss = self.hedger.compute_loss(self.derivative, n_paths=paths)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def band(self, spot, time_to_expiry):
        """Lower and upper edge at spots (strike 1), NumPy."""
        spot = torch.as_tensor(spot, dtype=torch.float32)
        state = torch.stack(
            [spot.log(), torch.full_like(spot, time_to_expiry), torch.full_like(spot, 0.2)], -1
        )
        with torch.no_grad():
            delta = self.model.delta(state)[..., 0]
            widths = torch.nn.functional.leaky_relu(self.model.network(state))
        return (delta - widths[..., 0]).numpy(), (delta + widths[..., 1]).numpy()
