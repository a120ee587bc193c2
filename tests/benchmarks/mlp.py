"""The workload's model as an ordinary torch module, for the engines that train one."""

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from workload import LAYERS, split


def module() -> nn.Sequential:
    """Linear layers with ReLU between them; what they start from is not yet set."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(LAYERS):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def linears(model: nn.Module) -> list[nn.Linear]:
    """The layers that have parameters, first to last."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


@torch.no_grad()
def set_flat(model: nn.Module, w: NDArray[np.float32]) -> None:
    """Give a module the parameters of the flat vector; torch stores weights as (outputs, inputs)."""
    for layer, (weight, bias) in zip(linears(model), split(w), strict=True):
        layer.weight.copy_(torch.from_numpy(weight.T.copy()))
        layer.bias.copy_(torch.from_numpy(bias.copy()))


def flat(model: nn.Module) -> NDArray[np.float32]:
    """A module's parameters as the flat vector."""
    parts = []
    for layer in linears(model):
        parts += [layer.weight.detach().T.reshape(-1).numpy(), layer.bias.detach().numpy()]
    return np.concatenate(parts)
