"""The layout of a whole model: closed forms, and that every tensor has one tile that nothing else touches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.sources
from engine.naming import ROLES, Place, place
from engine.panorama import Member, Panorama, Proportions, panorama, panorama_of
from engine.panorama_beside import MOST_CAPTIONED

PLAIN = Proportions(flat=0.5, outside=2.0, caption=0.5, role_gap=0.25, block_gap=1.0)


def member(name, shape=(8, 8)):
    return Member(name, shape, place(name, shape))


def decoder(num_layers=2):
    """Names of a small Llama-like model, with a bias."""
    names = ["model.embed_tokens.weight"]
    for layer in range(num_layers):
        names += [f"model.layers.{layer}.self_attn.{role}_proj.weight" for role in "qkvo"]
        names.append(f"model.layers.{layer}.self_attn.q_proj.bias")
    return [member(name, (8,) if name.endswith("bias") else (8, 8)) for name in [*names, "lm_head.weight"]]


def assert_apart(layout: Panorama):
    """No two tiles overlap, none leaves the picture, none lies under a caption."""
    boxes = [(t.x, t.y, t.x + t.width, t.y + t.height) for t in layout.tiles]
    boxes += [(c.x, c.y, c.x + c.width, c.y + c.height) for c in layout.captions]
    x0, y0, x1, y1 = np.array(boxes).T
    assert (x1 > x0).all() and (y1 > y0).all()
    assert x0.min() >= 0 and y0.min() >= 0
    assert x1.max() <= layout.width + 1e-9 and y1.max() <= layout.height + 1e-9
    slack = 1e-9
    across = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0) > slack
    down = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0) > slack
    assert np.array_equal(across & down, np.eye(len(boxes), dtype=bool))


def test_layers_are_columns_and_roles_are_rows_in_reading_order():
    layout = panorama(decoder(), PLAIN)
    assert [row.title for row in layout.rows] == ["Query", "Query, bias", "Key", "Value", "Attention output"]
    assert [row.label for row in layout.rows] == ["Query", "bias", "Key", "Value", "Attention output"]
    assert [(row.y, row.height) for row in layout.rows] == [
        (0.0, 1.0),
        (1.0, 0.5),
        (1.75, 1.0),
        (3.0, 1.0),
        (4.25, 1.0),
    ]
    assert [(column.layer, column.x) for column in layout.columns] == [(0, 3.0), (1, 4.0)]
    key_of_layer_1 = layout.tiles[7]
    assert (key_of_layer_1.x, key_of_layer_1.y, key_of_layer_1.width, key_of_layer_1.height) == (4.0, 1.75, 1.0, 1.0)
    assert (layout.rows[key_of_layer_1.row].role, layout.columns[key_of_layer_1.column].layer) == ("key", 1)


def test_embeddings_stand_before_the_layers_and_the_head_after_them_under_their_names():
    layout = panorama(decoder(), PLAIN)
    embedding, head = layout.tiles[0], layout.tiles[-1]
    assert (embedding.x, embedding.y, embedding.width) == (0.0, 0.5, 2.0)
    assert (head.x, head.y) == (6.0, 0.5)
    assert embedding.row is None and head.column is None
    assert [caption.text for caption in layout.captions] == ["Token embedding", "Language-model head"]
    assert (layout.width, layout.height) == (8.0, 5.25)


def test_a_model_without_layers_is_a_grid_in_file_order_with_the_tensors_own_names():
    names = [f"conv{k}.weight" for k in range(5)] + ["stem.bias"]
    layout = panorama([member(name) for name in names])
    assert layout.rows == () and layout.columns == ()
    assert [caption.text for caption in layout.captions] == [f"conv{k}" for k in range(5)] + ["stem.bias"]
    places = [(tile.x, tile.y) for tile in layout.tiles]
    assert places == sorted(places)
    assert_apart(layout)


def test_sixty_four_experts_share_a_taller_tile_in_the_order_of_their_numbers():
    names = [
        f"model.layers.{layer}.mlp.experts.{k}.{role}_proj.weight"
        for layer in range(3)
        for k in sorted(range(64), key=str)  # as files list them: 0, 1, 10, 11, …
        for role in ("gate", "up", "down")
    ]
    layout = panorama([member(name) for name in names])
    assert [row.role for row in layout.rows] == ["expert_ffn_gate", "expert_ffn_in", "expert_ffn_out"]
    assert {row.height for row in layout.rows} == {3.0}
    of = dict(zip(names, layout.tiles, strict=True))
    for layer in range(3):
        inside = [of[f"model.layers.{layer}.mlp.experts.{k}.up_proj.weight"] for k in range(64)]
        assert [(t.y, t.x) for t in inside] == sorted((t.y, t.x) for t in inside)
        first = of[f"model.layers.0.mlp.experts.{5}.up_proj.weight"]
        assert inside[5].x - layer == pytest.approx(first.x) and inside[5].y == first.y
    assert min(min(tile.width, tile.height) for tile in layout.tiles) > 0.15
    assert_apart(layout)


def test_two_modules_of_one_role_in_a_layer_have_rows_of_their_own_with_their_names():
    names = [f"layer1.{k}.{module}.weight" for k in range(2) for module in ("conv1", "bn1", "conv2", "bn2")]
    layout = panorama([member(name, (8, 8, 3, 3) if "conv" in name else (8,)) for name in names])
    assert [row.title for row in layout.rows] == [
        "Convolution · conv1",
        "Convolution · conv2",
        "Convolution norm · bn1",
        "Convolution norm · bn2",
    ]
    assert_apart(layout)


def test_stacks_stand_beside_each_other_the_encoder_first():
    names = [f"{stack}.block.{k}.layer.0.SelfAttention.q.weight" for stack in ("decoder", "encoder") for k in range(2)]
    layout = panorama([member(name) for name in names], PLAIN)
    assert [(c.stack, c.layer, c.x) for c in layout.columns] == [
        ("encoder", 0, 0.0),
        ("encoder", 1, 1.0),
        ("decoder", 0, 3.0),
        ("decoder", 1, 4.0),
    ]
    assert len(layout.rows) == 1


def test_no_tensors_make_an_empty_picture():
    layout = panorama([])
    assert (layout.width, layout.height, layout.tiles) == (0.0, 0.0, ())


def test_a_crowd_outside_the_layers_stands_without_names_in_a_picture_of_reasonable_shape():
    layout = panorama([member(f"thing{k}.weight") for k in range(MOST_CAPTIONED + 1)])
    assert layout.captions == ()
    assert 1 < layout.width / layout.height < 5
    layout = panorama([member("model.layers.0.mlp.up_proj.weight"), *(member(f"thing{k}") for k in range(500))])
    assert layout.width < 60


@given(
    st.lists(
        st.builds(
            Member,
            st.text("abc.0123456789/", max_size=12),
            st.lists(st.integers(0, 9), max_size=4).map(tuple),
            st.builds(
                Place,
                st.none() | st.integers(0, 5),
                st.sampled_from([*ROLES[:20], "expert_ffn_in", "made_up", "other"]),
                st.sampled_from(["weight", "bias", "running_mean"]),
                st.sampled_from(["", "encoder", "stage1"]),
            ),
        ),
        max_size=60,
    )
)
@settings(max_examples=150, deadline=None)
def test_every_tensor_has_exactly_one_tile_and_none_overlap(members):
    layout = panorama(members)
    assert len(layout.tiles) == len(members)
    for each, tile in zip(members, layout.tiles, strict=True):
        if each.place.layer is not None:
            row, column = layout.rows[tile.row], layout.columns[tile.column]
            assert (row.role, row.part) == (each.place.role, each.place.part)
            assert (column.stack, column.layer) == (each.place.stack, each.place.layer)
            assert row.y - 1e-9 <= tile.y and tile.y + tile.height <= row.y + row.height + 1e-9
            assert column.x - 1e-9 <= tile.x and tile.x + tile.width <= column.x + column.width + 1e-9
        else:
            assert tile.row is None and tile.column is None
    if members:
        assert_apart(layout)


def test_a_real_sentence_encoder_has_sixteen_rows_and_six_layers(minilm_path):
    with engine.sources.open(str(minilm_path)) as source:
        layout = panorama_of(source.infos())
        assert (len(layout.rows), len(layout.columns), len(layout.tiles)) == (16, 6, len(source.infos()))
        assert_apart(layout)
