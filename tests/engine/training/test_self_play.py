"""Self-play on a tiny model: its reward rises, going on is exact to the bit, and a hacked reward is called hacked."""

from __future__ import annotations

import copy
import dataclasses
import math
import random

import numpy as np
import pytest
import torch

from engine.errors import TrainingError
from engine.training.benchmark_prompts import Benchmark, benchmark_prompts, pieces
from engine.training.checkpoints import Checkpoints, TrainingState, read_state
from engine.training.corpora.token_stream import TokenStream
from engine.training.corpus import Corpus, Document
from engine.training.determinism import derived_seed
from engine.training.events import Evaluated, Judged, Noticed, Sampled, Saved, StepDone
from engine.training.generation import generate
from engine.training.held_out import encode
from engine.training.llama_folder import load_llama
from engine.training.model import Decoder
from engine.training.play_round import Rules, play_round
from engine.training.rewards import PARTS, check_weights
from engine.training.self_play import play
from engine.training.settings import ModelSettings, SelfPlaySettings
from engine.training.standards import measure_standards
from engine.training.tokenizer import train_tokenizer

CONTEXT = 32
SETTINGS = SelfPlaySettings(
    iterations=4,
    prompts=2,
    group=4,
    new_tokens=16,
    prompt_tokens=6,
    learning_rate=1e-3,
    evaluate_every=2,
    save_every=2,
    threads=1,
)


def _sentences(seed, count):
    rng = random.Random(seed)
    words = ("the cat|the dog|a bird", "sat|lay|stood", "on|by|under", "the mat|a door|the old wall")
    return "".join(" ".join(rng.choice(part.split("|")) for part in words) + ". " for _ in range(count))


@pytest.fixture(scope="module")
def text():
    return Document("text", _sentences(0, 400))


@pytest.fixture(scope="module")
def held_out():
    return [Document("held out", _sentences(1, 100)), Document("short", "the cat sat.")]


@pytest.fixture(scope="module")
def tokenizer(text):
    return train_tokenizer([text.text], 290, CONTEXT)


@pytest.fixture(scope="module")
def stream(text, tokenizer):
    return TokenStream.of([Corpus("text", (text,))], tokenizer, seed=0)


@pytest.fixture(scope="module")
def learnt(tokenizer, stream):
    """A model that writes such sentences, more or less."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Decoder(ModelSettings(len(tokenizer), width=32, layers=1, heads=2, ffn_width=64, context=CONTEXT))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(80):
        model.loss(*stream.batch(step, 16, CONTEXT)).backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.set_num_threads(threads)
    return model


@pytest.fixture
def run(learnt, tokenizer, stream, held_out, tmp_path):
    """run(**changes of the settings) -> result, events, model, in a folder that keeps its checkpoints."""

    def run(folder="a", should_stop=lambda: False, model=None, reference=None, on=stream, **changes):
        model = copy.deepcopy(model or learnt)
        events = []
        result = play(
            model,
            tokenizer,
            copy.deepcopy(reference or learnt),
            on,
            held_out,
            dataclasses.replace(SETTINGS, **changes),
            tmp_path / folder,
            events.append,
            should_stop,
        )
        return result, events, model

    return run


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


def weights_of(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def numbers(events):
    """What was measured, without what depends on the clock."""
    steps = [(event.step, event.tokens, event.gradient_norm, event.metrics) for event in of(events, StepDone)]
    return steps, of(events, Evaluated), of(events, Sampled), of(events, Judged)


def after(count):
    """A question that says no so many times, then yes."""
    answers = iter([False] * count)
    return lambda: next(answers, True)


def test_a_simple_reward_rises_and_is_called_hacked_where_nothing_holds_the_model(run, tmp_path):
    """Only diversity pays and there is no leash: the model ends in word salad, and the verdict says so."""
    result, events, _ = run(
        iterations=30,
        weights=(("diversity", 1.0),),
        kl_coefficient=0.0,
        learning_rate=5e-3,
        prompts=4,
        group=8,
        evaluate_every=10,
    )
    rewards = [event.metrics["reward"] for event in of(events, StepDone)]
    assert np.mean(rewards[-3:]) > np.mean(rewards[:3]) + 0.2
    last = of(events, Judged)[-1]
    assert last.verdict == result.verdict == "hacked"
    assert "held-out text costs" in last.reason
    assert of(events, Evaluated)[-1].bits_per_byte > 1.1 * of(events, Evaluated)[0].bits_per_byte
    assert result.best_step == 0, "a hacked model is not the best"
    assert Checkpoints(tmp_path / "a").best().name == "checkpoint-0"


def test_the_leash_holds_the_model_near_its_reference(run):
    loose, tight = (
        of(run(folder, weights=(("diversity", 1.0),), iterations=15, learning_rate=5e-3, **leash)[1], StepDone)
        for folder, leash in (("loose", {"kl_coefficient": 0.0}), ("tight", {"kl_coefficient": 2.0, "kl_target": 0.0}))
    )
    assert tight[-1].metrics["kl"] < loose[-1].metrics["kl"] / 3


def test_going_on_gives_the_same_bits_as_never_having_stopped(run):
    straight, events, model = run("straight", iterations=5)
    stopped, first, _ = run("halved", iterations=5, should_stop=after(3))
    assert (stopped.ending, stopped.step, stopped.is_finished) == ("stopped", 3, False)
    finished, second, resumed = run("halved", iterations=5)
    assert (finished.ending, finished.step, finished.is_finished) == ("finished", 5, True)
    torch.testing.assert_close(weights_of(resumed), weights_of(model), atol=0, rtol=0)
    for whole, begun, gone_on in zip(numbers(events), numbers(first), numbers(second), strict=True):
        assert whole == begun + gone_on
    assert dataclasses.replace(finished, elapsed_s=0) == dataclasses.replace(straight, elapsed_s=0)


def test_what_is_reported(run, tmp_path):
    result, events, _ = run()
    assert [event.step for event in of(events, StepDone)] == [1, 2, 3, 4]
    assert [event.step for event in of(events, Evaluated)] == [0, 2, 4]
    assert [event.step for event in of(events, Judged)] == [2, 4]
    assert {event.step for event in of(events, Saved)} >= {0, 2, 4}
    for event in of(events, StepDone):
        assert math.isnan(event.loss)
        assert event.tokens > 0
        names = {"reward", "kl", "kl_coefficient", "entropy", "mean_length", "finished_share"}
        assert event.metrics.keys() >= names | {f"reward/{part}" for part in PARTS}
        assert all(map(math.isfinite, event.metrics.values()))
        assert ("benchmark/reward" in event.metrics) == (event.step in (2, 4))
    first = of(events, StepDone)[0].metrics
    assert first["kl"] == pytest.approx(0, abs=1e-6), "before the first update the model is its reference"
    weights = dict(SETTINGS.weights)
    weighted = sum(weight * first[f"reward/{part}"] for part, weight in weights.items()) / sum(weights.values())
    assert first["reward"] == pytest.approx(weighted)
    texts = of(events, Sampled)
    assert {event.step for event in texts} == {0, 2, 4}
    assert all(event.text and "<|endoftext|>" not in event.text for event in texts)
    assert len({event.prompt for event in texts}) == 3, "the same prompts at each look"
    assert result.step == 4


def test_checkpoints_are_ordinary_models(run, tmp_path):
    _, events, model = run()
    folder = of(events, Saved)[-1].folder
    loaded, _ = load_llama(folder)
    torch.testing.assert_close(weights_of(loaded), weights_of(model), atol=0, rtol=0)
    assert read_state(folder).facts["standing"]["iteration"] == 4


def test_more_iterations_may_be_asked_for_later(run):
    run(iterations=2)
    result, events, _ = run(iterations=3)
    assert result.step == 3
    assert [event.step for event in of(events, StepDone)] == [3]


def test_a_finished_play_does_nothing_more(run):
    run(iterations=2)
    result, events, _ = run(iterations=2)
    assert result.ending == "finished"
    assert [type(event) for event in events] == [Noticed]


@pytest.mark.parametrize("advantage", ["grpo", "rloo"])
def test_stopping_before_the_first_iteration_leaves_the_model_as_it_was(run, learnt, advantage):
    result, _, model = run(advantage, should_stop=lambda: True, advantage=advantage)
    assert (result.ending, result.step) == ("stopped", 0)
    torch.testing.assert_close(weights_of(model), weights_of(learnt), atol=0, rtol=0)


def test_the_reference_stays_as_it_is(learnt, tokenizer, stream, held_out, tmp_path):
    model, reference = copy.deepcopy(learnt), copy.deepcopy(learnt)
    play(model, tokenizer, reference, stream, held_out, SETTINGS, tmp_path, lambda event: None, lambda: False)
    torch.testing.assert_close(weights_of(reference), weights_of(learnt), atol=0, rtol=0)
    assert not torch.equal(weights_of(model), weights_of(learnt))


def test_nothing_is_dropped_out(run, learnt):
    dropping = Decoder(dataclasses.replace(learnt.settings, dropout=0.5))
    dropping.load_state_dict(learnt.state_dict())
    _, plain, model = run("plain")
    _, events, other = run("dropping", model=dropping.train(), reference=dropping)
    assert numbers(events) == numbers(plain)
    torch.testing.assert_close(weights_of(other), weights_of(model), atol=0, rtol=0)
    assert other.training, "its mode is given back"


def test_numbers_that_leave_their_range_end_it_at_the_best_checkpoint(run, learnt):
    result, events, model = run(learning_rate=1e30, max_norm=1e30, iterations=8)
    assert (result.ending, result.verdict, result.is_finished) == ("unstable", "unstable", True)
    assert "Lower the learning rate" in result.reason
    assert result.step == result.best_step == 0
    torch.testing.assert_close(weights_of(model), weights_of(learnt), atol=0, rtol=0)
    assert of(events, Noticed)[-1].text == result.reason


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"learning_rate": 2e-3}, "learning_rate"), ({"weights": (("length", 1.0),)}, "weights"), ({"seed": 1}, "seed")],
)
def test_other_settings_are_another_self_play(run, changes, says):
    run(iterations=1)
    with pytest.raises(TrainingError, match=says):
        run(iterations=2, **changes)


def test_another_reference_is_another_self_play(run, learnt):
    run(iterations=1)
    other = copy.deepcopy(learnt)
    with torch.no_grad():
        other.embed_tokens.weight[0, 0] += 1e-3
    with pytest.raises(TrainingError, match="weights"):
        run(iterations=2, reference=other)


def test_a_folder_of_another_training_is_refused(run, learnt, tokenizer, tmp_path):
    Checkpoints(tmp_path / "a").save(3, learnt, tokenizer, TrainingState(facts={"step": 3}), 2.0)
    with pytest.raises(TrainingError, match="not written by self-play"):
        run()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": (("brilliance", 1.0),)}, "no reward part"),
        ({"weights": (("length", 0.0),)}, "All reward weights are 0"),
        ({"group": 1}, "group must be at least 2"),
        ({"prompts": 0}, "prompts must be at least 1"),
        ({"new_tokens": CONTEXT}, "context of 38, the model has 32"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"kl_coefficient": -1.0}, "kl_coefficient cannot be negative"),
        ({"kl_target": math.nan}, "kl_target cannot be negative"),
        ({"advantage": "luck"}, "no advantage 'luck'"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(run, changes, says, tmp_path):
    with pytest.raises(TrainingError, match=says):
        run(**changes)
    assert not list(tmp_path.iterdir())


def test_a_reference_that_would_learn_along_is_refused(learnt, tokenizer, stream, held_out, tmp_path):
    with pytest.raises(TrainingError, match="shares its weights"):
        play(learnt, tokenizer, learnt, stream, held_out, SETTINGS, tmp_path, print, lambda: False)


def test_a_reference_of_another_vocabulary_is_refused(run):
    other = Decoder(ModelSettings(300, width=32, layers=1, heads=2, ffn_width=64, context=CONTEXT))
    with pytest.raises(TrainingError, match="reference knows 300 tokens"):
        run(reference=other)


def test_without_held_out_text_nothing_begins(learnt, tokenizer, stream, tmp_path):
    with pytest.raises(TrainingError, match="no held-out text"):
        play(
            copy.deepcopy(learnt),
            tokenizer,
            learnt,
            stream,
            [Document("empty", "")],
            SETTINGS,
            tmp_path,
            print,
            lambda: False,
        )


@pytest.fixture(scope="module")
def rules(learnt, tokenizer, stream):
    reference = copy.deepcopy(learnt).eval()
    standards = measure_standards(reference, stream, SETTINGS)
    return Rules(reference, standards, check_weights(SETTINGS.weights), 1.0, 16, tokenizer.eos_token_id)


def test_a_round_rewards_the_tokens_that_were_drawn_without_the_end_of_text(learnt, rules, tokenizer, monkeypatch):
    """The full stop stands for END_OF_TEXT, so that texts end; every part sees the text before it, and all of it."""
    seen = []
    part = PARTS["length"]

    def spy(group, standards):
        seen.extend(group)
        return part.function(group, standards)

    monkeypatch.setitem(PARTS, "length", dataclasses.replace(part, function=spy))
    *prompt, stop = encode(tokenizer, "the cat sat on.")
    prompts = [prompt, prompt[:2]]
    played = play_round(learnt, dataclasses.replace(rules, stop=stop), prompts, 6, seed=3)
    seeds = [derived_seed(3, number) for number in range(12)]
    written = generate(learnt, prompts, 16, samples=6, seed=seeds, stop=stop)
    assert [each.tokens for each in played.written] == [each.tokens for each in written]
    assert played.rewards.shape == played.scores["length"].shape == (2, 6)
    place = 0
    for sample, text in zip(seen, written, strict=True):
        has_ended = text.ended == "stop"
        assert sample.is_finished == has_ended
        assert list(sample.tokens) == text.tokens[: len(text.tokens) - has_ended]
        count = len(sample.tokens)
        expected = played.reference_log_probs[place : place + count].double().numpy()
        np.testing.assert_array_equal(sample.reference_log_probs, expected)
        place += len(text.tokens)
    assert place == len(played.reference_log_probs)
    assert 0 < played.metrics["finished_share"] < 1


def test_few_texts_at_a_time_are_the_same_texts(learnt, rules, monkeypatch):
    whole = play_round(learnt, rules, [[5, 6], [7, 8], [9, 4]], 2, seed=1)
    monkeypatch.setattr("engine.training.play_round.ROWS_AT_ONCE", 3)
    parts = play_round(learnt, rules, [[5, 6], [7, 8], [9, 4]], 2, seed=1)
    assert [each.tokens for each in parts.written] == [each.tokens for each in whole.written]
    np.testing.assert_allclose(parts.rewards, whole.rewards)


def test_real_text_meets_the_standards_and_noise_does_not(learnt, rules, stream, tokenizer):
    from engine.training.policy_gradient import log_probs_in_parts, rollout
    from engine.training.rewards import Sample, score

    ids, _ = stream.batch(50, 16, 22)
    noise = torch.randint(1, len(tokenizer), (16, 16), generator=torch.Generator().manual_seed(0))
    means = []
    for written in (ids[:, 6:], noise):
        rows = rollout(ids[:, :6].tolist(), written.tolist())
        log_probs = log_probs_in_parts(rules.reference, rows, 1.0)[0].view(16, 16).double().numpy()
        texts = [Sample(tuple(row), each) for row, each in zip(written.tolist(), log_probs, strict=True)]
        scores = score(texts, rules.standards)
        means.append({name: values.mean() for name, values in scores.items()})
    real, random_tokens = means
    assert real["coherence"] > 0.9
    assert real["naturalness"] > 0.9
    assert random_tokens["coherence"] < 0.5
    assert random_tokens["naturalness"] < 0.3


def test_standards_are_the_same_again(learnt, rules, stream):
    again = measure_standards(rules.reference, stream, SETTINGS)
    fields = ("surprise_low", "surprise_high", "bigram_level", "new_tokens")
    assert [getattr(again, name) for name in fields] == [getattr(rules.standards, name) for name in fields]


def test_benchmark_prompts_are_held_out_text_cut_in_two(tokenizer, held_out):
    prompts = benchmark_prompts(tokenizer, held_out, 6, 16)
    assert len(prompts) == 16
    assert prompts == benchmark_prompts(tokenizer, held_out, 6, 16)
    joined = [document.text for document in held_out]
    for each in prompts:
        opening, rest = (tokenizer.decode(ids, skip_special_tokens=True) for ids in (each.prompt, each.continuation))
        assert any(opening + rest in text for text in joined)
        assert len(rest.encode()) == each.num_bytes
    assert prompts[0].prompt[0] == tokenizer.bos_token_id
    assert len({each.prompt + each.continuation for each in prompts}) == 16


def test_a_short_text_is_cut_in_the_middle(tokenizer):
    [only] = benchmark_prompts(tokenizer, [Document("", "the cat")], 16, 48)
    tokens = encode(tokenizer, "the cat")
    assert [*only.prompt, *only.continuation] == tokens
    assert len(only.prompt) == len(tokens) // 2


def test_pieces_are_the_whole_text_in_parts_of_similar_length():
    documents = [Document("long", "a line of text\n" * 2000), Document("one line", "word " * 3000), Document("s", "x")]
    cut = pieces(documents)
    for document in documents:
        assert "".join(piece.text for piece in cut if piece.name == document.name) == document.text
    assert 12 <= len(cut) <= 19
    assert all(piece.text.endswith("\n") for piece in cut if piece.name == "long")


def test_a_look_at_the_reference_itself_finds_no_divergence_and_the_same_again(rules, tokenizer, held_out):
    benchmark = Benchmark(tokenizer, held_out, rules, 6, seed=1)
    look, _ = benchmark.look(rules.reference, 0)
    assert look.kl == pytest.approx(0, abs=1e-6)
    assert look == benchmark.look(rules.reference, 0)[0]
    assert look.is_finite
    assert 0 < look.bits_per_byte < 2
    assert 0 < look.continuation_bits_per_byte < 3
