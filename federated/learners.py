"""Who learns, as a training begins: clients, with all that is to become of their updates."""

from dataclasses import replace

from federated.algorithms import Row
from federated.clients import Clients
from federated.patience import Patience
from federated.server.uploads import UploadError, WithServer
from federated.tasks import Task
from federated.tasks.flipping import Labelled


def clients_of(
    task: Task, row: Row, seed: int, updates: int, patience: Patience, begun: bool = False
) -> Clients:
    """The users of a task, and what becomes of their updates; those who flip labels have done so.

    Args:
        task: what they learn; pooled, where the schedule pools.
        row: the algorithm.
        seed: of the run.
        updates: client updates that have to arrive.
        patience: see `Clients`.
        begun: whether what is to become of updates was planned before, perhaps for other users.

    Raises:
        UploadError: what is asked for does not go with the schedule, the task, or so many users.
    """
    clients = Clients(task, row.objective, row.local, seed, patience)
    uploads = row.uploads
    if isinstance(row.schedule, WithServer) and not begun:
        uploads = uploads.planned(updates, clients.number, row.schedule.size(clients.number))
    if uploads.attack is not None and uploads.attack.poisons_data:
        if not isinstance(task, Labelled):
            raise UploadError("label-flip needs labels, and here users learn from something else.")
        task = task.flipped(uploads.attack.hostile_users(clients.number, seed))
    return replace(clients, task=task, uploads=uploads)
