"""The progress bar takes every event, also those that merge nothing."""

from app.commands.training_progress import TrainingBars
from federated.training import Evaluated, Finished, Merged


def test_a_first_update_that_is_refused_is_shown_too() -> None:
    with TrainingBars("persa-fl", 10, quiet=True) as bar:
        bar.see(Merged(1, 0, (), (), ("not finite",), 5, 0.5))
        bar.see(Merged(2, 1, (3,), (1,), (), 5, 0.7))
        bar.see(Evaluated(2, {"loss": 1.0, "nmrr": 0.5, "p10_user_nmrr": 0.1}))
        bar.see(Finished(2, None, None, 0.1))
