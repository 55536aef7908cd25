"""Where and in which type a network computes, and whether there is memory for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.errors import RunnerError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float16")

WIDEN_SHARE = 0.25
"""16-bit weights are widened to float32 on a CPU if that takes at most this share of the free memory: most CPUs compute
float32 faster (measured on the bundled starter: 1.5 times the tokens a second), but not at the price of swapping."""

_ITEM_BYTES = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2}


def chosen_device(device: str) -> str:
    """ "auto" as the fastest device there is. Raises: RunnerError for a device that is not there."""
    import torch

    is_there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if is_there[name])
    if not is_there.get(device.partition(":")[0], False):
        here = ", ".join(name for name, there in is_there.items() if there)
        raise RunnerError(f"There is no device {device!r} on this machine.", f"Choose one of: {here}.")
    return device


def chosen_dtype(dtype: str, stored: str, device: str, stored_bytes: int) -> torch.dtype:
    """ "auto" as the stored type, except that small 16-bit models are widened on a CPU (see WIDEN_SHARE).

    Args:
        dtype: one of DTYPES. stored: the type of the weights on disk, as config.json spells it; "" if unknown.
        device: from `chosen_device`. stored_bytes: size of the weight files.
    """
    import torch

    if dtype not in DTYPES:
        raise RunnerError(f"The type {dtype!r} is unknown.", f"Choose one of: {', '.join(DTYPES)}.")
    if dtype != "auto":
        return getattr(torch, dtype)
    if stored not in ("bfloat16", "float16"):
        return torch.float32
    if device == "cpu" and 2 * stored_bytes <= WIDEN_SHARE * free_bytes(device):
        return torch.float32
    return getattr(torch, stored)


def check_memory(name: str, stored: str, stored_bytes: int, dtype: torch.dtype, device: str) -> None:
    """Raises: RunnerError if the weights alone would not fit into the free memory of the device."""
    num_bytes = stored_bytes * dtype.itemsize // _ITEM_BYTES.get(stored, dtype.itemsize)
    free = free_bytes(device)
    if num_bytes > free:
        raise RunnerError(
            f"{name} needs {num_bytes / 2**30:.1f} GiB for its weights in {str(dtype).removeprefix('torch.')}, "
            f"and {free / 2**30:.1f} GiB are free on {device}.",
            "Close other models or programs, choose a smaller type, or a smaller model.",
        )


def free_bytes(device: str) -> int:
    """Memory that is free now on a device, in bytes."""
    import psutil

    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def set_threads() -> int:
    """Let torch compute on as many threads as there are physical cores that this process may use. Returns: how many.

    More (hyper-threads, or cores that belong to others) make small matrix products slower.
    """
    import psutil
    import torch

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = max(min(allowed, psutil.cpu_count(logical=False) or allowed), 1)
    if torch.get_num_threads() > wanted:
        torch.set_num_threads(wanted)
    return torch.get_num_threads()
