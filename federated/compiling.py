"""Compiled local steps: one program for all stacks, whatever their size."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from federated.patience import Patience
from federated.tasks import Batch

Step = Callable[[Tensor, Sequence[Batch]], None]


class Compiled:
    """The step as one fused program, made on its first call, which the main thread should do.

    The compiler makes another program for every new memory layout of its inputs, and gives up after eight;
    so batches, which are views into larger ones, are copied into a layout that is always the same.

    Attributes:
        made: whether the program is there.
    """

    def __init__(self, step: Step, patience: Patience) -> None:
        self.made = False
        self._program = torch.compile(step, dynamic=True)
        self._patience = patience

    def __call__(self, w: Tensor, batches: Sequence[Batch]) -> None:
        """Take the step."""
        self._patience()
        with nullcontext() if self.made else self._patience.at_once():
            self._program(w, [_plain(batch) for batch in batches])
        self.made = True


def _plain(batch: Any) -> Any:
    """The same batch in fresh memory, without gaps."""
    if isinstance(batch, Tensor):
        return batch.clone(memory_format=torch.contiguous_format)
    if isinstance(batch, tuple):
        return tuple(_plain(part) for part in batch)
    fields = dataclasses.fields(batch)
    return dataclasses.replace(batch, **{f.name: _plain(getattr(batch, f.name)) for f in fields})
