"""How much of everything the experiment does, in full and in small."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Numbers that decide how long the experiment takes and how exact its results are.

    The paper trains on a million panels for 100 epochs. Here the networks of the convergence figure
    and of the ablations see fewer, so that all of them together take about half an hour of one CPU;
    the presets, which the other figures show, are trained for longer.

    Args:
        training_panels: Panels that every training run shares.
        epochs: Passes over them, of the runs of the convergence figure.
        seeds: Of the initial weights and of the order of the panels, for those runs.
        ablation_epochs: Passes of the runs of the ablations, of one seed each.
        batch_size: Panels per step, as in the paper.
        validation_panels: Held-out panels that are looked at after every epoch.
        held_out_panels: Panels on which networks are judged.
        classical_panels: Those of them on which Levenberg-Marquardt is judged.
        density_panels: Those of them whose densities are compared.
        timed: Pairs of a method and the number of panels whose times are taken.
        at_once: Panels of a batch where times are taken.
        convergence: Names of the runs of the convergence figure.
        ablations: Names of those of the ablations; None for all.
        judged: Names of the networks that are judged.
        served: Names of those whose times are taken.
        small: Whether networks are small and not the presets.
    """

    training_panels: int = 17_920
    epochs: int = 25
    seeds: tuple = (0, 1, 2)
    ablation_epochs: int = 6
    batch_size: int = 256
    validation_panels: int = 1024
    held_out_panels: int = 10_000
    classical_panels: int = 1000
    density_panels: int = 500
    timed: tuple = (
        ("networks", 400),
        ("levenberg_marquardt", 400),
        ("l_bfgs_b", 200),
        ("l_bfgs_b_differences", 100),
        ("quantlib", 100),
        ("cma_es", 40),
    )
    at_once: int = 1024
    convergence: tuple = ("proposed", "baseline", "proposed_printed_penalty")
    ablations: tuple | None = None
    judged: tuple = ("paper", "refined", "shallow")
    served: tuple = ("paper", "refined")
    small: bool = False

    def as_dict(self):
        """The numbers as plain values that JSON can hold."""
        return {**dataclasses.asdict(self), "timed": dict(self.timed)}


FULL = Sizes()
QUICK = Sizes(
    training_panels=128,
    epochs=2,
    seeds=(0,),
    ablation_epochs=1,
    batch_size=64,
    validation_panels=32,
    held_out_panels=96,
    classical_panels=8,
    density_panels=8,
    timed=(("networks", 6), ("levenberg_marquardt", 6), ("l_bfgs_b", 3)),
    at_once=32,
    convergence=("proposed", "baseline"),
    ablations=(),
    judged=("paper", "refined"),
    served=("paper",),
    small=True,
)
