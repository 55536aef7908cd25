"""Work that can be repeated to the bit: random numbers from seeds, a fixed number of threads, repeatable kernels."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch

from engine.runners.devices import set_threads


@contextlib.contextmanager
def reproducible(seed: int, threads: int = 0, device: str = "cpu") -> Iterator[None]:
    """Random numbers from the seed, this many threads, on a CPU only repeatable kernels; all put back afterwards.

    Args: threads: of torch; 0 for the physical cores. device: whose generator is put back too, if it is a CUDA card.
    """
    threads_before, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    cards = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=cards):
        torch.manual_seed(seed)
        if threads:
            torch.set_num_threads(threads)
        else:
            set_threads()
        torch.use_deterministic_algorithms(device == "cpu" or was_deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # it only hides reads of memory nobody wrote
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(was_deterministic)
            torch.utils.deterministic.fill_uninitialized_memory = filled


def derived_seed(*parts: int | str) -> int:
    """A seed of 63 bits from parts such as (seed, step, rank): what is drawn needs no state to be drawn again."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
