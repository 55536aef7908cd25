"""The catalogue's file, its schema, the filters over it, and where its models stand."""

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CatalogueError
from engine.fit import CacheShape
from engine.machine import Accelerator, Machine
from storage.records import Location
from workflows.catalogue import Filters, Standing, catalogue, select, standings
from workflows.catalogue.entry import MODALITIES, SPECIALITIES, TASKS, TIERS, parse_catalogue
from workflows.catalogue.filters import ORDERS, ROOMS, fits_machine
from workflows.catalogue.standing import STATES
from workflows.jobs import Job

LAPTOP = Machine(8, 16 * 10**9, 10 * 10**9, 10**12, 10**11, 0.0)
NOWHERE = {entry.hub_id: Standing("not here") for entry in catalogue()}

RECORD = {
    "id": '"tiny"',
    "name": '"Tiny"',
    "hub_id": '"owner/tiny"',
    "millions": "1.5",
    "bits": "32",
    "family": '"bert"',
    "architecture": '"encoder"',
    "modality": '"text"',
    "tasks": '["embeddings"]',
    "speciality": '"general"',
    "tier": "1",
    "licence": '"MIT"',
    "description": '"A model that is here for the test."',
}


def toml(**changes):
    fields = {key: value for key, value in (RECORD | changes).items() if value is not None}
    return "[[model]]\n" + "\n".join(f"{key} = {value}" for key, value in fields.items()) + "\n"


def location(uri, content_hash=None, origin="hub"):
    return Location("m", uri, origin, "f", "safetensors", 1, 1, 1, content_hash)


def job(state, model="owner/tiny", kind="download"):
    return Job("id", kind, "title", {"model": model}, Path(), datetime.now(UTC), state)


def test_the_shipped_catalogue_keeps_its_schema_and_covers_every_speciality():
    entries = catalogue()
    assert len(entries) >= 39
    assert {entry.speciality for entry in entries} == set(SPECIALITIES)
    assert {entry.modality for entry in entries} == set(MODALITIES)
    assert {task for entry in entries for task in entry.tasks} <= set(TASKS)
    assert all(entry.description.endswith(".") for entry in entries)


def test_sizes_in_the_catalogue_agree_with_the_numbers_in_names():
    by_id = {entry.id: entry for entry in catalogue()}
    assert by_id["minilm-l6"].num_bytes == pytest.approx(90.9e6, rel=0.01)
    assert by_id["deepseek-r1"].num_bytes == pytest.approx(685e9)
    assert by_id["qwen2.5-1.5b"].cache.num_bytes(1) == 28 * 2 * 2 * 128 * 2
    assert by_id["esm2-8m"].runs_on_cpu and not by_id["codellama-7b"].runs_on_cpu


def test_a_record_is_read_with_its_defaults_and_its_cache():
    (entry,) = parse_catalogue(toml())
    assert (entry.context, entry.cache, entry.needs_code, entry.is_gated) == (None, None, False, False)
    assert entry.uri == "hf://owner/tiny" and entry.num_parameters == 1_500_000
    (entry,) = parse_catalogue(toml(cache="{ layers = 2, values = 256 }", context="512"))
    assert entry.cache == CacheShape(2, 256) and entry.context == 512


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        "title = 1",
        "model = 3",
        "model = [1]",
        toml() + toml(),
        toml() + toml(id='"other"', hub_id='"Owner/Tiny"'),
        toml(id=None),
        toml(stars="5"),
        toml(tier="4"),
        toml(tier='"1"'),
        toml(tier="true"),
        toml(millions="-1"),
        toml(millions="nan"),
        toml(bits="12"),
        toml(modality='"smell"'),
        toml(tasks="[]"),
        toml(tasks='["juggling"]'),
        toml(tasks='"embeddings"'),
        toml(hub_id='"../etc"'),
        toml(hub_id='"no-owner"'),
        toml(id='"Has Space"'),
        toml(description='"short"'),
        toml(context="0"),
        toml(cache="{ layers = 2 }"),
        toml(cache="{ layers = 0, values = 4 }"),
        toml(cache="{ layers = true, values = 4 }"),
        toml(needs_code="1"),
    ],
)
def test_a_broken_catalogue_is_refused_with_its_reason(text):
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(text)
    assert "catalogue" in caught.value.message and caught.value.hint


def test_biology_on_a_processor_finds_the_small_biology_models():
    found = select(catalogue(), Filters(specialities=("biology",), rooms=("CPU",)), NOWHERE, LAPTOP)
    ids = [entry.id for entry in found]
    assert {"esm2-8m", "dnabert-2", "biogpt"} <= set(ids)
    assert "evo-1" not in ids
    assert [(entry.tier, entry.num_parameters) for entry in found] == sorted(
        (entry.tier, entry.num_parameters) for entry in found
    )


@given(
    st.builds(
        Filters,
        search=st.sampled_from(["", "qwen", "protein esm", "zzz"]),
        modalities=st.sets(st.sampled_from(MODALITIES)).map(tuple),
        tasks=st.sets(st.sampled_from(TASKS)).map(tuple),
        specialities=st.sets(st.sampled_from(SPECIALITIES)).map(tuple),
        tiers=st.sets(st.sampled_from(TIERS)).map(tuple),
        states=st.sets(st.sampled_from(STATES)).map(tuple),
        rooms=st.sets(st.sampled_from(ROOMS)).map(tuple),
        order=st.sampled_from(ORDERS),
    )
)
def test_combined_filters_pass_exactly_what_each_of_them_passes(filters):
    found = {entry.id for entry in select(catalogue(), filters, NOWHERE, LAPTOP)}
    expected = {entry.id for entry in catalogue()}
    for name in ("search", "modalities", "tasks", "specialities", "tiers", "states", "rooms"):
        alone = Filters(**{name: getattr(filters, name)})
        expected &= {entry.id for entry in select(catalogue(), alone, NOWHERE, LAPTOP)}
    assert found == expected


def test_alternatives_within_one_filter_add_up():
    both = select(catalogue(), Filters(specialities=("math", "coding")), NOWHERE, LAPTOP)
    single = [select(catalogue(), Filters(specialities=(name,)), NOWHERE, LAPTOP) for name in ("math", "coding")]
    assert {e.id for e in both} == {e.id for e in itertools.chain(*single)}


def test_orders_sort_by_size_and_by_name():
    by_size = [e.num_parameters for e in select(catalogue(), Filters(order="size"), NOWHERE, LAPTOP)]
    assert by_size == sorted(by_size)
    by_name = [e.name.lower() for e in select(catalogue(), Filters(order="name"), NOWHERE, LAPTOP)]
    assert by_name == sorted(by_name)
    assert select(catalogue(), Filters(order="?"), NOWHERE, LAPTOP)


def test_a_model_fits_in_memory_or_in_that_of_a_gpu():
    coder = next(entry for entry in catalogue() if entry.id == "deepseek-r1-distill-14b")
    assert not fits_machine(coder, LAPTOP)
    card = Accelerator("GPU", "cuda", 80 * 10**9, 79 * 10**9)
    assert fits_machine(coder, Machine(8, 16 * 10**9, 10 * 10**9, 10**12, 10**11, 0.0, (card,)))


SNAPSHOT = "/cache/models--Owner--tiny/snapshots/0123"


@pytest.mark.parametrize(
    ("places", "jobs", "running", "state"),
    [
        ([], [], (), "not here"),
        ([location("/elsewhere/tiny")], [], (), "not here"),
        ([location("hf://owner/tiny")], [], (), "not here"),
        ([location("hf://Owner/Tiny@main", "hash")], [], (), "remote-measured"),
        ([location(SNAPSHOT)], [], (), "here"),
        ([location(SNAPSHOT, "hash")], [], (), "measured"),
        ([location("hf://owner/tiny", "hash"), location(SNAPSHOT)], [], (), "here"),
        ([location(SNAPSHOT), location("hf://owner/tiny", "hash")], [], (), "here"),
        ([location(SNAPSHOT, "hash")], [], (SNAPSHOT,), "running"),
        ([], [job("running")], (), "downloading"),
        ([], [job("queued", model="OWNER/tiny")], (), "downloading"),
        ([location("hf://owner/tiny", "hash")], [job("running")], (), "downloading"),
        ([], [job("failed")], (), "not here"),
        ([], [job("running", kind="extract")], (), "not here"),
        ([location(SNAPSHOT)], [job("done")], (), "here"),
    ],
)
def test_a_model_stands_where_its_files_measurements_and_jobs_say(places, jobs, running, state):
    found = standings(["owner/tiny"], places, jobs, running)["owner/tiny"]
    assert found.state == state


def test_only_an_unfinished_download_is_offered_again():
    assert standings(["owner/tiny"], [], [job("failed"), job("done")])["owner/tiny"].job.state == "failed"
    assert standings(["owner/tiny"], [], [job("done"), job("failed")])["owner/tiny"].job is None
