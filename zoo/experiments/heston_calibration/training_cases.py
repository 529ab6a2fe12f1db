"""Which networks are trained side by side: those of the convergence figure, and the ablations."""

import dataclasses

# of a network that only shows that everything runs
SMALL = {"blocks": 1, "channels": 4, "width": 16, "heads": 2, "feed_forward": 32}


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and a loss.

    Args:
        name: Of its files and numbers.
        label: For readers.
        variant: Of `HestonCalibrator`.
        options: Keyword arguments of the network.
        penalty: Form of the no-arbitrage penalty in the loss: `"correct"`, `"paper"` or None.
        initial_weight: λ of the first epoch.
        decay: Factor of λ from one epoch to the next.
    """

    name: str
    label: str
    variant: str = "paper"
    options: dict = dataclasses.field(default_factory=dict)
    penalty: str | None = None
    initial_weight: float = 1000.0
    decay: float = 0.96

    def small(self):
        """The same with a small network."""
        if self.variant != "paper":
            return self
        return dataclasses.replace(self, options={**self.options, **SMALL})

    def settings(self):
        """What decides its numbers, values that JSON can hold."""
        kept = dataclasses.asdict(self)
        kept.pop("label")
        return kept


PROPOSED = "4-block CNN + Transformer"
BASELINE = "2-layer CNN"

# of the convergence figure; the last one, with the inequalities that the paper prints, has one seed
CONVERGENCE = {
    case.name: case
    for case in (
        Case("proposed", PROPOSED, penalty="correct"),
        Case("baseline", BASELINE, variant="two_layer_cnn"),
        Case("proposed_printed_penalty", PROPOSED, penalty="paper"),
    )
}
ONE_SEED = ("proposed_printed_penalty",)

ABLATIONS = {
    case.name: case
    for case in (
        Case("lambda_0", "4 blocks, positions, λ = 0"),  # the others differ from it in one thing
        Case("one_block", "1 block", options={"blocks": 1}),
        Case("no_positions", "no positions", options={"positions": False}),
        *(
            Case(
                f"lambda_{weight}",
                f"λ = {weight}, constant",
                penalty="paper",
                initial_weight=float(weight),
                decay=1.0,
            )
            for weight in (1, 10, 100, 1000)
        ),
    )
}
