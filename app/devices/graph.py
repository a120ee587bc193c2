"""Networks as ONNX graphs, layer by layer as `ranking.rankers` has them."""

from typing import Any

import numpy as np
import torch

from app.runs.checks import ConfigError
from ranking.compiled import Architecture
from ranking.rankers.network import Network
from ranking.scoring import DECIMALS

OPSET, IR, DOUBLE = 17, 8, 11
"""Of ONNX: versions that are old enough for runtimes of 2022, and its number for 64-bit floats."""

FEATURES, CODES, TYPED, SCORES = "features", "codes", "typed", "scores"
"""Names of inputs and of the output."""

INPUTS = {
    FEATURES: "(N, F) float32: of the N candidates, as the recipe says",
    CODES: "(N, L) int64: of each candidate's first L characters, lower-cased, code point − 31 where that is "
    "from 1 to 95, else 96; 0 behind its end",
    TYPED: "(1,) int64: how many characters have been typed",
}


def graph(network: Network, w: torch.Tensor) -> bytes:
    """A network with its parameters as an ONNX model; its output is ``scores`` (N,).

    Args:
        network: of a ranker.
        w: (P,) its parameters.

    Raises:
        ConfigError: the package onnx is not installed.
    """
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise ConfigError(
            "ONNX files need the package onnx, which is not installed: install persarank[onnx]."
        ) from error
    shape = network.architecture
    assert shape is not None, "every network has one"
    named = {name: part[0].numpy() for name, part in network.layout.split(w[None]).items()}
    building = _Building(helper, named)
    inputs = [helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, ["N", _features(shape)])]
    last = building.exact(FEATURES)
    if shape.codes is not None:
        length = shape.codes.shape[1]
        inputs += [
            helper.make_tensor_value_info(CODES, onnx.TensorProto.INT64, ["N", length]),
            helper.make_tensor_value_info(TYPED, onnx.TensorProto.INT64, [1]),
        ]
        read = building.characters(shape, length)
        last = building.node("Concat", [last, read], axis=1)
    last = building.dense(last, len(shape.sizes) - 1)
    building.rounded(building.node("Squeeze", [last, building.constant("last", np.array([1]))]), SCORES)
    scores = helper.make_tensor_value_info(SCORES, onnx.TensorProto.DOUBLE, ["N"])
    made = helper.make_graph(building.nodes, "persarank", inputs, [scores], building.tensors)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(made, opset_imports=[opset], ir_version=IR, producer_name="persarank")
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _features(shape: Architecture) -> int:
    """F."""
    return shape.sizes[0] - shape.filters


class _Building:
    """Nodes and constants of a graph, which computes in 64 bits; ``named`` are the network's parameters."""

    def __init__(self, helper: Any, named: dict[str, np.ndarray[Any, Any]]) -> None:
        self._helper, self._named = helper, named
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Add an operation; returns the name of what comes out."""
        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: np.ndarray[Any, Any]) -> str:
        """Add a tensor; returns its name."""
        kind = self._helper.np_dtype_to_tensor_dtype(values.dtype)
        content = np.ascontiguousarray(values).tobytes()
        self.tensors.append(self._helper.make_tensor(name, kind, values.shape, content, raw=True))
        return name

    def exact(self, name: str) -> str:
        """In 64 bits."""
        return self.node("Cast", [name], to=DOUBLE)

    def parameter(self, name: str) -> str:
        """Add one of the network's, as it was trained; returns the name of its 64 bits."""
        return self.exact(self.constant(name, self._named[name]))

    def layer(self, last: str, name: str) -> str:
        """A product with a weight, plus its bias."""
        product = self.node("MatMul", [last, self.parameter(f"{name}.weight")])
        return self.node("Add", [product, self.parameter(f"{name}.bias")])

    def rounded(self, last: str, output: str) -> None:
        """To the decimals to which scores are told."""
        unit = self.constant("unit", np.array(10.0**DECIMALS))
        self.node("Div", [self.node("Round", [self.node("Mul", [last, unit])]), unit], output)

    def dense(self, last: str, layers: int) -> str:
        """Fully connected layers with ReLU between them."""
        for number in range(layers):
            last = self.layer(last, f"dense{number}")
            if number + 1 < layers:
                last = self.node("Relu", [last])
        return last

    def characters(self, shape: Architecture, length: int) -> str:
        """(N, filters) the strongest response of each filter to each candidate's text."""
        embedded = self.node("Gather", [self.parameter("embedding"), CODES])  # (N, L, E)
        place = self.constant("place", np.arange(length)[None, :, None])
        typed = self.exact(self.node("Less", [place, TYPED]))  # (1, L, 1)
        zeros = self.node("ReduceSum", [embedded, self.constant("channels", np.array([2]))], keepdims=1)
        zeros = self.node("Sub", [zeros, zeros])  # (N, L, 1), as many as there are candidates
        both = self.node("Concat", [embedded, self.node("Add", [zeros, typed])], axis=2)
        windows = np.arange(length - shape.width + 1)[:, None] + np.arange(shape.width)
        seen = self.node("Gather", [both, self.constant("windows", windows)], axis=1)
        seen = self.node("Transpose", [seen], perm=[0, 1, 3, 2])  # (N, windows, E + 1, width)
        flat = self.constant("flat", np.array([0, 0, -1]))
        response = self.layer(self.node("Reshape", [seen, flat]), "convolution")
        return self.node("ReduceMax", [self.node("Relu", [response])], axes=[1], keepdims=0)
