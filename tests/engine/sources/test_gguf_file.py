"""GGUF against the `gguf` package itself: every type it decodes, bit for bit; metadata, configs and split files."""

from __future__ import annotations

import tracemalloc

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dtypes import ELEMENT_TYPES
from engine.errors import SourceError, SourceNotFoundError, UnsupportedFormatError
from engine.heatmaps import READ_BYTES, exact_value, full_view, read_grid
from engine.measures.reading import measure_tensor
from engine.naming import family, place
from engine.sources import gguf_file
from engine.sources import open as open_source
from tests.engine.sources.writers import write_gguf

BLOCK_TYPES = [kind for kind, (size, _) in GGML_QUANT_SIZES.items() if size > 1]


def can_decode(kind: GGMLQuantizationType) -> bool:
    try:
        dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


DECODED = [kind for kind in BLOCK_TYPES if can_decode(kind)]


def random_blocks(kind: GGMLQuantizationType, rows: int, blocks: int) -> np.ndarray:
    """(rows, bytes) uint8: any bytes are valid blocks, also those whose scales are Inf or NaN."""
    return np.random.default_rng(kind).integers(0, 256, (rows, blocks * GGML_QUANT_SIZES[kind][1]), np.uint8)


def write_blocks(path, tensors: dict[str, tuple[np.ndarray, GGMLQuantizationType]], **options):
    writer = gguf.GGUFWriter(path, "llama", **options)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_there_are_types_to_decode_and_types_to_refuse():
    assert {"Q4_0", "Q8_0", "Q4_K", "Q6_K", "IQ2_XS", "TQ1_0", "MXFP4"} <= {kind.name for kind in DECODED}
    assert {"Q8_1", "Q8_K"} <= {kind.name for kind in BLOCK_TYPES} - {kind.name for kind in DECODED}


@pytest.mark.parametrize("kind", DECODED, ids=lambda kind: kind.name)
def test_every_block_type_equals_the_packages_own_decoding(kind, tmp_path):
    size, num_bytes = GGML_QUANT_SIZES[kind]
    data = random_blocks(kind, 6, 3)
    path = write_blocks(tmp_path / "x.gguf", {"before": (random_blocks(kind, 1, 1), kind), "x": (data, kind)})
    with np.errstate(all="ignore"):
        expected = dequantize(data, kind)
    with open_source(path) as source:
        info, found = source.info("x"), source.read("x")
        assert (info.dtype, info.shape, info.num_bytes) == (kind.name, (6, 3 * size), data.size)
        assert info.stop - info.start == data.size
        assert 8 * info.num_bytes / info.num_elements == 8 * num_bytes / size
        assert found.dtype == np.float32 and found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()
        assert not found.flags.writeable and found.flags.c_contiguous
        for start, stop in ((0, 6), (2, 3), (5, 6), (4, 4)):
            assert source.read_rows("x", start, stop).tobytes() == expected[start:stop].tobytes()


@pytest.mark.parametrize("kind", sorted(set(BLOCK_TYPES) - set(DECODED)), ids=lambda kind: kind.name)
def test_types_that_nobody_decodes_are_listed_but_not_read(kind, tmp_path):
    path = write_blocks(tmp_path / "x.gguf", {"x": (random_blocks(kind, 2, 2), kind)})
    with open_source(path) as source:
        assert source.info("x").dtype == kind.name
        for read in (lambda: source.read("x"), lambda: source.read_rows("x", 0, 1)):
            with pytest.raises(UnsupportedFormatError, match=kind.name) as caught:
                read()
            assert caught.value.hint
        assert kind.name in measure_tensor(source, source.info("x")).error


def test_a_quantised_vector_gives_any_range_of_its_entries(tmp_path):
    data = random_blocks(GGMLQuantizationType.Q4_0, 1, 5)[0]
    expected = dequantize(data, GGMLQuantizationType.Q4_0)
    with open_source(write_blocks(tmp_path / "x.gguf", {"x": (data, GGMLQuantizationType.Q4_0)})) as source:
        assert source.info("x").shape == (160,)
        for start, stop in ((0, 160), (1, 2), (31, 33), (5, 159), (64, 64), (159, 160)):
            assert source.read_rows("x", start, stop).tobytes() == expected[start:stop].tobytes()
        assert exact_value(source, source.info("x"), 0, 77) == expected[77]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.data())
def test_tensors_of_any_rank_have_numpys_order(tmp_path_factory, depth, rows, blocks, data):
    kind = GGMLQuantizationType.Q8_0
    values = np.random.default_rng(depth).normal(size=(depth, rows, 32 * blocks)).astype(np.float32)
    packed = quantize(values, kind)
    path = write_blocks(tmp_path_factory.mktemp("rank") / "x.gguf", {"x": (packed, kind)})
    start = data.draw(st.integers(0, depth))
    stop = data.draw(st.integers(start, depth))
    with open_source(path) as source:
        assert source.info("x").shape == values.shape
        assert np.array_equal(source.read_rows("x", start, stop), dequantize(packed, kind)[start:stop])
        assert np.abs(source.read("x") - values).max() <= np.abs(values).max() / 254 * 1.01


def test_rows_decode_only_their_own_blocks(tmp_path, monkeypatch):
    kind, asked = GGMLQuantizationType.Q6_K, []
    data = random_blocks(kind, 64, 2)
    path = write_blocks(tmp_path / "x.gguf", {"x": (data, kind)})

    def counted(piece, its_kind):
        asked.append(piece.size)
        return dequantize(piece, its_kind)

    monkeypatch.setattr("gguf.quants.dequantize", counted)
    with open_source(path) as source:
        source.read_rows("x", 40, 43)
        assert sum(asked) == 3 * data.shape[1]


def test_large_tensors_are_decoded_in_pieces(tmp_path, monkeypatch):
    kind, sizes = GGMLQuantizationType.Q4_K, []
    data = random_blocks(kind, 9, 4)
    path = write_blocks(tmp_path / "x.gguf", {"x": (data, kind)})
    with np.errstate(all="ignore"):
        expected = dequantize(data, kind)

    def counted(piece, its_kind):
        sizes.append(piece.size)
        return dequantize(piece, its_kind)

    monkeypatch.setattr("gguf.quants.dequantize", counted)
    monkeypatch.setattr(gguf_file, "PIECE_ELEMENTS", 5 * 256)
    with open_source(path) as source:
        assert source.read("x").tobytes() == expected.tobytes()
    assert len(sizes) == 8 and max(sizes) == 5 * GGML_QUANT_SIZES[kind][1]


def test_plain_types_are_mapped_and_not_copied(tmp_path):
    arrays = {"x": np.ones((512, 1024), np.float32), "h": np.ones((64, 1024), np.float16)}
    path = write_gguf(tmp_path / "x.gguf", arrays)
    open_source(path)  # what the package itself takes comes before
    tracemalloc.start()
    try:
        with open_source(path) as source:
            assert source.read("x").sum() == 512 * 1024 and source.read("h").shape == (64, 1024)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_bfloat16_is_read_as_it_is(tmp_path):
    values = np.arange(64, dtype=np.float32).reshape(2, 32)
    packed = quantize(values, GGMLQuantizationType.BF16)
    with open_source(write_blocks(tmp_path / "x.gguf", {"x": (packed, GGMLQuantizationType.BF16)})) as source:
        assert source.info("x").dtype == "BF16" and source.info("x").shape == (2, 32)
        assert source.read("x").dtype == ELEMENT_TYPES["BF16"].dtype
        assert np.array_equal(source.read("x").astype(np.float32), values)


def test_a_heatmap_reads_a_quantised_tensor_in_bounded_pieces(tmp_path):
    kind, rows, blocks = GGMLQuantizationType.IQ1_S, 400, 256  # 26 million weights in 5 MB, 105 MB decoded
    data = np.zeros((rows, blocks * GGML_QUANT_SIZES[kind][1]), np.uint8)
    path = write_blocks(tmp_path / "x.gguf", {"x": (data, kind)})
    with open_source(path) as source:
        read_grid(source, source.info("x"), full_view(source.info("x"), 8, 8))
        tracemalloc.start()
        try:
            read_grid(source, source.info("x"), full_view(source.info("x"), 64, 64))
            assert tracemalloc.get_traced_memory()[1] < 3 * READ_BYTES
        finally:
            tracemalloc.stop()


def test_progress_counts_stored_bytes(tmp_path):
    data = random_blocks(GGMLQuantizationType.TQ2_0, 50, 9)
    with open_source(write_blocks(tmp_path / "x.gguf", {"x": (data, GGMLQuantizationType.TQ2_0)})) as source:
        told = []
        measure_tensor(source, source.info("x"), threads=1, on_bytes=told.append)
        assert sum(told) == data.size and min(told) >= 0


def write_keys(path):
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(3)
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length([172, 172, 96])
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_name("A tiny model")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token {i}" for i in range(1000)])
    writer.add_token_types([1] * 1000)
    writer.add_token_merges(["a b", "b c"])
    writer.add_bos_token_id(7)
    writer.add_pad_token_id(2**32 - 1)
    writer.add_add_bos_token(True)
    writer.add_bool("qwen2.odd", False)
    writer.add_chat_template("x" * 100_000)
    writer.add_array("tests.nested", [[1, 2], [3]])
    writer.add_int64("tests.negative", -5)
    writer.add_float64("tests.double", 0.1)
    writer.add_tensor("blk.0.attn_q.weight", np.ones((2, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_metadata_is_every_key_as_bounded_text(tmp_path):
    with open_source(write_keys(tmp_path / "x.gguf")) as source:
        said = source.metadata
    assert said["general.name"] == "A tiny model" and said["qwen2.block_count"] == "3"
    assert said["qwen2.attention.layer_norm_rms_epsilon"] == "1e-05"
    assert said["tokenizer.ggml.add_bos_token"] == "true" and said["qwen2.odd"] == "false"
    assert said["tests.negative"] == "-5" and said["tests.double"] == "0.1"
    assert said["tokenizer.ggml.merges"] == '["a b", "b c"]'
    assert said["tokenizer.ggml.tokens"].startswith('["token 0", "token 1"')
    assert said["tokenizer.ggml.tokens"].endswith("(1000 items)") and len(said["tokenizer.ggml.tokens"]) < 200
    assert said["qwen2.feed_forward_length"] == "[172, 172, 96]"
    assert len(said["tokenizer.chat_template"]) == gguf_file.MAX_TEXT_LENGTH + 1
    assert said["tests.nested"].endswith("(2 items)")
    assert set(said) == {key for key in gguf.GGUFReader(tmp_path / "x.gguf").fields if not key.startswith("GGUF.")}


def test_the_architecture_is_a_config(tmp_path, write_safetensors):
    (tmp_path / "config.json").write_text('{"model_type": "of something else"}')
    with open_source(write_keys(tmp_path / "x.gguf")) as source:
        config = source.config
    assert config == {
        "model_type": "qwen2",
        "vocab_size": 1000,
        "num_hidden_layers": 3,
        "max_position_embeddings": 4096,
        "hidden_size": 64,
        "intermediate_size": [172, 172, 96],
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "bos_token_id": 7,
    }
    assert family(["blk.0.attn_q.weight"], config) == "qwen2"
    write_safetensors(tmp_path / "y.safetensors", {"a": np.ones(1)})
    assert open_source(tmp_path / "y.safetensors").config == {"model_type": "of something else"}


@pytest.fixture
def split(tmp_path):
    arrays = {f"blk.{i}.attn_q.weight": np.full((2, 32), i, np.float32) for i in range(6)}
    write_gguf(tmp_path / "tiny.gguf", arrays, split_max_tensors=2)
    files = sorted(tmp_path.glob("*.gguf"))
    assert [file.name for file in files] == [f"tiny-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    return files


def test_a_split_model_opens_whole_from_its_folder_and_from_each_part(split):
    hashes = set()
    for path in (split[0].parent, *split):
        with open_source(path) as source:
            assert len(source.infos()) == 6 and list(source.files) == split
            assert source.read("blk.5.attn_q.weight")[0, 0] == 5
            assert source.config["model_type"] == "llama" and source.metadata["general.architecture"] == "llama"
            assert source.name == (path.name if path.is_dir() else "tiny")
            hashes.add(source.content_hash())
    assert len(hashes) == 1


def test_a_missing_part_of_a_split_model_is_named(split):
    split[1].unlink()
    for path in (split[0].parent, split[0], split[2]):
        with pytest.raises(SourceNotFoundError, match="2 of the 3 shards") as caught:
            open_source(path)
        assert caught.value.hint


def test_several_models_in_one_folder_are_not_mixed(tmp_path):
    for name in ("tiny-Q4_0", "tiny-Q8_0"):
        write_gguf(tmp_path / f"{name}.gguf", {"a": np.ones(1, np.float32)})
    with pytest.raises(SourceError, match="several gguf models") as caught:
        open_source(tmp_path)
    assert "tiny-Q8_0.gguf" in caught.value.hint
    assert open_source(tmp_path / "tiny-Q4_0.gguf").name == "tiny-Q4_0"


def test_a_model_is_known_by_its_magic_whatever_its_name(tmp_path):
    path = write_gguf(tmp_path / "weights.bin", {"a": np.ones(3, np.float32)})
    assert open_source(path).format == "gguf"


@pytest.mark.parametrize("alignment", [8, 64, 4096])
def test_data_begins_where_the_alignment_says(alignment, tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_custom_alignment(alignment)
    writer.add_tensor("a", np.arange(3, dtype=np.float32))
    writer.add_tensor("b", np.arange(5, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_source(tmp_path / "x.gguf") as source:
        assert all(info.start % alignment == 0 for info in source.infos())
        assert source.read("b").tolist() == [0, 1, 2, 3, 4]


REAL = ["stories260K-gguf/stories260K.gguf"] + [
    f"stories260K-gguf-derived/stories260K-{kind}.gguf" for kind in ("Q8_0", "Q4_0")
]


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_real_files_equal_the_packages_reading_and_float64_statistics(name, real_dir):
    reader = gguf.GGUFReader(real_dir / name)
    with open_source(real_dir / name) as source:
        assert [info.name for info in source.infos()] == [tensor.name for tensor in reader.tensors]
        for tensor in reader.tensors:
            info, found = source.info(tensor.name), source.read(tensor.name)
            exact = dequantize(tensor.data, tensor.tensor_type)
            assert (info.dtype, info.num_bytes) == (tensor.tensor_type.name, tensor.n_bytes)
            assert info.start == tensor.data_offset and info.shape == exact.shape
            assert found.tobytes() == exact.tobytes()
            reading, exact = measure_tensor(source, info, threads=1), exact.astype(np.float64)
            assert reading.distribution.mean == pytest.approx(exact.mean(), rel=1e-12)
            assert reading.values["std"] == pytest.approx(exact.std(), rel=1e-12)
            assert reading.distribution.num_zero == (exact == 0).sum()
            assert reading.distribution.quantiles[7] == np.median(exact)
        quantised = [info for info in source.infos() if info.dtype not in ELEMENT_TYPES]
        assert len(quantised) == (0 if name.endswith("260K.gguf") else 32)
        bits = {8 * info.num_bytes / info.num_elements for info in quantised}
        assert bits == {"Q8_0": {8.5}, "Q4_0": {4.5}}.get(name.removesuffix(".gguf")[-4:], set())
        assert source.config["num_hidden_layers"] == 5 and source.config["vocab_size"] == 512


HF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Query and key are left out: the hub's layout interleaves their rows anew for rotary embeddings."""


@pytest.mark.real
def test_a_real_model_is_the_same_in_gguf_and_in_safetensors(real_dir):
    compared = 0
    with open_source(real_dir / REAL[0]) as ours, open_source(real_dir / "stories260K-hf") as theirs:
        for info in ours.infos():
            words = info.name.split(".")
            module = HF_NAMES.get(words[-2])
            if module is None:
                continue
            name = f"model.layers.{words[1]}.{module}.weight" if words[0] == "blk" else f"{module}.weight"
            assert np.array_equal(ours.read(info.name), theirs.read(name)), info.name
            here, there = place(info.name), place(name)
            assert (here.layer, here.role) == (there.layer, there.role)
            compared += 1
    assert compared == 2 + 5 * 7
