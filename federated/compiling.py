"""Compiled local steps: one program for all stacks, whatever their size."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from federated.tasks import Batch

Step = Callable[[Tensor, Sequence[Batch]], None]


def compiled(step: Step) -> Step:
    """The step as one fused program, made on its first call.

    The compiler makes another program for every new memory layout of its inputs, and gives up after eight;
    so batches, which are views into larger ones, are copied into a layout that is always the same.
    """
    program = torch.compile(step, dynamic=True)

    def run(w: Tensor, batches: Sequence[Batch]) -> None:
        program(w, [_plain(batch) for batch in batches])

    return run


def _plain(batch: Any) -> Any:
    """The same batch in fresh memory, without gaps."""
    if isinstance(batch, Tensor):
        return batch.clone(memory_format=torch.contiguous_format)
    if isinstance(batch, tuple):
        return tuple(_plain(part) for part in batch)
    fields = dataclasses.fields(batch)
    return dataclasses.replace(batch, **{f.name: _plain(getattr(batch, f.name)) for f in fields})
