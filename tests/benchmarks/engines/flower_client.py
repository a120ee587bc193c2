"""Flower's client app: one SGD pass over a client's samples, inside a simulation actor.

A module of its own, so that actors import it once and keep the data and the model between messages;
what a script's __main__ defines would be pickled into every message instead.
"""

from functools import cache
from pathlib import Path

import mlp
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from workload import LEARNING_RATE, SAMPLES, Problem

Batches = list[tuple[Tensor, Tensor]]

torch.set_num_threads(1)  # an actor owns one core
app = ClientApp()
model = mlp.module()
sgd = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)


@cache
def clients(data: str) -> list[Batches]:
    """Every client's batches, read once per actor."""
    X, y = (torch.from_numpy(part) for part in Problem.load(Path(data)).batches())
    return [list(zip(xs, ys, strict=True)) for xs, ys in zip(X, y, strict=True)]


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train from the model in the message and send the result back."""
    batches = clients(message.content["config"]["data"])[context.node_config["partition-id"]]
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    for x, y in batches:
        sgd.zero_grad()
        binary_cross_entropy_with_logits(model(x).squeeze(-1), y).backward()
        sgd.step()
    reply = {
        "arrays": ArrayRecord(model.state_dict()),
        "metrics": MetricRecord({"num-examples": SAMPLES}),
    }
    return Message(content=RecordDict(reply), reply_to=message)
