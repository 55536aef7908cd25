"""Writing in a batch is writing one by one, only faster; its probabilities are the model's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.generation import draw, generate
from engine.training.key_value_cache import KeyValueCache
from engine.training.model import Decoder
from engine.training.settings import ModelSettings

CONTEXT = 24
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11], [12, 13]]


@pytest.fixture(scope="module", params=[0, 2], ids=["each head its keys", "shared keys"])
def model(request):
    torch.manual_seed(0)
    made = Decoder(ModelSettings(60, width=32, layers=2, heads=4, key_value_heads=request.param, context=CONTEXT))
    with torch.no_grad():
        for parameter in made.hidden_matrices():
            parameter *= 4  # so that what was read matters
        made.embed_tokens.weight *= 20
    return made.eval()


@torch.no_grad()
def _greedy_without_cache(model, prompt, new_tokens):
    tokens = list(prompt)
    for _ in range(new_tokens):
        tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[len(prompt) :]


@torch.no_grad()
def _log_probs(model, prompt, tokens):
    """From one full pass over prompt and text."""
    logits = model(torch.tensor([[*prompt, *tokens]]))[0, len(prompt) - 1 : -1].double()
    return logits.log_softmax(dim=1).gather(1, torch.tensor(tokens)[:, None])[:, 0].tolist()


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6), seed=st.integers(0, 1000))
def test_a_ragged_batch_writes_exactly_what_each_prompt_alone_does_without_a_cache(model, lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    prompts = [torch.randint(60, (length,), generator=generator).tolist() for length in lengths]
    written = generate(model, prompts, 10, temperature=0)
    assert [each.tokens for each in written] == [_greedy_without_cache(model, prompt, 10) for prompt in prompts]


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5, "top_k": 5}, {"top_p": 0.6}, {"temperature": 0}])
def test_log_probs_are_those_of_a_full_pass_at_temperature_one(model, options):
    for prompt, each in zip(PROMPTS, generate(model, PROMPTS, 12, seed=0, **options), strict=True):
        assert each.log_probs == pytest.approx(_log_probs(model, prompt, each.tokens), abs=1e-4)


def test_samples_are_what_repeated_prompts_would_give(model):
    repeated = [prompt for prompt in PROMPTS for _ in range(3)]
    together = generate(model, PROMPTS, 8, samples=3, seed=5)
    assert [each.tokens for each in together] == [each.tokens for each in generate(model, repeated, 8, seed=5)]
    assert len({tuple(each.tokens) for each in together[:3]}) > 1


def test_a_seed_for_each_text_makes_it_the_same_in_any_company(model):
    seeds = [11, 12, 13, 14]
    together = generate(model, PROMPTS, 9, seed=seeds)
    alone = [generate(model, [prompt], 9, seed=[seed])[0] for prompt, seed in zip(PROMPTS, seeds, strict=True)]
    assert [each.tokens for each in together] == [each.tokens for each in alone]


def test_generators_repeat_and_the_global_one_is_used_without(model):
    one, same = (generate(model, PROMPTS, 8, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert one == same
    torch.manual_seed(9)
    first, second = generate(model, PROMPTS, 8), generate(model, PROMPTS, 8)
    torch.manual_seed(9)
    assert generate(model, PROMPTS, 8) == first != second


def test_texts_end_at_a_stop_token_and_the_others_go_on_unchanged(model):
    freely = generate(model, PROMPTS, 12, seed=1)
    stop = freely[0].tokens[2]
    stopped = generate(model, PROMPTS, 12, seed=1, stop=stop)
    for free, ended in zip(freely, stopped, strict=True):
        if stop in free.tokens:
            assert ended.ended == "stop" and ended.tokens == free.tokens[: free.tokens.index(stop) + 1]
            assert len(ended.log_probs) == len(ended.tokens)
        else:
            assert ended.ended == "length" and ended.tokens == free.tokens
    assert stopped[0].ended == "stop"


def test_rows_that_are_done_are_dropped(model, monkeypatch):
    kept = []
    select = KeyValueCache.select
    monkeypatch.setattr(KeyValueCache, "select", lambda cache, rows: (kept.append(len(rows)), select(cache, rows)))
    greedy = [each.tokens for each in generate(model, PROMPTS, 10, temperature=0)]
    stops = {tokens[1] for tokens in greedy[:2]}
    expected = sum(not stops & set(tokens) for tokens in greedy)
    again = generate(model, PROMPTS, 10, temperature=0, stop=stops)
    assert kept and kept == sorted(kept, reverse=True) and kept[-1] >= max(expected, 1)
    for tokens, each in zip(greedy, again, strict=True):
        assert each.tokens == tokens[: len(each.tokens)]


def test_a_full_context_ends_a_text_and_says_so(model):
    prompts = [[1] * CONTEXT, [2] * (CONTEXT - 3), [3]]
    written = generate(model, prompts, 10, temperature=0)
    assert [(len(each.tokens), each.ended) for each in written] == [(1, "context"), (4, "context"), (10, "length")]
    alone = [generate(model, [prompt], 10, temperature=0)[0].tokens for prompt in prompts]
    assert [each.tokens for each in written] == alone


def test_tokens_are_drawn_as_often_as_they_are_likely():
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
    uniforms = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    drawn, log_probs = draw(logits.expand(4000, 4), uniforms, 1.0)
    shares = torch.bincount(drawn, minlength=4) / 4000
    torch.testing.assert_close(shares, logits[0].softmax(dim=0), rtol=0, atol=1e-3)
    torch.testing.assert_close(log_probs, logits[0].log_softmax(dim=0)[drawn])


def test_top_k_and_top_p_leave_only_the_likeliest():
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3]).log().expand(1000, 4)
    uniforms = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    assert set(draw(logits, uniforms, 1.0, top_k=2)[0].tolist()) == {1, 3}
    assert set(draw(logits, uniforms, 1.0, top_p=0.75)[0].tolist()) == {1, 3, 2}
    assert set(draw(logits, uniforms, 1.0, top_p=1e-9)[0].tolist()) == {1}
    assert set(draw(logits, uniforms, 1.0, top_k=3, top_p=0.5)[0].tolist()) == {1, 3}
    shares = torch.bincount(draw(logits, uniforms, 2.0, top_k=2)[0], minlength=4) / 1000
    assert shares[1].item() == pytest.approx(0.4**0.5 / (0.4**0.5 + 0.3**0.5), abs=2e-3)


def test_a_token_without_probability_is_never_drawn():
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf")]])
    for uniform in (0.0, 0.5, 1 - 2**-53):
        assert draw(logits, torch.tensor([uniform], dtype=torch.float64), 1.0)[0].item() == 1


def test_writing_leaves_mode_gradients_and_weights_alone(model):
    training = Decoder(ModelSettings(60, width=32, layers=1, heads=4, context=CONTEXT, dropout=0.5)).train()
    one, same = (generate(training, PROMPTS, 8, temperature=0) for _ in range(2))
    assert training.training and one == same  # nothing is dropped out
    loss = training.loss(torch.tensor([[1, 2]]), torch.tensor([[2, 3]]))
    loss.backward()


def test_bf16_by_autocast_writes_what_bf16_computes(model):
    with torch.autocast("cpu", torch.bfloat16):
        written = generate(model, PROMPTS, 6, seed=2)
    for prompt, each in zip(PROMPTS, written, strict=True):
        assert each.log_probs == pytest.approx(_log_probs(model, prompt, each.tokens), abs=0.3)


def test_several_tokens_after_a_cache_are_what_one_pass_gives(model):
    ids = torch.randint(60, (2, 9))
    with torch.inference_mode():
        cache = KeyValueCache(model, 2)
        parts = [model.hidden(part, cache) for part in ids.split((4, 3, 1, 1), dim=1)]
        torch.testing.assert_close(torch.cat(parts, dim=1), model.hidden(ids))


@pytest.mark.parametrize(
    ("prompts", "options", "words"),
    [
        ([[]], {}, "0 tokens"),
        ([[1] * (CONTEXT + 1)], {}, f"1 to {CONTEXT}"),
        ([[60]], {}, "vocabulary of 60"),
        ([[-1]], {}, "vocabulary of 60"),
        ([[1]], {"new_tokens": 0}, "new_tokens"),
        ([[1]], {"temperature": -1.0}, "temperature"),
        ([[1]], {"top_k": -1}, "top_k"),
        ([[1]], {"top_p": 0.0}, "top_p"),
        ([[1]], {"samples": 0}, "samples"),
        ([[1]], {"seed": [1, 2]}, "as many seeds"),
    ],
)
def test_what_cannot_be_is_refused(model, prompts, options, words):
    with pytest.raises(TrainingError, match=words):
        generate(model, prompts, **({"new_tokens": 4} | options))


def test_no_prompts_give_no_texts(model):
    assert generate(model, [], 4) == []
