"""What this machine has and how much of it is free: processors, memory, disk, graphics memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")
_ASK_S = 3.0
"""The driver's own tool answers in some 20 ms; one that hangs is taken for none."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One graphics processor.

    Attributes:
        name: as the driver calls it. kind: "cuda", or "mps" where its memory is the machine's own.
        total_bytes, free_bytes: of its memory. busy_percent: 0 … 100; None where nobody says.
    """

    name: str
    kind: str
    total_bytes: int
    free_bytes: int
    busy_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine as it stands now, or the part of it that a container may use.

    Attributes:
        num_cpus: that this process may use.
        ram_bytes, ram_free_bytes: all memory, and what can be had without swapping.
        disk_bytes, disk_free_bytes: of the disk that was asked for.
        cpu_percent: of all processors, since the last look; 0 on the first.
        accelerators: graphics processors; () where there is none, or none that is known without loading torch.
    """

    num_cpus: int
    ram_bytes: int
    ram_free_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    cpu_percent: float
    accelerators: tuple[Accelerator, ...] = ()


def machine(folder: Path) -> Machine:
    """This machine now; takes about a millisecond without an NVIDIA driver, and tens with one.

    Args: folder: on the disk that matters; it need not be there yet.
    """
    memory = psutil.virtual_memory()
    total, free = _within_container(memory.total, memory.available)
    disk = psutil.disk_usage(str(_existing(folder)))
    return Machine(
        num_cpus=_num_cpus(),
        ram_bytes=total,
        ram_free_bytes=free,
        disk_bytes=disk.total,
        disk_free_bytes=disk.free,
        cpu_percent=psutil.cpu_percent(interval=None),
        accelerators=_accelerators(total, free),
    )


def container_memory(root: Path = _CGROUP) -> tuple[int, int] | None:
    """(limit, used) in bytes of the container this runs in, by cgroup v2, else v1; None outside of one.

    Cached file pages count as free, as they do in `psutil`'s available memory.
    """
    for limit_name, used_name, stat_name, cached in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        try:
            limit = (root / limit_name).read_text().strip()
            used = int((root / used_name).read_text())
            stat = dict(line.split() for line in (root / stat_name).read_text().splitlines())
        except (OSError, ValueError):
            continue
        if not limit.isdecimal():  # "max": no limit
            return None
        return int(limit), max(used - int(stat.get(cached, 0)), 0)
    return None


def _within_container(total: int, available: int) -> tuple[int, int]:
    inside = container_memory()
    if inside is None or inside[0] >= total:
        return total, available
    limit, used = inside
    return limit, max(min(available, limit - used), 0)


def _num_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = Path(folder).absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _accelerators(ram_bytes: int, ram_free_bytes: int) -> tuple[Accelerator, ...]:
    """By torch where something has loaded it anyway, else by the driver's tool; Apple's chips by what they are."""
    if sys.platform == "darwin":
        is_apple = os.uname().machine == "arm64"
        return (Accelerator("Apple GPU, shares memory", "mps", ram_bytes, ram_free_bytes),) if is_apple else ()
    known = _asked_from_driver()
    return known if known else _asked_from_torch()


def _asked_from_driver() -> tuple[Accelerator, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    fields = "name,memory.total,memory.free,utilization.gpu"
    try:
        answer = subprocess.run(  # noqa: S603 — the driver's own tool with fixed arguments
            [tool, f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_ASK_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()  # a driver that does not answer: there is no GPU to count on
    return parse_driver_answer(answer.stdout)


def parse_driver_answer(text: str) -> tuple[Accelerator, ...]:
    """The lines of `nvidia-smi --query-gpu=name,memory.total,memory.free,utilization.gpu` in csv without units (MiB).

    Lines that are none, as of a card without memory of its own ("[N/A]"), are passed over.
    """
    found = []
    for line in text.splitlines():
        name, *numbers = [part.strip() for part in line.rsplit(",", 3)]
        if len(numbers) == 3 and numbers[0].isdecimal() and numbers[1].isdecimal():
            busy = float(numbers[2]) if numbers[2].isdecimal() else None
            found.append(Accelerator(name, "cuda", int(numbers[0]) << 20, int(numbers[1]) << 20, busy))
    return tuple(found)


def _asked_from_torch() -> tuple[Accelerator, ...]:
    """CUDA or ROCm cards, only if torch is loaded: importing it takes seconds and hundreds of megabytes."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_available():
        return ()
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found.append(Accelerator(torch.cuda.get_device_name(index), "cuda", total, free))
    return tuple(found)
