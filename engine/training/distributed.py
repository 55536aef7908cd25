"""One training in several processes under torchrun, or in one: who I am, where I compute, and what all agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from engine.errors import TrainingError
from engine.runners.devices import chosen_device


@dataclass(frozen=True, slots=True)
class World:
    """The processes of one training.

    Attributes:
        rank: of this process, 0 … size − 1. size: how many there are. device: of this process, such as "cuda:1".
    """

    rank: int
    size: int
    device: str

    @property
    def is_first(self) -> bool:
        """Whether this process evaluates, writes and reports."""
        return self.rank == 0

    def summed(self, *numbers: float) -> tuple[float, ...]:
        """Each number summed over the processes; the same bits in all of them."""
        if self.size == 1:
            return numbers
        tensor = self._tensor(numbers)
        distributed.all_reduce(tensor)
        return tuple(tensor.tolist())

    def from_first(self, number: float) -> float:
        """The first process's number, in all processes."""
        if self.size == 1:
            return number
        tensor = self._tensor((number,))
        distributed.broadcast(tensor, src=0)
        return tensor.item()

    def shared(self, model: nn.Module) -> nn.Module:
        """The model, but backward averages gradients over the processes; all begin with the first one's weights."""
        if self.size == 1:
            return model
        cards = [torch.device(self.device)] if self.device.startswith("cuda") else None
        return DistributedDataParallel(model, device_ids=cards, gradient_as_bucket_view=True)

    def _tensor(self, numbers: tuple[float, ...]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=self.device)


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that torchrun started (gloo on CPUs, nccl on graphics cards), or be alone without it.

    A process that fails leaves; the others then fail at their next exchange, and torchrun ends what is left.

    Args: device: "auto", "cpu", "cuda" or "mps"; under torchrun each process takes the card of its number.
    Raises: RunnerError if there is no such device, TrainingError if there are more processes than cards.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = chosen_device(device)
    if size == 1:
        yield World(0, 1, chosen)
        return
    rank, local_rank = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
    if chosen == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise TrainingError(
                f"Process {local_rank} has no card: {torch.cuda.device_count()} are here.",
                "Start as many processes as there are cards, or choose the device cpu.",
            )
        chosen = f"cuda:{local_rank}"
        torch.cuda.set_device(local_rank)
    elif chosen == "mps":
        raise TrainingError(
            "Several processes cannot share Apple's GPU.", "Start one process, or choose the device cpu."
        )
    is_ours = not distributed.is_initialized()
    if is_ours:
        distributed.init_process_group("nccl" if chosen.startswith("cuda") else "gloo")
    try:
        yield World(rank, size, chosen)
    finally:
        if is_ours:
            distributed.destroy_process_group()
