"""GGUF, ONNX and numpy files all the way: found by a scan, uploaded, measured, stored, asked for in SQL."""

from __future__ import annotations

import io

import numpy as np
import pytest

from engine.errors import SourceNotFoundError
from tests.engine.sources.writers import write_gguf, write_npz, write_onnx, write_onnx_external, write_packed_npz
from workflows import library
from workflows.extract import extract

RANDOM = np.random.default_rng(3)
ARRAYS = {
    "blk.0.attn_q.weight": RANDOM.normal(size=(24, 64)).astype(np.float32),
    "blk.0.ffn_down.weight": RANDOM.normal(size=(64, 24)).astype(np.float16),
    "output_norm.weight": np.ones(64, np.float32),
}
WRITERS = {
    "gguf": (".gguf", write_gguf),
    "onnx": (".onnx", write_onnx),
    "npz": (".npz", write_npz),
    "packed npz": (".npz", write_packed_npz),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_is_measured_and_its_numbers_agree_with_float64(kind, store, tmp_path, assert_agrees):
    suffix, write = WRITERS[kind]
    path = write(tmp_path / f"model-a{suffix}", ARRAYS)
    outcome = extract(str(path), store=store)
    assert outcome.failures == {} and outcome.num_tensors == 3
    assert_agrees(store, outcome.content_hash, ARRAYS)
    stats = store.tensor_stats(outcome.content_hash).set_index("tensor")
    assert stats.loc["blk.0.attn_q.weight", "role"] == "query" and stats.loc["blk.0.ffn_down.weight", "dtype"] == "F16"
    assert extract(str(path), store=store).was_stored


def test_a_quantised_model_is_stored_with_its_type_its_bits_and_its_decoded_statistics(store, tmp_path):
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import dequantize, quantize

    packed = quantize(ARRAYS["blk.0.attn_q.weight"], GGMLQuantizationType.Q4_0)
    writer = GGUFWriter(tmp_path / "tiny.gguf", "qwen2")
    writer.add_block_count(1)
    writer.add_tensor("blk.0.attn_q.weight", packed, raw_dtype=GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    outcome = extract(str(tmp_path / "tiny.gguf"), store=store)
    wanted = "select dtype, 8 * t.num_bytes / t.num_elements as bits, t.std, family from tensor_stats t, model_stats"
    row = store.query(wanted).to_pandas().iloc[0]
    exact = dequantize(packed, GGMLQuantizationType.Q4_0).astype(np.float64)
    assert (row["dtype"], row["bits"], row["family"]) == ("Q4_0", 4.5, "qwen2")
    assert row["std"] == pytest.approx(exact.std(), rel=1e-12)
    assert outcome.num_parameters == exact.size


def test_a_scan_finds_each_model_once(store, tmp_path, write_safetensors):
    (tmp_path / "config.json").write_text("{}")
    write_safetensors(tmp_path / "model.safetensors", {"a": np.ones(3)})
    write_gguf(tmp_path / "tiny-q4.gguf", ARRAYS)
    write_gguf(tmp_path / "tiny-q8.gguf", ARRAYS)
    (tmp_path / "split").mkdir()
    write_gguf(tmp_path / "split" / "large.gguf", ARRAYS, split_max_tensors=1)
    (tmp_path / "onnx").mkdir()
    write_onnx_external(tmp_path / "onnx" / "model.onnx", ARRAYS)
    write_npz(tmp_path / "onnx" / "weights.npz", ARRAYS)
    np.save(tmp_path / "onnx" / "data.npy", np.ones(3))
    found = library.scan_folder(store, tmp_path)
    assert found.skipped == ()
    assert sorted((known.uri.removeprefix(f"{tmp_path}/"), known.format) for known in found.added) == sorted(
        [
            (str(tmp_path), "safetensors"),
            ("tiny-q4.gguf", "gguf"),
            ("tiny-q8.gguf", "gguf"),
            ("split/large-00001-of-00003.gguf", "gguf"),
            ("onnx/model.onnx", "onnx"),
            ("onnx/weights.npz", "npz"),
        ]
    )
    assert next(known.num_tensors for known in found.added if "split" in known.uri) == 3


@pytest.mark.parametrize("kind", WRITERS)
def test_an_upload_is_kept_under_its_content(kind, store, tmp_path):
    suffix, write = WRITERS[kind]
    content = write(tmp_path / f"model-a{suffix}", ARRAYS).read_bytes()
    kept = library.add_upload(store, f"model-a{suffix}", io.BytesIO(content), limit_bytes=10**9)
    assert kept.name == "model-a" and kept.num_tensors == 3
    again = library.add_upload(store, f"model-a{suffix}", io.BytesIO(content), limit_bytes=10**9)
    assert again.uri == kept.uri


def test_an_upload_whose_weights_lie_in_another_file_says_so(store, tmp_path):
    content = write_onnx_external(tmp_path / "x.onnx", ARRAYS).read_bytes()
    with pytest.raises(SourceNotFoundError, match=r"x\.data") as caught:
        library.add_upload(store, "x.onnx", io.BytesIO(content), limit_bytes=10**9)
    assert caught.value.hint


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "stories260K-gguf/stories260K.gguf",
        "silero-vad/silero_vad_16k_op15.onnx",
        "g2p-en/checkpoint20.npz",
    ],
)
def test_real_files_agree_with_float64(name, store, real_dir, assert_agrees):
    import engine.sources

    path = real_dir / name
    outcome = extract(str(path), store=store)
    assert outcome.failures == {}
    with engine.sources.open(path) as source:
        arrays = {info.name: source.read(info.name) for info in source.infos()}
        assert_agrees(store, outcome.content_hash, arrays)
