"""Classification, zero-shot, fill-mask and question answering on random models, against plain computations."""

import numpy as np
import pytest
import torch
import transformers

from engine.errors import RunnerError
from engine.runners import load, tasks_of
from engine.runners.classification import sigmoid
from engine.runners.zero_shot import ENTAILMENT_TEMPLATE

TEXT = "the cat sat on the mat"


def network(folder, auto: str, **inputs):
    """What the model gives for a text, by transformers alone, in float64."""
    model = getattr(transformers, auto).from_pretrained(folder, dtype=torch.float64)
    with torch.no_grad():
        return model(**inputs)


def tokens(folder, *texts):
    return transformers.AutoTokenizer.from_pretrained(folder)(*texts, return_tensors="pt")


def softmax(scores) -> np.ndarray:
    powers = np.exp(np.asarray(scores, dtype=np.float64))
    return powers / powers.sum()


LABELS = {
    "num_labels": 3,
    "id2label": {0: "good", 1: "bad", 2: "neither"},
    "label2id": {"good": 0, "bad": 1, "neither": 2},
}


def test_classification_gives_every_label_its_softmax(bert_folder):
    folder = bert_folder("SequenceClassification", **LABELS)
    assert tasks_of(folder) == ("classification",)
    found = load(folder, "classification", device="cpu").classify(TEXT)
    scores = network(folder, "AutoModelForSequenceClassification", **tokens(folder, TEXT)).logits[0]
    expected = dict(zip(("good", "bad", "neither"), softmax(scores), strict=True))
    assert {each.label: each.probability for each in found} == pytest.approx(expected, rel=1e-5)
    assert sum(each.probability for each in found) == pytest.approx(1)


def test_labels_that_may_hold_together_are_sigmoids(bert_folder):
    folder = bert_folder("SequenceClassification", problem_type="multi_label_classification", **LABELS)
    found = load(folder, "classification", device="cpu").classify(TEXT)
    scores = network(folder, "AutoModelForSequenceClassification", **tokens(folder, TEXT)).logits[0].numpy()
    expected = dict(zip(("good", "bad", "neither"), 1 / (1 + np.exp(-scores)), strict=True))
    assert {each.label: each.probability for each in found} == pytest.approx(expected, rel=1e-5)


def test_pairs_of_texts_are_classified_together(bert_folder):
    folder = bert_folder("SequenceClassification", **LABELS)
    found = load(folder, "classification", device="cpu").classify(TEXT, "the dog ran")
    scores = network(folder, "AutoModelForSequenceClassification", **tokens(folder, TEXT, "the dog ran")).logits[0]
    assert max(each.probability for each in found) == pytest.approx(softmax(scores).max(), rel=1e-5)


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])


INFERENCE = {"num_labels": 3, "id2label": {0: "contradiction", 1: "neutral", 2: "entailment"}}


def test_zero_shot_by_inference_compares_entailments(bert_folder):
    folder = bert_folder("SequenceClassification", **INFERENCE)
    assert tasks_of(folder) == ("classification", "zero-shot")
    runner = load(folder, "zero-shot", device="cpu")
    assert not runner.is_by_embeddings
    labels = ["cat", "dog", "tree"]
    scores = [
        network(
            folder,
            "AutoModelForSequenceClassification",
            **tokens(folder, TEXT, ENTAILMENT_TEMPLATE.replace("{}", label)),
        ).logits[0, 2]
        for label in labels
    ]
    expected = dict(zip(labels, softmax(scores), strict=True))
    assert {each.label: each.probability for each in runner.classify(TEXT, labels)} == pytest.approx(expected, rel=1e-4)


def test_zero_shot_without_an_inference_head_goes_by_embeddings(minilm_path):
    runner = load(minilm_path, "zero-shot", device="cpu")
    assert runner.is_by_embeddings
    sentences = {
        "The team lost the final after penalties.": "sports",
        "Parliament voted on the new budget.": "politics",
        "Simmer the onions in butter until soft.": "cooking",
        "Astronomers found a planet around a dim star.": "science",
    }
    for sentence, label in sentences.items():
        found = runner.classify(sentence, ["science", "cooking", "sports", "politics"])
        assert found[0].label == label
        assert sum(each.probability for each in found) == pytest.approx(1)


def test_labels_are_cleaned_and_templates_checked(minilm_path):
    runner = load(minilm_path, "zero-shot", device="cpu")
    assert len(runner.classify("a", [" x ", "x", "", "y"])) == 2
    with pytest.raises(RunnerError, match="no labels"):
        runner.classify("a", [" "])
    with pytest.raises(RunnerError, match="no place"):
        runner.classify("a", ["x"], template="nothing")


def test_fill_mask_ranks_the_whole_vocabulary_for_each_gap(bert_folder):
    folder = bert_folder("MaskedLM")
    runner = load(folder, "fill-mask", device="cpu")
    found = runner.fill("the [MASK] sat on the [MASK] .", count=4)
    encoded = tokens(folder, "the [MASK] sat on the [MASK] .")
    scores = network(folder, "AutoModelForMaskedLM", **encoded).logits[0]
    gaps = (encoded["input_ids"][0] == runner.tokenizer.mask_token_id).nonzero()[:, 0].tolist()
    assert len(found) == len(gaps) == 2
    for gap, candidates in zip(gaps, found, strict=True):
        chances = softmax(scores[gap])
        best = np.argsort(-chances)[:4]
        assert [each.token_id for each in candidates] == best.tolist()
        assert [each.probability for each in candidates] == pytest.approx(chances[best].tolist(), rel=1e-4)
    first = found[0][0]
    assert first.text == f"the {first.token} sat on the [MASK] ."


def test_a_text_without_a_gap_is_refused(bert_folder):
    with pytest.raises(RunnerError, match="no gap"):
        load(bert_folder("MaskedLM"), "fill-mask", device="cpu").fill(TEXT)


def slow_answers(starts, ends, spans, most):
    """Every stretch of context tokens, likeliest first, by a plain double loop."""
    found = []
    for i, first in enumerate(spans):
        for j in range(i, min(i + most, len(spans))):
            if first is not None and spans[j] is not None:
                found.append((starts[i] * ends[j], first[0], spans[j][1]))
    return sorted(found, reverse=True)


def test_an_answer_is_the_likeliest_stretch_of_the_context(bert_folder):
    folder = bert_folder("QuestionAnswering")
    question, context = "who sat on the mat ?", "the dog ran . the cat sat on the red mat . the dog was sad ."
    encoded = transformers.AutoTokenizer.from_pretrained(folder)(
        question, context, return_tensors="pt", return_offsets_mapping=True
    )
    offsets = encoded.pop("offset_mapping")[0].tolist()
    output = network(folder, "AutoModelForQuestionAnswering", **encoded)
    spans = [span if part == 1 else None for span, part in zip(offsets, encoded.sequence_ids(0), strict=True)]
    allowed = [place == 0 or span is not None for place, span in enumerate(spans)]
    starts, ends = (
        softmax(np.where(allowed, scores[0].numpy(), -np.inf)) for scores in (output.start_logits, output.end_logits)
    )
    chance, start, stop = slow_answers(starts, ends, spans, 30)[0]
    best, *others = load(folder, "question-answering", device="cpu").answer(question, context)
    assert (best.start, best.stop, best.text) == (start, stop, context[start:stop])
    assert best.probability == pytest.approx(chance, rel=1e-4)
    assert all(other.stop <= best.start or other.start >= best.stop for other in others)


def test_a_long_context_is_read_in_windows(bert_folder):
    runner = load(bert_folder("QuestionAnswering"), "question-answering", device="cpu")
    context = "the cat sat on the mat . " * 60 + "the red tree was happy ."
    assert len(runner._windows("who ?", context)) > 5
    places = {
        place for _, spans in runner._windows("who ?", context) for span in spans if span for place in range(*span)
    }
    assert {place for place, letter in enumerate(context) if letter != " "} <= places
    for answer in runner.answer("who ?", context):
        assert context[answer.start : answer.stop] == answer.text != ""


def test_empty_and_endless_questions_are_refused(bert_folder):
    runner = load(bert_folder("QuestionAnswering"), "question-answering", device="cpu")
    with pytest.raises(RunnerError, match="empty"):
        runner.answer(" ", "a")
    with pytest.raises(RunnerError, match="no room"):
        runner.answer("who " * 70, "the cat")


def test_texts_beyond_the_context_are_cut_not_refused(bert_folder):
    runner = load(bert_folder("SequenceClassification", **LABELS), "classification", device="cpu")
    assert runner.facts.context == 64
    assert runner.classify("cat " * 500) == runner.classify("cat " * 62)


def test_a_head_that_is_not_in_the_checkpoint_is_never_made_up(bert_folder, tmp_path):
    """transformers would fill a missing head with random numbers and only warn."""
    import json
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(bert_folder(), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertForSequenceClassification"]}))
    with pytest.raises(RunnerError, match=r"lacks: classifier\.bias"):
        load(folder, "classification", device="cpu")
