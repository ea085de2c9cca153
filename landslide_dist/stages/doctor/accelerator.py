"""``doctor``: torch's build and the GPUs that it can use, against what models are trained on."""

import os
from collections.abc import Iterator

import torch

from landslide_dist.config import RunConfig
from landslide_dist.stages.doctor.check import Check, fail, ok, warn
from landslide_dist.stages.doctor.needs import Needs

_GIB = 2**30


def accelerator(needs: Needs | None) -> Iterator[Check]:
    """Build, GPUs, and whether they are those that the run asks for."""
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    yield ok("torch", f"{torch.__version__}, built for {_build()}")
    yield from _gpus(num_gpus)
    if needs is None:
        return
    for check in _devices(needs, num_gpus):
        if check.status == "fail" and needs.trains_elsewhere:
            yield warn(check.name, check.found, "look again on a node that trains")
        else:
            yield check
    yield from _precision(needs, num_gpus)


def _build() -> str:
    if torch.version.cuda is not None:
        return f"CUDA {torch.version.cuda}"
    return f"ROCm {torch.version.hip}" if torch.version.hip is not None else "CPUs alone"


def _gpus(num_gpus: int) -> Iterator[Check]:
    for number in range(num_gpus):
        properties = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
        yield ok(
            f"GPU {number}",
            f"{properties.name}, {free / _GIB:.1f} GiB free of {total / _GIB:.1f}, capability "
            f"{properties.major}.{properties.minor}",
        )
    if num_gpus and torch.distributed.is_nccl_available():
        yield ok("NCCL", ".".join(map(str, _nccl_version())))
    elif num_gpus > 1:
        yield warn("NCCL", "this torch has none", "install a torch built with NCCL")
    if not num_gpus and torch.version.cuda is not None:
        yield warn(
            "GPU",
            "torch is built for CUDA and finds no GPU",
            "look at nvidia-smi: is there a driver, and was the container given its GPUs?",
        )


def _nccl_version() -> tuple[int, ...]:
    version: tuple[int, ...] = torch.cuda.nccl.version()  # type: ignore[no-untyped-call]
    return version


def _devices(needs: Needs, num_gpus: int) -> Iterator[Check]:
    name, training = "training.devices", needs.training
    if training.accelerator == "gpu" and not num_gpus:
        yield fail(
            "training.accelerator",
            f"gpu is asked for and there is none that torch ({_build()}) can use",
            "run where there is one, with a torch built for it, or set training.accelerator=auto",
        )
        return
    if training.devices == "auto":
        yield ok(name, f"auto: {num_gpus or 1}")
        return
    on_gpu = num_gpus > 0 and training.accelerator != "cpu"
    there = num_gpus if on_gpu else len(os.sched_getaffinity(0))
    kind = "GPUs" if on_gpu else "cores"
    found = f"{training.devices} asked for, {there} {kind}"
    if training.devices <= there:
        yield ok(name, found)
    elif on_gpu:
        yield fail(name, found, f"training.devices={there}; the result is the same")
    else:
        yield warn(name, found, f"training.devices={there}: more processes only wait")


def _precision(needs: Needs, num_gpus: int) -> Iterator[Check]:
    settings = {"training.precision": needs.training.precision}
    if isinstance(needs.config, RunConfig):
        settings["predict.precision"] = needs.config.predict.precision
    on_gpu = num_gpus > 0 and needs.training.accelerator != "cpu"
    for name, precision in settings.items():
        if precision != "bf16-mixed":
            continue
        if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False):
            yield ok(name, "bf16-mixed, which the GPU has")
        else:
            yield warn(
                name,
                f"bf16-mixed on {'a GPU' if on_gpu else 'CPUs'} without it is slow",
                f"{name}=32-true",
            )
