"""Training learns, keeps its best step, says what happens, and ends for a reason."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from engine.errors import TrainingError
from engine.training.checkpoints import Checkpoints, bits_per_byte, read_state
from engine.training.events import Evaluated, Noticed, Sampled, Saved, StepDone
from engine.training.held_out import held_out_loss
from engine.training.llama_folder import load_llama
from engine.training.model import Decoder
from engine.training.settings import ModelSettings
from tests.engine.training.small_training import CONTEXT, HELD_OUT, decoder, run, tokenizer


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(folder) -> dict[str, torch.Tensor]:
    return load_llama(folder)[0].state_dict()


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_training_lowers_the_price_of_held_out_text(tmp_path, optimizer):
    model, known = decoder(dropout=0.1), tokenizer()
    before = held_out_loss(model, known, HELD_OUT, CONTEXT)
    result = run(tmp_path, model=model, optimizer=optimizer, steps=40)
    assert (result.ending, result.is_finished, result.step) == ("finished", True, 40)
    best = Checkpoints(tmp_path).best()
    assert best.name == f"checkpoint-{result.best_step}"
    after = held_out_loss(load_llama(best)[0], known, HELD_OUT, CONTEXT)
    assert after.bits_per_byte == pytest.approx(result.best_bits_per_byte)
    assert after.nats < 0.7 * before.nats
    assert are_equal(model.state_dict(), weights(tmp_path / "checkpoint-40"))
    assert not model.training


def test_all_that_happens_is_told_in_order(tmp_path):
    events = []
    run(tmp_path, events.append, steps=8, evaluate_every=4, save_every=2, sample_every=4)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.step for event in steps] == list(range(1, 9))
    assert all(event.tokens == 4 * CONTEXT and event.tokens_per_s > 0 and event.memory_bytes > 1e7 for event in steps)
    assert [event.learning_rate for event in steps[:5]] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.00940625])
    assert all(event.gradient_norm > 0 and math.isfinite(event.loss) for event in steps)
    assert steps[-1].left_s == 0 < steps[0].left_s
    assert [event.step for event in events if isinstance(event, Evaluated)] == [0, 4, 8]
    assert [event.step for event in events if isinstance(event, Saved)] == [0, 2, 4, 6, 8]
    samples = [event for event in events if isinstance(event, Sampled)]
    assert [event.step for event in samples] == [4, 8]
    assert all(HELD_OUT[0].text.startswith(event.prompt) and event.text for event in samples)
    assert "fp32 on cpu" in next(event.text for event in events if isinstance(event, Noticed))
    assert [event.step for event in events] == sorted(event.step for event in events)


def test_milestones_are_told_once(tmp_path):
    events = []
    run(tmp_path, events.append, steps=40)
    found = [event.text for event in events if isinstance(event, Noticed) and "perplexity" in event.text]
    assert len(found) == len(set(found)) >= 2
    assert "Held-out perplexity fell below 20." in found


def test_the_best_look_has_a_checkpoint_even_if_the_loss_of_that_batch_was_bad(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.training.divergence.LossWatch.is_calm", property(lambda self: False))
    result = run(tmp_path)
    assert Checkpoints(tmp_path).best() == tmp_path / f"checkpoint-{result.best_step}"
    assert result.best_step > 0


def test_two_trainings_with_equal_settings_give_equal_bits(tmp_path):
    for name in ("one", "two"):
        run(tmp_path / name, steps=6, dropout=0.2)
        torch.rand(7)  # what else draws random numbers in this process does not matter
    assert are_equal(weights(tmp_path / "one" / "checkpoint-6"), weights(tmp_path / "two" / "checkpoint-6"))


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"dropout": 0.3}, {"weight_decay": 0.0}, {"max_norm": 0.01, "optimizer": "adamw"}]
)
def test_each_setting_makes_a_difference(tmp_path, change):
    run(tmp_path / "one", steps=3, dropout=0.1, optimizer=change.get("optimizer", "muon"))
    run(tmp_path / "two", **{"steps": 3, "dropout": 0.1, **change})
    assert not are_equal(weights(tmp_path / "one" / "checkpoint-3"), weights(tmp_path / "two" / "checkpoint-3"))


def test_the_best_step_is_kept_and_patience_ends_it(tmp_path, monkeypatch):
    scores = iter([5.0, 4.0, 2.0, 3.0, 2.5, 9.0])
    _score(monkeypatch, scores)
    result = run(tmp_path, steps=30, evaluate_every=2, save_every=3, keep_last=1, patience=2)
    assert (result.ending, result.step, result.best_step, result.best_bits_per_byte) == ("patience", 8, 4, 2.0)
    assert "last 2 looks" in result.reason
    assert Checkpoints(tmp_path).steps() == [4, 8]
    assert bits_per_byte(tmp_path / "checkpoint-4") == 2.0


def test_a_training_that_is_over_stays_over(tmp_path, monkeypatch):
    _score(monkeypatch, iter([1.0, 2.0, 2.0, 2.0]))
    first = run(tmp_path, steps=30, evaluate_every=2, patience=2)
    again = run(tmp_path, steps=30, evaluate_every=2, patience=2)
    assert (again.ending, again.step, again.best_step) == (first.ending, first.step, first.best_step)


def _score(monkeypatch, scores) -> None:
    """Held-out text costs what is written down."""

    @dataclasses.dataclass
    class Price:
        bits_per_byte: float
        loss: float = 1.0
        perplexity: float = math.e

    monkeypatch.setattr("engine.training.held_out.HeldOut.price", lambda self, model: Price(next(scores)))


def test_a_stop_saves_and_the_rest_can_be_resumed(tmp_path):
    asked = []

    def should_stop() -> bool:
        asked.append(True)
        return len(asked) > 7

    result = run(tmp_path, should_stop=should_stop, steps=20)
    assert (result.ending, result.is_finished, result.step) == ("stopped", False, 7)
    assert Checkpoints(tmp_path).steps() == [0, 7]
    events = []
    assert run(tmp_path, events.append, steps=20).is_finished
    assert events[0].text == "Going on after update 7."
    assert [event.step for event in events if isinstance(event, StepDone)] == list(range(8, 21))


def test_a_stop_before_anything_was_done_keeps_the_first_checkpoint(tmp_path):
    assert run(tmp_path, should_stop=lambda: True).step == 0
    assert Checkpoints(tmp_path).steps() == [0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 2e-2}, "learning_rate was 0.01, is now 0.02"),
        ({"steps": 30}, "steps was 20, is now 30"),
        ({"batch_size": 8}, "batch_size was 4, is now 8; first_batch was"),
        ({"dropout": 0.5}, "dropout was 0.0, is now 0.5"),
        ({"optimizer": "adamw"}, "optimizer was 'muon', is now 'adamw'"),
    ],
)
def test_a_resume_with_other_settings_is_refused_and_harms_nothing(tmp_path, change, message):
    run(tmp_path, should_stop=lambda: True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(TrainingError, match="belongs to another training") as caught:
        run(tmp_path, **change)
    for part in message.split("; "):
        assert part in caught.value.message
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_resume_may_save_and_sample_otherwise_and_need_less_memory(tmp_path):
    run(tmp_path, should_stop=lambda: True)
    assert run(tmp_path, save_every=7, sample_every=3, keep_last=1, accumulation=2).step == 20


def test_a_folder_with_other_checkpoints_is_refused(tmp_path):
    run(tmp_path / "run", should_stop=lambda: True)
    (tmp_path / "run" / "checkpoint-0" / "training_state.json").write_text(
        '{"format": 1, "bits_per_byte": null, "facts": {}}'
    )
    with pytest.raises(TrainingError, match="not written by this kind of training"):
        run(tmp_path / "run")


def test_a_loss_that_is_no_number_ends_it_with_the_last_good_checkpoint(tmp_path):
    model = decoder()

    def spoil(event):
        if isinstance(event, StepDone) and event.step == 15:
            with torch.no_grad():
                model.norm.weight.fill_(math.nan)

    events = []
    result = run(tmp_path, lambda event: (events.append(event), spoil(event)), model=model)
    assert (result.ending, result.is_finished, result.step) == ("diverged", True, 10)
    assert "loss of update 16 is nan" in result.reason
    assert "Lower the learning rate" in result.reason
    assert Checkpoints(tmp_path).steps() == [0, 10]
    assert are_equal(model.state_dict(), weights(tmp_path / "checkpoint-10"))
    assert events[-1] == Noticed(10, result.reason)


def test_a_loss_that_explodes_ends_it_before_the_ruin_is_saved(tmp_path):
    model = decoder()

    def spoil(event):
        if isinstance(event, StepDone) and event.step == 12:
            with torch.no_grad():
                model.embed_tokens.weight.mul_(300)

    result = run(tmp_path, spoil, model=model, save_every=1, evaluate_every=100, learning_rate=1e-5, muon_rate=1e-5)
    assert result.ending == "diverged"
    assert "stayed there for 5 updates" in result.reason
    assert result.step == 12


def test_a_learning_rate_that_is_far_too_high_is_found_out(tmp_path):
    result = run(tmp_path, steps=200, learning_rate=50.0, warmup_steps=0, optimizer="adamw", evaluate_every=100)
    assert result.ending == "diverged"
    assert Checkpoints(tmp_path).latest() is not None


def test_damaged_weights_are_refused_at_once(tmp_path):
    model = decoder()
    with torch.no_grad():
        model.norm.weight.fill_(math.nan)
    with pytest.raises(TrainingError, match="before the first update"):
        run(tmp_path, model=model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 2, "accumulation": 3}, "cannot be shared by"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"max_norm": 0.0}, "max_norm must be above 0"),
        ({"schedule": "step"}, "no schedule"),
        ({"precision": "fp8"}, "no precision"),
    ],
)
def test_impossible_settings_are_refused(tmp_path, change, message):
    with pytest.raises(TrainingError, match=message):
        run(tmp_path, **change)


def test_grouped_queries_and_an_untied_head_can_be_trained_and_resumed(tmp_path):
    shape = ModelSettings(270, 16, 1, 4, key_value_heads=2, ffn_width=32, context=CONTEXT, tied=False)
    asked = iter([False] * 5 + [True])
    run(tmp_path, model=Decoder(shape), steps=10, should_stop=lambda: next(asked))
    assert run(tmp_path, model=Decoder(shape), steps=10).step == 10
    names = read_state(tmp_path / "checkpoint-10").tensors
    assert "adamw/lm_head.weight/exp_avg" in names
    assert "muon/layers.0.self_attn.k_proj.weight/momentum_buffer" in names


def test_nothing_of_the_process_is_left_changed(tmp_path):
    state = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().tolist())
    run(tmp_path, steps=1, dropout=0.1, threads=2)
    assert state == (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state().tolist(),
    )
