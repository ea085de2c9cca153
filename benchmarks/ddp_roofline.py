"""What a training step on a GPU could take at best, from its operations and its bytes."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from landslide_dist.batch import Batch
from landslide_dist.models.susceptibility import SusceptibilityModel
from landslide_dist.tasks import SusceptibilityTask


def against_bound(model: SusceptibilityModel, batch: Batch) -> tuple[float, float]:
    """Forward and backward of one batch on the GPU.

    Returns:
        Seconds, and the larger of operations and bytes at the card's measured peaks.
    """
    model, batch, task = model.to("cuda"), batch.to("cuda"), SusceptibilityTask()
    with FlopCounterMode(display=False) as counter:
        step(model, task, batch)
    nbytes = bytes_moved(model, task, batch)
    bound = max(counter.get_total_flops() / peak_flops(), nbytes / peak_bytes())
    return timed(lambda: step(model, task, batch)), bound


def step(model: SusceptibilityModel, task: SusceptibilityTask, batch: Batch) -> None:
    """Forward and backward."""
    task.sums(model, batch).sum().backward()


def bytes_moved(model: SusceptibilityModel, task: SusceptibilityTask, batch: Batch) -> int:
    """Least traffic of a step: what the graph saves for backward, written and read once each."""
    saved = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        saved += tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step(model, task, batch)
    return 2 * saved


def peak_flops() -> float:
    """Operations a second of a large float32 matrix product."""
    a = torch.ones(8192, 8192, device="cuda")
    return 2 * 8192**3 / timed(lambda: a @ a)


def peak_bytes() -> float:
    """Bytes read and written a second by a large copy."""
    source = torch.ones(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / timed(lambda: target.copy_(source))


def timed(call: Callable[[], Any]) -> float:
    """Median seconds of seven calls after two that warm up."""
    times = []
    for _ in range(9):
        synchronize()
        start = time.perf_counter()
        call()
        synchronize()
        times.append(time.perf_counter() - start)
    return median(times[2:])


def synchronize() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
