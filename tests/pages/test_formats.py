"""The Heatmap page on a quantised model: its type, its bits, its decoded numbers."""

from __future__ import annotations

import numpy as np
import pytest

from storage.store import Store
from workflows import library
from workflows.extract import extract

NAME = "blk.0.attn_q.weight"


@pytest.fixture
def quantised(tmp_path) -> str:
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    values = np.random.default_rng(2).normal(size=(48, 256)).astype(np.float32)
    writer = GGUFWriter(tmp_path / "tiny-Q4_0.gguf", "llama")
    kind = GGMLQuantizationType.Q4_0
    writer.add_tensor(NAME, quantize(values, kind), raw_dtype=kind)
    writer.add_tensor("output_norm.weight", np.ones(256, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return library.add_path(Store(), tmp_path / "tiny-Q4_0.gguf").name


@pytest.mark.parametrize("is_measured", [False, True])
def test_the_heatmap_page_shows_a_quantised_tensor_with_its_type(is_measured, quantised, open_page, text_of):
    if is_measured:
        extract(quantised, store=Store())
    app = open_page("pages/3_Heatmap.py", model=quantised, tensor=NAME)
    assert not app.exception and not app.error
    assert app.selectbox(key="tensor").value == NAME
    text = text_of(app)
    assert "48 × 256 Q4\\_0" in text or "48 × 256 Q4_0" in text
    assert "4.5 bits a weight" in text and "Query of layer 0" in text


def test_a_plain_tensor_of_the_same_file_says_nothing_of_bits(quantised, open_page, text_of):
    app = open_page("pages/3_Heatmap.py", model=quantised, tensor="output_norm.weight")
    assert not app.exception
    assert "256 F32" in text_of(app) and "bits a weight" not in text_of(app)


def test_the_upload_box_takes_every_format(open_page):
    from engine.sources.formats import FORMATS
    from ui.add_models import UPLOAD_TYPES

    assert not open_page("pages/1_Zoo.py").exception
    assert {"gguf", "onnx", "npz", "npy", "safetensors", "pt"} <= set(UPLOAD_TYPES)
    assert len(UPLOAD_TYPES) == sum(len(entry.suffixes) for entry in FORMATS)
