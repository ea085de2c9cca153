"""Random numbers by hash: the same on every device, rank and tiling."""

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
#: One more than the largest number drawn.
RANGE = _MASK + 1


def drawn(*keys: Tensor) -> Tensor:
    """Uniform 32-bit numbers in int64, one for each combination of keys.

    Args:
        keys: int64 of shapes that broadcast; the lower 63 bits of each count, and its place.
    """
    state = torch.zeros((), dtype=torch.int64, device=keys[0].device)
    for place, key in enumerate(keys):
        for half in (key & _MASK, (key >> 32) & 0x7FFFFFFF):
            # Each key is mixed by itself and with a salt of its own: no row repeats another.
            state = _mix(state ^ _mix(_mix(half) ^ _mix(torch.full_like(half, 2 * place + 1))))
    return state


def _mix(x: Tensor) -> Tensor:
    """The 32-bit finaliser of MurmurHash3 (Appleby 2011) on non-negative int64."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = x ^ (x >> shift)
        # In halves: the whole product would overflow int64.
        x = ((x & 0xFFFF) * factor + (((x >> 16) * factor & 0xFFFF) << 16)) & _MASK
    return x ^ (x >> 16)


def uniform(keys: Tensor, number: int) -> Tensor:
    """One number in [0, 1) for each key, float32.

    Args:
        keys: int64, one a sample.
        number: Which of a sample's numbers.
    """
    return (drawn(keys, torch.full_like(keys, number)).double() / RANGE).float()
