"""Films over layers and versions: the right matrices, in order, and changes that are exact."""

import ml_dtypes
import numpy as np
import pytest

import engine.sources
from engine.errors import MeasureError
from storage.records import Location
from workflows.films import SHOWS, layer_members, num_frames, read_film, version_members
from workflows.versions import Version

RNG = np.random.default_rng(0)


@pytest.fixture
def opened(tmp_path, write_safetensors):
    """opened({name: array}) -> a source."""
    sources = []

    def make(arrays):
        path = write_safetensors(tmp_path / f"{len(sources)}.safetensors", arrays)
        sources.append(engine.sources.open(path))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def matrix(value=1.0, shape=(4, 6)):
    return np.full(shape, value, np.float32)


def test_a_role_is_followed_over_the_layers_in_the_order_of_their_numbers(opened):
    arrays = {
        f"layers.{k}.self_attn.{r}_proj.{p}": matrix(k) for k in (10, 2, 0) for r in "qk" for p in ("weight", "bias")
    }
    arrays["layers.5.self_attn.q_proj.weight"] = matrix(5, (4, 7))  # another shape
    arrays["embed_tokens.weight"] = matrix()
    source = opened(arrays)
    members = layer_members(source, source.info("layers.2.self_attn.q_proj.weight"))
    assert [(m.label, m.tick, m.tensor) for m in members] == [
        (f"layer {k}", str(k), f"layers.{k}.self_attn.q_proj.weight") for k in (0, 2, 10)
    ]
    frames = read_film(members, "weights", lambda _: source)
    assert [frame.grid.values[0, 0] for frame in frames] == [0, 2, 10]


def test_one_expert_is_followed_and_not_all_of_them(opened):
    source = opened({f"layers.{k}.mlp.experts.{e}.up_proj.weight": matrix() for k in range(3) for e in range(4)})
    members = layer_members(source, source.info("layers.1.mlp.experts.2.up_proj.weight"))
    assert [m.tensor for m in members] == [f"layers.{k}.mlp.experts.2.up_proj.weight" for k in range(3)]


def test_a_tensor_outside_the_layers_has_no_film_over_them(opened):
    source = opened({"embed_tokens.weight": matrix(), "layers.0.self_attn.q_proj.weight": matrix()})
    assert layer_members(source, source.info("embed_tokens.weight")) == []


@pytest.fixture
def steps(tmp_path, write_safetensors):
    """Four versions of one tensor, the last in another type, and its values."""
    values = [RNG.normal(size=(40, 30)).astype(np.float32) for _ in range(3)]
    values.append(RNG.normal(size=(40, 30)).astype(ml_dtypes.bfloat16))
    found = []
    for step, array in enumerate(values):
        path = write_safetensors(tmp_path / f"step_{step}" / "model.safetensors", {"w": array})
        place = Location(f"step_{step}", str(path), "added", "", "safetensors", 1, 1, 1)
        found.append(Version(place.name, 1000 * step, place, False, f"print {step}"))
    return version_members(found, "w"), [value.astype(np.float64) for value in values]


def test_versions_are_shown_as_they_are(steps):
    members, values = steps
    assert [member.tick for member in members] == ["0", "1,000", "2,000", "3,000"]
    frames = read_film(members, "weights", engine.sources.open)
    for frame, value in zip(frames, values, strict=True):
        np.testing.assert_array_equal(frame.grid.values, value.astype(np.float32))


@pytest.mark.parametrize("shows", SHOWS[1:])
def test_changes_are_exact_and_one_fewer_than_the_versions(steps, shows):
    members, values = steps
    frames = read_film(members, shows, engine.sources.open)
    assert len(frames) == num_frames(members, shows) == 3
    for k, frame in enumerate(frames):
        base = values[0] if shows == SHOWS[1] else values[k]
        np.testing.assert_array_equal(frame.grid.values, (values[k + 1] - base).astype(np.float32))
        assert frame.norm == pytest.approx(np.linalg.norm(values[k + 1] - base), rel=1e-6)


def test_every_checkpoint_is_closed_and_few_are_open_at_once(steps):
    members, _ = steps
    state = {"open": 0, "most": 0, "opened": 0}

    def counted(uri):
        source = engine.sources.open(uri)
        close = source.close
        state["open"] += 1
        state["opened"] += 1
        state["most"] = max(state["most"], state["open"])

        def closing():
            state["open"] -= 1
            close()

        source.close = closing
        return source

    for shows in SHOWS:
        state["opened"] = 0
        read_film(members, shows, counted)
        assert state["open"] == 0 and state["opened"] == 4
    assert state["most"] <= 3


def test_versions_of_different_shapes_are_refused_and_nothing_stays_open(opened):
    sources = [opened({"w": matrix(1, shape)}) for shape in ((4, 6), (4, 7))]
    place = [Location(source.name, source.uri, "added", "", "safetensors", 1, 1, 1) for source in sources]
    members = version_members([Version(p.name, None, p, True, "") for p in place], "w")
    with pytest.raises(MeasureError, match="cannot be compared"):
        read_film(members, SHOWS[1], engine.sources.open)
