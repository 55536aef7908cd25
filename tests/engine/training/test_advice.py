"""Advice follows memory and patience, and says so in words."""

from __future__ import annotations

from pathlib import Path

from engine.machine import Accelerator, Machine, machine
from engine.training.advice import MEMORY_SHARE, PATIENCE_S, advise
from engine.training.presets import PRESETS


def _machine(gigabytes, cpus=4, *accelerators):
    free = int(gigabytes * 1e9)
    return Machine(cpus, 2 * free, free, 1 << 40, 1 << 39, 0.0, accelerators)


def _card(gigabytes, kind="cuda"):
    return Accelerator("Card 9000", kind, int(gigabytes * 1e9), int(gigabytes * 1e9))


def test_a_small_machine_gets_the_quick_preset():
    advice = advise(_machine(4, 2))
    assert advice.preset == "quick" and advice.fits["quick"].suits
    assert "2 cores" in advice.reason and "GB" in advice.reason


def test_a_large_card_gets_the_quality_preset_and_is_named():
    advice = advise(_machine(16, 4, _card(80)))
    assert advice.preset == "quality" and "Card 9000" in advice.reason


def test_a_processor_is_not_asked_for_days():
    fit = advise(_machine(500, 8)).fits["quality"]
    assert not fit.suits and "graphics card" in fit.reason and "days" in fit.reason


def test_too_little_memory_is_said():
    advice = advise(_machine(0.2))
    assert advice.preset == "quick" and not advice.fits["quick"].suits and "too much" in advice.reason


def test_what_suits_is_within_memory_and_patience_and_the_largest_such():
    for around in (_machine(2), _machine(32, 64), _machine(16, 8, _card(12)), _machine(16, 8, _card(12, "mps"))):
        advice = advise(around)
        free = around.accelerators[0].free_bytes if around.accelerators else around.ram_free_bytes
        suiting = [name for name in PRESETS if advice.fits[name].suits]
        assert advice.preset == (suiting or list(PRESETS))[-1 if suiting else 0]
        for name in suiting:
            assert advice.fits[name].memory_bytes <= MEMORY_SHARE * free
            assert advice.fits[name].elapsed_s <= PATIENCE_S


def test_this_machine_gets_an_answer():
    assert advise(machine(Path.cwd())).preset in PRESETS
