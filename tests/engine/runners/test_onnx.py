"""ONNX Runtime on graphs made by hand, whose every output is known, and on a real detector of speech."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.errors import RunnerError
from engine.runners import GenerationSettings, load, tasks_of
from engine.runners.sound import read_sound
from tests.engine.runners.made import SPECIAL, WORDS, word_tokenizer

WIDTH = 6
SIZE = len(SPECIAL + WORDS)
RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((SIZE, WIDTH)).astype(np.float32)
HEAD = RNG.standard_normal((WIDTH, SIZE)).astype(np.float32)


def value(name: str, shape, kind=TensorProto.INT64):
    return helper.make_tensor_value_info(name, kind, shape)


def save_graph(path, nodes, inputs, outputs, **constants):
    initializers = [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()]
    graph = helper.make_graph(nodes, "made", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def save_around(folder, architecture: str, **config):
    """config.json and a tokenizer, as exporters put them beside the graph."""
    fields = {"architectures": [architecture], "model_type": "bert", "max_position_embeddings": 64, **config}
    (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    word_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def encoder(tmp_path):
    """last_hidden_state = TABLE[input_ids]"""
    save_graph(
        tmp_path / "model.onnx",
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        [value("input_ids", ["batch", "length"])],
        [value("last_hidden_state", ["batch", "length", WIDTH], TensorProto.FLOAT)],
        table=TABLE,
    )
    return save_around(tmp_path, "BertModel")


def test_an_exported_encoder_makes_embeddings(encoder):
    assert tasks_of(encoder) == ("embeddings", "zero-shot", "arrays")
    runner = load(encoder, "embeddings")
    found = runner.embed(["the cat", "the dog sat on the mat"], normalise=False)
    for text, vector in zip(("the cat", "the dog sat on the mat"), found, strict=True):
        ids = runner.tokenizer(text)["input_ids"]
        np.testing.assert_allclose(vector, TABLE[ids].mean(0), rtol=1e-5)
    assert runner.facts.backend == "onnx"


def test_a_graph_in_a_folder_called_onnx_finds_config_and_tokenizer_above(tmp_path):
    save_graph(
        tmp_path / "onnx" / "model.onnx",
        [
            helper.make_node("Gather", ["table", "input_ids"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "head"], ["logits"]),
        ],
        [value("input_ids", ["batch", "length"])],
        [value("logits", ["batch", "length", SIZE], TensorProto.FLOAT)],
        table=TABLE,
        head=HEAD,
    )
    save_around(tmp_path, "BertForMaskedLM")
    assert tasks_of(tmp_path) == tasks_of(tmp_path / "onnx" / "model.onnx") == ("fill-mask", "arrays")
    runner = load(tmp_path, "fill-mask")
    scores = (TABLE[SPECIAL.index("[MASK]")] @ HEAD).astype(np.float64)
    expected = np.exp(scores) / np.exp(scores).sum()
    (found,) = runner.fill("the [MASK] sat", count=3)
    assert [each.probability for each in found] == pytest.approx(np.sort(expected)[::-1][:3].tolist(), rel=1e-4)


@pytest.fixture
def decoder(tmp_path):
    """The scores of what follows: HEAD times the sum of the rows of all tokens, which come through the cache."""
    save_graph(
        tmp_path / "model.onnx",
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("Unsqueeze", ["rows", "one"], ["keys"]),
            helper.make_node("Concat", ["past_key_values.0.key", "keys"], ["present.0.key"], axis=2),
            helper.make_node("Identity", ["present.0.key"], ["present.0.value"]),
            helper.make_node("ReduceSum", ["present.0.key", "two"], ["sum"], keepdims=0),
            helper.make_node("MatMul", ["sum", "head"], ["logits"]),
        ],
        [
            value("input_ids", ["batch", "length"]),
            value("attention_mask", ["batch", "total"]),
            *(
                value(f"past_key_values.0.{k}", ["batch", 1, "past", WIDTH], TensorProto.FLOAT)
                for k in ("key", "value")
            ),
        ],
        [
            value("logits", ["batch", 1, SIZE], TensorProto.FLOAT),
            *(value(f"present.0.{k}", ["batch", 1, "total", WIDTH], TensorProto.FLOAT) for k in ("key", "value")),
        ],
        table=TABLE,
        head=HEAD,
        one=np.array([1]),
        two=np.array([2]),
    )
    return save_around(tmp_path, "LlamaForCausalLM", model_type="llama", eos_token_id=None)


def test_an_exported_decoder_writes_through_its_cache(decoder):
    assert tasks_of(decoder) == ("text-generation", "arrays")
    runner = load(decoder, "text-generation")
    ids = list(runner.prepare("the cat sat").token_ids)
    expected = list(ids)
    for _ in range(8):
        expected.append(int((TABLE[expected].sum(0) @ HEAD).argmax()))
    greedy = GenerationSettings(temperature=0, top_k=0, max_new_tokens=8)
    tokens = list(runner.stream("the cat sat", greedy))
    assert [token.token_id for token in tokens] == expected[len(ids) :]
    first = TABLE[ids].sum(0).astype(np.float64) @ HEAD
    assert tokens[0].probability == pytest.approx(float(1 / np.exp(first - first.max()).sum()), rel=1e-4)


def test_a_graph_that_is_no_decoder_says_what_it_is(encoder):
    save_around(encoder, "LlamaForCausalLM", model_type="llama")
    with pytest.raises(RunnerError, match=r"last_hidden_state.*Optimum"):
        load(encoder, "text-generation")


def test_a_damaged_graph_is_an_error_with_a_hint(encoder):
    path = encoder / "model.onnx"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunnerError) as caught:
        load(encoder, "embeddings")
    assert caught.value.hint


@pytest.mark.real
def test_the_real_detector_of_speech_finds_it_where_it_is(real_dir):
    """Its graph has no tokenizer and no config: it takes and gives arrays. Speech is in about 78 % of the frames."""
    folder = real_dir / "silero-vad"
    runner = load(folder / "silero_vad_16k_op15.onnx", "arrays")
    assert set(runner.inputs) == {"input", "state", "sr"}
    assert runner.inputs["state"] == "(2, ?, 128) float"
    samples = read_sound(folder / "test.wav", 16_000)
    state, before, chances = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32), []
    for start in range(0, len(samples) - 511, 512):
        frame = np.concatenate([before, samples[None, start : start + 512]], axis=1)
        found = runner.run({"input": frame, "state": state, "sr": np.array(16_000)})
        state, before = found["stateN"], frame[:, -64:]
        chances.append(float(found["output"][0, 0]))
    assert np.mean(np.array(chances) > 0.5) == pytest.approx(0.78, abs=0.05)


@pytest.mark.real
def test_missing_and_misshapen_arrays_are_refused(real_dir):
    runner = load(real_dir / "silero-vad" / "silero_vad_16k_op15.onnx", "arrays")
    with pytest.raises(RunnerError, match=r"also needs sr, state.*\(2, \?, 128\) float"):
        runner.run({"input": np.zeros((1, 576), np.float32)})
    with pytest.raises(RunnerError):
        runner.run({"input": np.zeros(3, np.int64), "state": np.zeros((2, 1, 128), np.float32), "sr": np.array(1)})
