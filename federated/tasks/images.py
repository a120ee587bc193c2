"""Images, told apart by networks: users hold images of their own, and not of all classes alike.

Networks are described in `image_kernels`, which computes their derivatives client by client; autograd is
their twin in tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.image_splits import Hands, Split
from data.images import CLASSES, Images
from federated.tasks import Ask, Chance, Descent, Rehearsal, nobody
from federated.tasks.autograd import ByAutograd
from federated.tasks.image_kernels import curve, descend
from federated.workers import in_parallel, shared
from ranking.kernels import GRADIENT, Steps
from ranking.rankers.network import Layout

MULTIPLICATIONS = 2_000_000_000
"""At most, before it is asked whether anybody still waits: part of a second."""


@dataclass(frozen=True)
class Network:
    """A chain of layers with ELU between them.

    Attributes:
        sizes: (rows of an image, inputs, outputs) of each layer, see `image_kernels`.
        window: pixels on a side of what an image is cut into, smaller and smaller windows; none: it is not.
    """

    sizes: tuple[tuple[int, int, int], ...]
    window: tuple[int, ...] = ()

    @cached_property
    def layout(self) -> Layout:
        """Names and shapes of the P parameters."""
        shapes: dict[str, tuple[int, ...]] = {}
        for number, (_, i, o) in enumerate(self.sizes):
            shapes |= {f"layer{number}.weight": (i, o), f"layer{number}.bias": (o,)}
        return Layout(shapes)

    @property
    def multiplications(self) -> int:
        """Of numbers, for one image's gradient."""
        return 3 * sum(rows * i * o for rows, i, o in self.sizes)

    def logits(self, w: Tensor, x: Tensor) -> Tensor:
        """Logits (C, B, classes) of C clients' images (C, B, D), by their own parameters w (C, P)."""
        named, (clients, images) = self.layout.split(w), x.shape[:2]
        for number, (rows, inputs, _) in enumerate(self.sizes):
            x = x.reshape(clients, images * rows, inputs)
            x = torch.baddbmm(named[f"layer{number}.bias"][:, None], x, named[f"layer{number}.weight"])
            if number + 1 < len(self.sizes):
                x = torch.nn.functional.elu(x)
        return x.reshape(clients, images, -1)

    def arranged(self, x: Tensor) -> Tensor:
        """Images (N, height, width, channels) as the first layer reads them, (N, D)."""
        if not self.window:
            return x.flatten(1)
        number, side, _, channels = x.shape
        edges = [side, *self.window, 1]
        parts = [edges[n] // edges[n + 1] for n in range(len(edges) - 1)]
        levels = len(parts)
        order = [0, *(axis for level in range(levels) for axis in (1 + level, 1 + levels + level))]
        x = x.reshape(number, *parts, *parts, channels)
        return x.permute(*order, 1 + 2 * levels).reshape(number, -1)


def multinomial(shape: tuple[int, int, int]) -> Network:
    """Multinomial regression: a softmax of linear functions."""
    return Network(((1, shape[0] * shape[1] * shape[2], CLASSES),))


def mlp(shape: tuple[int, int, int]) -> Network:
    """80 and 60 hidden units, as in Per-FedAvg's experiments (Fallah 2020)."""
    return Network(((1, shape[0] * shape[1] * shape[2], 80), (1, 80, 60), (1, 60, CLASSES)))


def cnn(shape: tuple[int, int, int]) -> Network:
    """A small CNN: windows of 4 × 4 pixels into 16 maps, 2 × 2 of these into 32 maps, and one dense layer."""
    side, _, channels = shape
    fine, coarse = (side // 4) ** 2, (side // 8) ** 2
    return Network(((fine, 16 * channels, 16), (coarse, 64, 32), (1, coarse * 32, CLASSES)), (8, 4))


NETWORKS: dict[str, Callable[[tuple[int, int, int]], Network]] = {
    "multinomial": multinomial,
    "mlp": mlp,
    "cnn": cnn,
}
"""What images are told apart by, from their height, width and channels."""


class Pictures(NamedTuple):
    """Users' images, those of user u from start[u] to start[u + 1].

    Attributes:
        x: (N, D), arranged for a network; 1 lies between black and white.
        y: (N,) labels.
        start: (U + 1,).
    """

    x: Tensor
    y: Tensor
    start: Tensor

    @classmethod
    def of(cls, x: Any, y: Any, middle: float, hands: Hands, network: Network) -> "Pictures":
        """The images that users hold, of all (M, height, width, channels) uint8."""
        held = np.concatenate(hands)
        start = torch.tensor([0, *(len(hand) for hand in hands)]).cumsum(0)
        scaled = torch.from_numpy(x[held]).float().div_(255).sub_(middle)
        return cls(network.arranged(scaled).contiguous(), torch.from_numpy(y[held]), start)


@dataclass(frozen=True)
class ImageBatch:
    """Images with the numbers ``index`` (C, B), and the ``weight`` (C, B) of each in its client's loss."""

    index: Tensor
    weight: Tensor


@dataclass(frozen=True)
class ImageBatches(Sequence[ImageBatch]):
    """K batches of the same clients: images with the numbers (K, C, B), one weight (C, B) for all."""

    numbers: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            return ImageBatches(self.numbers[which], self.weight)
        return ImageBatch(self.numbers[which], self.weight)


@dataclass(frozen=True)
class ImageTask(ByAutograd):
    """U users' images, stored once and gathered by index.

    Attributes:
        network: what tells them apart.
        train, validation, test: each user's images; test images are for `judge` alone.
    """

    network: Network
    train: Pictures = field(repr=False)
    validation: Pictures = field(repr=False)
    test: Pictures = field(repr=False)

    @classmethod
    def of(cls, images: Images, split: Split, network: Network) -> "ImageTask":
        """The task of users who hold these images."""
        learned = (images.x_train, images.y_train, images.middle)
        train, validation = (
            Pictures.of(*learned, hands, network) for hands in (split.train, split.validation)
        )
        tested = (images.x_test, images.y_test, images.middle)
        return cls(network, train, validation, Pictures.of(*tested, split.test, network))

    @property
    def stacked(self) -> bool:
        """See `Task.stacked`."""
        return False

    @cached_property
    def samples(self) -> Tensor:
        """See `Task.samples`: training images."""
        return self.train.start.diff()

    def initial(self, seed: int) -> Tensor:
        """See `Task.initial`."""
        return self.network.layout.initial(torch.Generator().manual_seed(seed)).to(self.train.x.dtype)

    def batches(self, users: Tensor, index: Tensor, chance: Chance) -> ImageBatches:
        """See `Task.batches`."""
        weight = torch.full(index.shape[1:], 1 / index.shape[-1], dtype=self.train.x.dtype)
        return ImageBatches(self.train.start[users][:, None] + index, weight)

    def everything(self, users: Tensor, seed: int, most: int | None = None) -> ImageBatches:
        """See `Task.everything`; users with fewer images than the others get some of weight 0."""
        held = self.samples[users][:, None]
        size = held if most is None else held.clamp(max=most)
        index = torch.arange(int(size.max())).expand(len(users), -1)
        numbers = self.train.start[users][:, None] + held - size + torch.minimum(index, size - 1)
        return ImageBatches(numbers[None], ((index < size) / size).to(self.train.x.dtype))

    def loss(self, w: Tensor, batch: ImageBatch) -> Tensor:
        """See `Task.loss`: mean cross-entropy."""
        logits = self.network.logits(w, self.train.x[batch.index])
        wrong = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), self.train.y[batch.index].flatten(), reduction="none"
        )
        return (wrong.view_as(batch.weight) * batch.weight).sum(1)

    def gradient(self, w: Tensor, batch: ImageBatch) -> Tensor:
        """See `Slopes.gradient`."""
        w = w.detach().contiguous()
        slope = torch.empty_like(w)
        self._call(w, w[:0], slope, ImageBatches(batch.index[None], batch.weight), GRADIENT)
        return slope

    def hessian_times(self, w: Tensor, v: Tensor, batch: ImageBatch) -> Tensor:
        """See `Slopes.hessian_times`."""
        w, v = w.detach().contiguous(), v.detach().contiguous()
        product = torch.empty_like(w)
        arrays = (w, v, self.train.x, self.train.y, batch.index.contiguous(), batch.weight.contiguous())
        given = (*(tensor.numpy() for tensor in arrays), self._sizes, product.numpy())
        shared(lambda some: curve(some.start, some.stop, *given), len(w))
        return product

    def descend(
        self, w: Tensor, anchor: Tensor, batches: Sequence[ImageBatch], how: Descent, ask: Ask = nobody
    ) -> Tensor:
        """See `Task.descend`; it is asked before every few laps, or steps where there are none."""
        assert isinstance(batches, ImageBatches)
        theta = w.detach().clone(memory_format=torch.contiguous_format)
        if not len(batches) or not how.steps:
            return theta
        near = anchor.detach().contiguous() if how.pull and not how.laps else theta[:0]
        steps = Steps(how.steps, how.lr, how.pull, how.tolerance, how.way, how.laps)
        each = len(batches) // how.laps if how.laps else 1
        one = batches.weight.numel() * self.network.multiplications * (how.steps if how.laps else 1)
        some = max(1, MULTIPLICATIONS // one)
        for begin in range(0, how.laps or how.steps, some):
            ask()
            number = min(some, (how.laps or how.steps) - begin)
            if how.laps:
                part = batches[begin * each : (begin + number) * each]
                self._call(theta, near, theta[:0], part, steps._replace(laps=number))
            else:
                numbers = batches.numbers
                if len(batches) > 1:
                    numbers = numbers[torch.arange(begin, begin + number) % len(batches)]
                part = ImageBatches(numbers, batches.weight)
                self._call(theta, near, theta[:0], part, steps._replace(steps=number))
        return theta

    def judge(self, w: Tensor, pictures: Pictures, users: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy and accuracy (C,) on each user's images, float64.

        Where a logit is not finite the loss is ∞ and the image counts as taken for another.

        Args:
            w: one model (P,), or one for each user (C, P).
            pictures: those to judge by.
            users: (C,) whose; None: everybody's. Who has no images has NaN.
        """
        whose = torch.arange(len(pictures.start) - 1) if users is None else users
        w = w.expand(len(whose), -1)

        def one(place: int) -> tuple[float, float]:
            begin, end = pictures.start[whose[place] : whose[place] + 2].tolist()
            logits = self.network.logits(w[place][None], pictures.x[None, begin:end])[0].double()
            y, fine = pictures.y[begin:end], torch.isfinite(logits).all(1)
            loss = torch.nn.functional.cross_entropy(logits, y, reduction="none")
            right = fine & (logits.argmax(1) == y)
            return float(loss.where(fine, torch.inf).mean()), float(right.double().mean())

        judged = torch.tensor(in_parallel(one, range(len(whose))), dtype=torch.float64)
        return judged[:, 0], judged[:, 1]

    def evaluate(self, w: Tensor) -> dict[str, float]:
        """See `Task.evaluate`: cross-entropy and accuracy on validation images, over users."""
        loss, accuracy = self.judge(w, self.validation)
        if not torch.isfinite(loss).all():
            raise FloatingPointError("the model's output is no longer finite")
        return {"loss": float(loss.mean()), "accuracy": float(accuracy.mean())}

    def rehearsal(self) -> Rehearsal:
        """See `Task.rehearsal`: by the share of validation images that are taken for others.

        Images have no dates, so that nobody learns from the latest: models of all training images are judged.
        """
        return Rehearsal(
            self,
            self.validation.start.diff(),
            lambda users, w: torch.where(
                torch.isfinite(w).all(1), 1 - self.judge(w, self.validation, users)[1], torch.inf
            ),
        )

    def flipped(self, users: Tensor) -> "ImageTask":
        """See `Labelled.flipped`: the last class for the first, and so on."""
        theirs, y = users.repeat_interleave(self.samples), self.train.y
        return replace(self, train=self.train._replace(y=torch.where(theirs, y.max() - y, y)))

    def pooled(self) -> "ImageTask":
        """See `Task.pooled`."""
        together = [
            part._replace(start=part.start[torch.tensor([0, -1])])
            for part in (self.train, self.validation, self.test)
        ]
        return replace(self, train=together[0], validation=together[1], test=together[2])

    @cached_property
    def _sizes(self) -> Any:
        return np.array(self.network.sizes, np.int64)

    def _call(self, theta: Tensor, anchor: Tensor, slope: Tensor, batches: ImageBatches, how: Steps) -> None:
        """The kernel, for all clients; see it for what may be empty."""
        real = theta.numpy().dtype.type  # or products would be of 64 bits
        lr, pull, tolerance, way = map(real, (how.lr, how.pull, how.tolerance, how.way))
        how = Steps(how.steps, lr, pull, tolerance, way, how.laps)
        tensors = (theta, anchor, slope, self.train.x, self.train.y, batches.numbers, batches.weight)
        given: list[Any] = [*(tensor.contiguous().numpy() for tensor in tensors), self._sizes, how]
        shared(lambda some: descend(some.start, some.stop, *given), len(theta))
