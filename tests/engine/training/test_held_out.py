"""The price of held-out text agrees with a slow, obvious count."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.errors import TrainingError
from engine.training.corpus import Document, num_bytes
from engine.training.held_out import HeldOut, HeldOutLoss, beginnings, encode, held_out_loss
from engine.training.llama_folder import save_llama
from tests.engine.training import small_training

CONTEXT = 16


@pytest.fixture(params=["ours", "transformers"])
def model(request, tmp_path, tokenizer):
    """The same weights in both."""
    ours = small_training.decoder()
    if request.param == "ours":
        return ours
    save_llama(ours, tokenizer, tmp_path)
    return AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)


def logits(model, ids: torch.Tensor) -> torch.Tensor:
    outcome = model(ids)
    return outcome if isinstance(outcome, torch.Tensor) else outcome.logits


def slow_nats(model, tokenizer, text: str) -> tuple[float, int]:
    """Each token by a forward pass of its own over just what it may see, in fp64."""
    model = model.double().eval()
    tokens = encode(tokenizer, text)
    nats = 0.0
    for index in range(1, len(tokens)):
        windows_before = max(math.ceil((index - CONTEXT) / (CONTEXT // 2)), 0)
        seen = torch.tensor([tokens[windows_before * CONTEXT // 2 : index]])
        with torch.no_grad():
            nats -= float(logits(model, seen)[0, -1].double().log_softmax(-1)[tokens[index]])
    return nats, len(tokens) - 1


def test_every_token_is_priced_once_from_the_window_it_may_see(model, tokenizer, documents):
    held_out = held_out_loss(model, tokenizer, documents, CONTEXT)
    expected = [slow_nats(model, tokenizer, document.text) for document in documents]
    assert held_out.num_tokens == sum(count for _, count in expected)
    assert held_out.num_bytes == num_bytes(documents)
    assert held_out.nats == pytest.approx(sum(nats for nats, _ in expected), rel=1e-5)


@pytest.mark.parametrize("length", [1, 14, 15, 16, 17, 23, 24, 25, 31, 32, 33, 100])
def test_texts_that_end_at_or_near_a_window_are_priced_whole(model, tokenizer, length):
    text = "\u0001" * length  # a token each
    held_out = held_out_loss(model, tokenizer, [Document("", text)], CONTEXT)
    nats, count = slow_nats(model, tokenizer, text)
    assert held_out.num_tokens == count == length
    assert held_out.nats == pytest.approx(nats, rel=1e-5)


def test_a_model_that_knows_nothing_pays_the_logarithm_of_its_vocabulary(model, tokenizer, documents):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.removeprefix("model.") == "norm.weight":
                parameter.zero_()  # all logits are 0
    held_out = held_out_loss(model, tokenizer, documents, CONTEXT)
    assert held_out.loss == pytest.approx(math.log(270), rel=1e-6)
    assert held_out.perplexity == pytest.approx(270, rel=1e-5)
    assert held_out.bits_per_byte == pytest.approx(
        held_out.num_tokens * math.log2(270) / num_bytes(documents), rel=1e-6
    )


def test_the_batch_size_changes_nothing(model, tokenizer, documents):
    one = held_out_loss(model, tokenizer, documents, CONTEXT, batch_size=1)
    assert held_out_loss(model, tokenizer, documents, CONTEXT, batch_size=64).nats == pytest.approx(one.nats, rel=1e-6)


def test_one_bit_per_token_and_byte_is_perplexity_two():
    held_out = HeldOutLoss(nats=8 * math.log(2), num_tokens=8, num_bytes=8)
    assert held_out.perplexity == pytest.approx(2)
    assert held_out.bits_per_byte == pytest.approx(1)


def test_a_model_in_training_stays_in_training(model, tokenizer, documents):
    model.train()
    held_out_loss(model, tokenizer, documents, CONTEXT)
    assert model.training


@pytest.mark.parametrize("nothing", [[], [Document("empty", "")]])
def test_no_text_is_an_error(model, tokenizer, nothing):
    with pytest.raises(TrainingError, match="no held-out text"):
        held_out_loss(model, tokenizer, nothing, CONTEXT)


def test_our_decoder_and_transformers_price_the_same_text_alike(tmp_path, tokenizer, documents):
    ours = small_training.decoder()
    save_llama(ours, tokenizer, tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    one, other = (held_out_loss(each, tokenizer, documents, CONTEXT) for each in (ours, theirs))
    assert one.loss == pytest.approx(other.loss, abs=1e-4)
    assert one.bits_per_byte == pytest.approx(other.bits_per_byte, abs=1e-4)
    assert (one.num_tokens, one.num_bytes) == (other.num_tokens, other.num_bytes)


def test_windows_cut_once_give_the_same_price_every_time(tokenizer, documents):
    model, held_out = small_training.decoder(), HeldOut(tokenizer, documents, CONTEXT)
    assert held_out.price(model) == held_out.price(model) == held_out_loss(model, tokenizer, documents, CONTEXT)


def test_an_odd_context_is_taken_as_one_less(tokenizer, documents):
    model = small_training.decoder()
    odd, even = (held_out_loss(model, tokenizer, documents, context) for context in (15, 14))
    assert odd == even


def test_a_large_vocabulary_makes_smaller_batches_of_the_same_price(monkeypatch, tokenizer, documents):
    model = small_training.decoder()
    expected = held_out_loss(model, tokenizer, documents, CONTEXT)
    monkeypatch.setattr("engine.training.held_out.MOST_LOGITS", 270 * CONTEXT)
    assert held_out_loss(model, tokenizer, documents, CONTEXT).nats == pytest.approx(expected.nats, rel=1e-6)


def test_a_look_takes_the_same_share_of_the_beginning_of_each_document():
    documents = [Document("a", "x" * 1000), Document("b", "猫" * 1000), Document("c", "")]
    assert beginnings(documents, 4000) == documents
    half = beginnings(documents, 2000)
    assert [each.text for each in half] == ["x" * 500, "猫" * 500, ""]
    assert num_bytes(beginnings(documents, 1001)) <= 1001


def test_a_price_beyond_all_floats_is_infinite():
    assert HeldOutLoss(nats=1e6, num_tokens=1, num_bytes=1).perplexity == math.inf
    assert math.isnan(HeldOutLoss(nats=math.nan, num_tokens=1, num_bytes=1).perplexity)
