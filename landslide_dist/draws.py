"""Random numbers by hash: the same on every device, rank and tiling."""

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
#: One more than the largest number drawn.
RANGE = _MASK + 1


def drawn(seed: int, *keys: Tensor) -> Tensor:
    """Uniform 32-bit numbers in int64, one for each combination of keys.

    Args:
        seed: Of all of them.
        keys: int64 of shapes that broadcast; their lower 32 bits count, and their places.
    """
    mixed = torch.zeros((), dtype=torch.int64, device=keys[0].device)
    for place, key in enumerate(keys):
        # Keys are mixed apart and with different salts, so that no row repeats another.
        salt = _mix(torch.tensor((2 * seed + place) & _MASK, device=key.device))
        mixed = mixed ^ _mix(salt ^ (key & _MASK))
    return _mix(mixed)


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
    numbers = drawn(0, *halves(keys), torch.full_like(keys, number))
    return (numbers.double() / RANGE).float()


def halves(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper 32 bits of keys, for :func:`drawn`."""
    return keys, keys >> 32
