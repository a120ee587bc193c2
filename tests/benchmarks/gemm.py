"""The machine's peak: GFLOP/s of large float32 matrix products, the best of several."""

import time

import torch

SIZE = 2048
TRIES = 12


def peak_gflops(size: int = SIZE, tries: int = TRIES) -> float:
    """The best of so many products, by as many threads as torch is allowed."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    out = torch.empty(size, size)
    torch.mm(a, b, out=out)  # threads and buffers come into being
    best = float("inf")
    for _ in range(tries):
        since = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - since)
    return 2 * size**3 / best / 1e9


if __name__ == "__main__":
    print(peak_gflops())
