"""`reproduce mnist` and `reproduce cifar10`: users who see different classes, and gradients for all alike.

For each split, model and seed every algorithm is trained with as many gradients. Step sizes are chosen before
that, on validation images of the first seed, by shorter trainings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.experiments.account import Experiment
from app.experiments.image_runs import (
    METHODS,
    Cell,
    Held,
    Steps,
    candidates,
    describe,
    row_of,
    trained,
    validated,
)
from app.experiments.image_tables import draw_curves, markdown, tabled
from app.experiments.workspace import alone, once, same_scale, save
from data.image_splits import SPLITS, Size
from data.images import SOURCES, fetch, kept, read
from data.schema import DataError
from federated.algorithms import Row

OPENML = Path("openml")
"""What is said instead of a file, to have images fetched from there."""


@dataclass(frozen=True)
class Scale:
    """How large an experiment is.

    Attributes:
        seeds: of images, start weights and all that is drawn; step sizes are chosen with the first.
        a: images of a class of a user in the split of Per-FedAvg, see `data.image_splits`.
        per_class: images of a class that its users share in the split by two classes.
        gradients: of a batch, in each training, by model.
        search: the part of that in trainings that step sizes are chosen by.
        looks: how often models are judged on the way.
        personal_samples: own models are found on so many of a user's images, at most.
    """

    seeds: tuple[int, ...]
    a: int
    per_class: int
    gradients: dict[str, int]
    search: float = 0.25
    looks: int = 6
    personal_samples: int = 150


@alone
def make(
    out: Path, scale: Scale, tell: Callable[[str], None], images: Path | None, name: str
) -> dict[str, Any]:
    """Make what is missing of an experiment in ``out``, its result and its figures.

    Args:
        out: a directory; what is finished there is kept.
        scale: how large it is.
        tell: is told what has been done.
        images: a file of them; `OPENML`: they are fetched; None: those that were fetched.
        name: a key of SOURCES.

    Raises:
        DataError: there are no such images, or too few of a class.
        RunError: ``out`` holds an experiment at another scale.
    """
    held = Held(read(found(name, images, tell), name))
    same_scale(out, scale)
    result: dict[str, Any] = {"images": {"checksum": held.images.checksum, "origin": held.images.origin}}
    result["tables"] = {}
    for split in SPLITS:
        for model, gradients in scale.gradients.items():
            made = _made(out, held, name, split, model, gradients, scale, tell)
            result["tables"][f"{split}, {model}"] = tabled(made)
            draw_curves(out / f"{split}-{model}", f"{SOURCES[name].title}, {split}, {model}", made)
    save(out, result)
    return result


def found(name: str, images: Path | None, tell: Callable[[str], None]) -> Path:
    """The file of the images; arguments and errors as of `make`."""
    if images == OPENML and not images.exists():
        return fetch(name, tell)
    place = images or kept(name)
    if not place.exists():
        what = f"{SOURCES[name].title} is not in {place}" if images is None else f"{place} is not there"
        raise DataError(
            f"{what}: name a file with --images FILE, or let them be fetched with --images openml."
        )
    return place


def _made(
    out: Path,
    held: Held,
    name: str,
    split: str,
    model: str,
    gradients: int,
    scale: Scale,
    tell: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Method → its step ``sizes``, and its ``seeds``: what `trained` gives for each."""
    made: dict[str, dict[str, Any]] = {}
    cells = [Cell(name, split, model, Size(scale.a, scale.per_class), seed) for seed in scale.seeds]
    chosen: dict[str, Steps] = {}
    for method in METHODS:
        place = out / "runs" / f"{split}-{model}-{method}"
        budget = max(1, round(gradients * scale.search))
        chosen[method] = _steps(place, held, cells[0], method, budget, scale.personal_samples)
        made[method] = {"sizes": _told(chosen[method]), "seeds": []}
        tell(f"{split}, {model}, {method}: {_told(chosen[method])}")
    for cell in cells:
        for method, steps in chosen.items():
            row = row_of(method, steps, scale.personal_samples)
            work = partial(_train, held, cell, row, gradients, scale.looks)
            key = _key(held, cell, describe(row), [gradients, scale.looks]) | {"keeps": "best"}
            place = out / "runs" / f"{split}-{model}-{method}-{cell.seed}.json"
            made[method]["seeds"].append(once(place, key, work))
        tell(f"{split}, {model}: all algorithms, seed {cell.seed}")
    return made


def _train(held: Held, cell: Cell, row: Row, gradients: int, looks: int) -> dict[str, Any]:
    return trained(held.task(cell), row, cell.seed, gradients, looks)


def _steps(place: Path, held: Held, cell: Cell, method: str, gradients: int, samples: int) -> Steps:
    """The step sizes with the best validation accuracy; of equals the first."""
    users = len(held.task(cell).samples)
    best: tuple[float, Steps] | None = None
    for number, steps in enumerate(candidates(method, users)):
        row = row_of(method, steps, samples)

        def look(row: Any = row) -> dict[str, Any]:
            return {"accuracy": validated(held.task(cell), row, cell.seed, gradients)}

        file = place.with_name(f"{place.name}-steps-{number}.json")
        accuracy = once(file, _key(held, cell, describe(row), [gradients]), look)["accuracy"]
        if best is None or accuracy > best[0]:
            best = accuracy, steps
    assert best is not None, "there are always candidates"
    return best[1]


def _key(held: Held, cell: Cell, row: dict[str, Any], budget: list[int]) -> dict[str, Any]:
    """All that a training's result depends on, as JSON gives it back."""
    size = [cell.size.a, cell.size.per_class, cell.size.tested]
    where = [cell.images, cell.split, cell.model, cell.seed]
    return {"images": held.images.checksum, "cell": where, "size": size, "budget": budget, **row}


def _told(steps: Steps) -> str:
    server = "" if steps.server_lr is None else f", server_lr = {steps.server_lr:g}"
    return f"lr = {steps.lr:g}{server}"


SETTING = """\
All algorithms have the same number of gradients of a batch: a local step costs 5 with Moreau envelopes,
4 with MAML, whose Hessian-vector product counts as two, and 1 otherwise. Ten users work at a time, in a
cohort or in flight. Step sizes are the best on validation images of the first seed, in shorter
trainings; how far own models go is what validation finds best in the end. Of the models that a training
is looked at by, the one that is best on validation images is kept. Figures are its accuracies on users' own
test images, averaged over users, with 95 % bootstrap intervals over the users of all seeds.
`ditto` is FedAvg with own models beside it, `local` trains everybody alone: both are yardsticks. “Time
to pFedMe” is the virtual time until own models were within half a point of pFedMe's; one unit
is the mean delay one way."""

UNKNOWN = """\
the paper's body was not available: none of its settings and accuracies are known here. Users, splits,
networks and budgets are this project's, and fewer images are used than there are."""


def _experiment(name: str, known: str, full: Scale, quick: Scale) -> Experiment:
    title = SOURCES[name].title
    figures = {
        f"{split}-{model}": f"{title}, split {split}, {model}: accuracy of own models against updates and "
        "against virtual time, and of common models against updates, by algorithm"
        for split in SPLITS
        for model in full.gradients
    }
    heading, making = f"{title}: users who see different classes", partial(make, name=name)
    return Experiment(heading, SETTING, known, UNKNOWN, full, quick, making, markdown, figures)


MNIST = _experiment(
    "mnist",
    """\
the talk shows PersA-FL on MNIST with heterogeneous data, in a figure without numbers. Published of its
baselines, recalled and not verified: with Per-FedAvg's split (α = 0.01, 10 local steps, 1000 rounds, an
MLP) FedAvg with a personal step 75.96 %, Per-FedAvg 78.00 % (first-order) and 79.85 % (Hessian-free);
with two digits a user and multinomial regression FedAvg 93.96 %, Per-FedAvg 94.37 %, pFedMe's own models
95.62 %. The latter were measured on a split in which users' test images are among what others learn
from, unlike here.""",
    Scale((0, 1, 2), a=98, per_class=500, gradients={"multinomial": 60_000, "mlp": 30_000}),
    Scale((0,), a=20, per_class=200, gradients={"multinomial": 8_000, "mlp": 10_000}, looks=4),
)
CIFAR10 = _experiment(
    "cifar10",
    """\
the talk shows PersA-FL on CIFAR-10 with heterogeneous data, in a figure without numbers. Published of
its baselines, recalled and not verified: with Per-FedAvg's split (α = 0.001, 10 local steps, 1000
rounds, an MLP) FedAvg with a personal step 40.49 %, Per-FedAvg 46.98 % (first-order) and 50.44 %
(Hessian-free).""",
    Scale(
        (0, 1, 2), a=68, per_class=400, gradients={"multinomial": 40_000, "cnn": 40_000}, personal_samples=100
    ),
    Scale(
        (0,),
        a=20,
        per_class=200,
        gradients={"multinomial": 6_000, "cnn": 10_000},
        looks=3,
        personal_samples=60,
    ),
)
