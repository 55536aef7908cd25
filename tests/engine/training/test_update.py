"""How a batch is computed does not change what it means."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.errors import TrainingError
from engine.training.corpora.token_stream import TokenStream
from engine.training.corpus import Corpus, Document
from engine.training.distributed import World
from engine.training.optimizers import optimizers_for
from engine.training.update import Update, _explained
from tests.engine.training.small_training import SETTINGS, TEXT, decoder, tokenizer


@pytest.fixture(scope="module")
def stream():
    return TokenStream.of([Corpus("text", (Document("", TEXT),))], tokenizer(), 0)


def gradients(stream, precision="fp32", rank=0, world=1, **changes) -> tuple[float, float, dict[str, torch.Tensor]]:
    settings = replace(SETTINGS, max_norm=1e9, **changes)
    model = decoder()
    update = Update(World(0, 1, "cpu"), model, stream, optimizers_for(model, settings), settings, precision)
    update.prepare(3, lambda: False)
    loss, norm = update.gradients()
    return loss, norm, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("batch_size", "accumulation"), [(8, 2), (8, 8), (7, 3)])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(stream, batch_size, accumulation):
    loss, norm, whole = gradients(stream, batch_size=batch_size)
    part_loss, part_norm, parts = gradients(stream, batch_size=batch_size, accumulation=accumulation)
    assert part_loss == pytest.approx(loss, abs=1e-6)
    assert part_norm == pytest.approx(norm, rel=1e-5)
    for name in whole:
        assert torch.allclose(parts[name], whole[name], atol=1e-6), name


def test_the_gradient_is_that_of_the_mean_loss(stream):
    loss, norm, found = gradients(stream, batch_size=8)
    model = decoder().double()
    ids, targets = stream.batch(2, 8, 16)
    expected = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1).double(), targets.flatten())
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    assert norm == pytest.approx(
        torch.cat([each.grad.flatten() for each in model.parameters()]).norm().item(), rel=1e-4
    )
    for name, parameter in model.named_parameters():
        assert torch.allclose(found[name].double(), parameter.grad, atol=1e-5), name


def test_long_gradients_are_shortened_and_their_true_length_is_told(stream):
    _, norm, whole = gradients(stream)
    model = decoder()
    settings = replace(SETTINGS, max_norm=norm / 10)
    update = Update(World(0, 1, "cpu"), model, stream, optimizers_for(model, settings), settings, "fp32")
    update.prepare(3, lambda: False)
    assert update.gradients()[1] == pytest.approx(norm)
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, whole[name] / 10, atol=1e-7), name


def test_bf16_rounds_the_products_and_leaves_weights_and_gradients_wide(stream):
    loss, _, whole = gradients(stream)
    rough_loss, _, rough = gradients(stream, "bf16")
    assert rough_loss != loss
    assert rough_loss == pytest.approx(loss, rel=1e-2)
    assert {each.dtype for each in rough.values()} == {torch.float32}
    for name in whole:
        assert (rough[name] - whole[name]).norm() < 0.1 * whole[name].norm(), name


def test_too_little_memory_and_a_failed_compilation_are_told_in_words():
    with pytest.raises(TrainingError, match="memory is too small") as caught, _explained():
        raise torch.OutOfMemoryError("out of memory")
    assert "accumulation" in caught.value.hint
    with pytest.raises(TrainingError, match=r"torch.compile failed: .*no compiler"), _explained():
        raise torch._inductor.exc.InductorError(RuntimeError("no compiler"), None)
    with pytest.raises(RuntimeError, match="a bug"), _explained():
        raise RuntimeError("a bug")


def test_a_request_to_stop_comes_before_any_work(stream):
    model = decoder()
    update = Update(World(0, 1, "cpu"), model, stream, optimizers_for(model, SETTINGS), SETTINGS, "fp32")
    assert update.prepare(1, lambda: True) == (4 * 16, True)
    assert update.prepare(1, lambda: False) == (4 * 16, False)
