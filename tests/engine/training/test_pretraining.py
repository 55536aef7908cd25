"""Training learns, repeats itself to the bit, keeps its best step and leaves no trace."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from engine.errors import Cancelled, TrainingError
from engine.training.decoder import DecoderShape, new_decoder
from engine.training.held_out import HeldOutLoss, held_out_loss
from engine.training.pretraining import PretrainingSettings, learning_rate, pretrain, reproducible

SETTINGS = PretrainingSettings(
    steps=20, batch_size=4, context=16, learning_rate=1e-2, warmup_steps=5, evaluate_every=5, threads=1
)


@pytest.fixture
def validate(tokenizer, documents):
    return lambda model: held_out_loss(model, tokenizer, documents, 16)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def fresh(tokenizer, seed: int = 1):
    return new_decoder(DecoderShape(width=16, layers=2, heads=2, ffn_width=32, context=16), tokenizer, seed)


def test_training_lowers_the_loss_of_held_out_text(model, tokens, validate):
    before = validate(model)
    result = pretrain(model, tokens, validate, SETTINGS)
    assert result.validation.nats < 0.8 * before.nats
    assert validate(model).nats == result.validation.nats
    assert result.best_step > 0


def test_two_trainings_with_equal_settings_give_equal_bits(tokenizer, tokens, validate):
    runs = []
    for _ in range(2):
        model = fresh(tokenizer)
        pretrain(model, tokens, validate, SETTINGS)
        runs.append(weights(model))
        torch.rand(7)  # what else draws random numbers in this process does not matter
    assert are_equal(*runs)


@pytest.mark.parametrize("change", [{"seed": 1}, {"dropout": 0.3}, {"weight_decay": 0.0}, {"max_norm": 0.01}])
def test_each_setting_makes_a_difference(tokenizer, tokens, validate, change):
    runs = []
    for settings in (SETTINGS, replace(SETTINGS, **change)):
        model = fresh(tokenizer)
        pretrain(model, tokens, validate, settings)
        runs.append(weights(model))
    assert not are_equal(*runs)


def test_the_model_keeps_the_weights_of_its_best_step(model, tokens):
    scores = iter([10.0, 9.0, 3.0, 5.0, 4.0])
    seen = []

    def validate(model) -> HeldOutLoss:
        seen.append(weights(model))
        return HeldOutLoss(next(scores), 1, 1)

    result = pretrain(model, tokens, validate, SETTINGS)
    assert (result.best_step, result.steps, result.validation.nats) == (10, 20, 3.0)
    assert are_equal(weights(model), seen[2])
    assert not are_equal(seen[2], seen[4])


def test_training_ends_when_patience_does(model, tokens):
    scores = iter([10.0, 9.0, 9.5, 9.4, 1.0])
    result = pretrain(model, tokens, lambda _: HeldOutLoss(next(scores), 1, 1), replace(SETTINGS, patience=2))
    assert (result.best_step, result.steps) == (5, 15)


def test_a_training_that_never_helps_leaves_the_model_as_it_was(model, tokens):
    before, scores = weights(model), iter(range(10))
    result = pretrain(model, tokens, lambda _: HeldOutLoss(next(scores), 1, 1), SETTINGS)
    assert result.best_step == 0
    assert are_equal(weights(model), before)


def test_progress_counts_every_step_and_shows_validation_when_there_is_one(model, tokens, validate):
    seen = []
    pretrain(model, tokens, validate, replace(SETTINGS, steps=12), seen.append)
    assert [progress.step for progress in seen] == list(range(1, 13))
    assert [progress.step for progress in seen if progress.validation] == [5, 10, 12]
    assert all(progress.tokens_per_s > 0 and math.isfinite(progress.loss) for progress in seen)
    assert seen[-1].left_s == 0


def test_a_stopped_training_leaves_no_hooks_threads_or_modes_behind(model, tokens, validate):
    def stop(progress):
        if progress.step == 3:
            raise Cancelled("enough")

    state = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().tolist())
    with pytest.raises(Cancelled):
        pretrain(model, tokens, validate, SETTINGS, stop)
    assert state == (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state().tolist(),
    )
    assert not any(module._forward_hooks for module in model.modules())


def test_reproducible_work_uses_the_threads_it_was_given():
    before = torch.get_num_threads()
    with reproducible(seed=0, threads=before + 1):
        assert torch.get_num_threads() == before + 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == before


def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine():
    settings = PretrainingSettings(steps=111, warmup_steps=10, learning_rate=1.0, final_share=0.1)
    assert [learning_rate(step, settings) for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert learning_rate(60, settings) == pytest.approx(0.55)
    assert learning_rate(110, settings) == pytest.approx(0.1)
    falling = [learning_rate(step, settings) for step in range(10, 111)]
    assert falling == sorted(falling, reverse=True)


def test_weights_that_are_no_numbers_stop_the_training_with_a_reason(model, tokens):
    with torch.no_grad():
        model.model.norm.weight.fill_(math.nan)
    with pytest.raises(TrainingError, match="loss of step 1 is nan") as caught:
        pretrain(model, tokens, lambda _: HeldOutLoss(1.0, 1, 1), SETTINGS)
    assert "learning rate" in caught.value.hint


def test_a_text_shorter_than_a_window_is_refused(model, tokens, validate):
    with pytest.raises(TrainingError, match="has 16 tokens; one window of 16 needs more"):
        pretrain(model, tokens[:16], validate, SETTINGS)
    pretrain(model, tokens[:17], validate, replace(SETTINGS, steps=1))
