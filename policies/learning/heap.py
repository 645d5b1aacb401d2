"""Giving freed memory back to the system at once."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 1 << 20


def give_back_freed() -> None:
    """Map every block of a mebibyte or more by itself, where the C library can.

    glibc raises that bound by itself when such a block is freed. Activations then come from the
    heap, whose holes fit no later ones: a step that needs 0.1 GB holds on to 2 (mallopt(3)). The
    price is time: every block's pages are asked for anew. Memory on a GPU is not concerned.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
