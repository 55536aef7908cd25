"""Narrowing the catalogue down: filters that combine, and orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.fit import needs_to_run, verdict
from engine.machine import Machine
from workflows.catalogue.entry import CatalogueEntry
from workflows.catalogue.standing import Standing

ORDERS = ("tier", "size", "name")
ROOMS = ("this machine", "CPU")


@dataclass(frozen=True, slots=True)
class Filters:
    """What a person is looking for. Values of one field are alternatives, fields combine; an empty one lets all pass.

    Attributes:
        search: words that all occur in name, hub id, family, description, task or speciality.
        modalities, tasks, specialities, tiers, states: as in `CatalogueEntry` and `Standing`.
        rooms: "this machine" (it can be run in the memory here) and "CPU" (pleasant without a GPU); both must hold.
        order: one of `ORDERS`.
    """

    search: str = ""
    modalities: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    specialities: tuple[str, ...] = ()
    tiers: tuple[int, ...] = ()
    states: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    order: str = "tier"


def select(
    entries: Sequence[CatalogueEntry], filters: Filters, standings: Mapping[str, Standing], machine: Machine
) -> list[CatalogueEntry]:
    """The entries that pass, in the order asked for; ties keep the catalogue's own order.

    Args: standings: hub id -> where the entry stands, as from `standings`. machine: for "this machine".
    """
    found = [entry for entry in entries if _passes(entry, filters, standings[entry.hub_id].state, machine)]
    orders = {
        "tier": lambda entry: (entry.tier, entry.num_parameters),
        "size": lambda entry: entry.num_parameters,
        "name": lambda entry: entry.name.lower(),
    }
    return sorted(found, key=orders.get(filters.order, orders["tier"]))


def fits_machine(entry: CatalogueEntry, machine: Machine) -> bool:
    """Whether it could run in this machine's memory, or that of one of its GPUs, as it is stored on the hub."""
    need = needs_to_run(entry.num_parameters, entry.bits, cache=entry.cache, tokens=min(entry.context or 0, 4096)).total
    rooms = [(machine.ram_free_bytes, machine.ram_bytes)]
    rooms += [(card.free_bytes, card.total_bytes) for card in machine.accelerators]
    return any(verdict(need, free, total).level != "does not fit" for free, total in rooms)


def _passes(entry: CatalogueEntry, filters: Filters, state: str, machine: Machine) -> bool:
    pairs = (
        (filters.modalities, {entry.modality}),
        (filters.tasks, set(entry.tasks)),
        (filters.specialities, {entry.speciality}),
        (filters.tiers, {entry.tier}),
        (filters.states, {state}),
    )
    if any(wanted and not actual & set(wanted) for wanted, actual in pairs):
        return False
    if "CPU" in filters.rooms and not entry.runs_on_cpu:
        return False
    if "this machine" in filters.rooms and not fits_machine(entry, machine):
        return False
    words = [entry.name, entry.hub_id, entry.family, entry.speciality, entry.architecture, entry.description]
    text = " ".join([*words, *entry.tasks]).lower()
    return all(word in text for word in filters.search.lower().split())
