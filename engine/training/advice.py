"""Which preset suits a machine, and why, in plain words; known at once, without training or torch."""

from __future__ import annotations

from dataclasses import dataclass

from engine.machine import Machine
from engine.training.footprint import num_parameters, training_memory
from engine.training.presets import PRESETS, Preset

PROGRAM_BYTES = 500 << 20
"""What the program itself takes with torch and a tokenizer, measured."""

MEMORY_SHARE = 0.8
"""Of the free memory that a training should take at the most; the rest is for the page and the system."""

PATIENCE_S = 24 * 3600.0
"""A preset that would take longer is not advised."""

CORE_FLOPS, CARD_FLOPS, SHARED_CARD_FLOPS = 4e10, 2e13, 2e12
"""Operations a second that a training gets out of a processor's core, a graphics card, and one that shares the
machine's memory: orders of magnitude, for a first word. `tokens_per_s` measures."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How one preset suits the machine.

    Attributes:
        preset: its name. suits: whether memory and a day are enough. reason: in a sentence.
        memory_bytes: that it takes, the program included. elapsed_s: a rough guess of its whole training.
    """

    preset: str
    suits: bool
    reason: str
    memory_bytes: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Advice:
    """The largest preset that suits the machine, else the smallest; why; and the same of each preset by name."""

    preset: str
    reason: str
    fits: dict[str, Fit]


def advise(machine: Machine) -> Advice:
    """Which preset to begin with on this machine (see `engine.machine.machine`)."""
    fits = {name: _fit(preset, machine) for name, preset in PRESETS.items()}
    suiting = [name for name, fit in fits.items() if fit.suits]
    chosen = suiting[-1] if suiting else next(iter(PRESETS))
    return Advice(chosen, fits[chosen].reason, fits)


def _fit(preset: Preset, machine: Machine) -> Fit:
    where, free_bytes, rate = _place(machine)
    memory_bytes = training_memory(preset.model, preset.training).total + PROGRAM_BYTES
    training = preset.training
    tokens = training.steps * training.batch_size * preset.model.context
    elapsed_s = 6 * num_parameters(preset.model) * tokens / rate  # 2 forward and 4 back for each parameter and token
    needs = f"It needs about {_gigabytes(memory_bytes)} of the {_gigabytes(free_bytes)} that are free on {where}"
    takes = f"takes roughly {_duration(elapsed_s)}"
    if memory_bytes > MEMORY_SHARE * free_bytes:
        reason = f"{needs}: too much. A smaller batch or more accumulation steps would take less."
        return Fit(preset.name, False, reason, memory_bytes, elapsed_s)
    if elapsed_s > PATIENCE_S:
        wish = " A graphics card would take hours." if not machine.accelerators else " Fewer steps would do for a look."
        return Fit(preset.name, False, f"{needs}, but {takes}.{wish}", memory_bytes, elapsed_s)
    return Fit(preset.name, True, f"{needs}, and {takes}.", memory_bytes, elapsed_s)


def _place(machine: Machine) -> tuple[str, int, float]:
    """Where a training would run: in words, its free bytes, and its operations a second."""
    if machine.accelerators:
        card = max(machine.accelerators, key=lambda each: each.free_bytes)
        return f"the {card.name}", card.free_bytes, CARD_FLOPS if card.kind == "cuda" else SHARED_CARD_FLOPS
    cores = "one core" if machine.num_cpus == 1 else f"{machine.num_cpus} cores"
    return f"this machine with {cores}", machine.ram_free_bytes, CORE_FLOPS * machine.num_cpus


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"


def _duration(elapsed_s: float) -> str:
    for unit, unit_s in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if elapsed_s >= 1.5 * unit_s:
            number = round(elapsed_s / unit_s)
            return f"{number} {unit}s"
    return "a minute"
