"""The test bed from texts to document, with models so small that seconds are enough."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from engine.errors import JobError
from engine.training.corpus import Document
from storage.store import Store
from workflows import testbed as bed  # by another name: pytest takes functions named test… for tests
from workflows.reports import Report
from workflows.testbed import TestbedSettings, text_label
from workflows.testbed_findings import KINDS, pair_kind, shares_of_variance
from workflows.testbed_report import write_report
from workflows.testbed_texts import docstrings, prepared, without_docstrings
from workflows.testbed_zoo import Member, ZooSettings, make_zoo, members

TINY = ZooSettings(
    repeats=1, vocabulary_size=300, width=16, layers=2, heads=2, context=32, steps=3, child_steps=3, batch_size=2,
    child_rate=0.03,
    corpus_bytes=20_000,
)  # fmt: skip
SETTINGS = TestbedSettings(TINY, draws=1, workers=1, with_cka=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data folder with the zoo and its tests, and what came of them."""
    data = tmp_path_factory.mktemp("bed")
    return data, bed.testbed(data, SETTINGS)


def test_every_text_has_independent_models_and_the_first_has_siblings_and_a_child():
    everyone = members(("x", "y", "z"), 3)
    alone = [member for member in everyone if member.part == "independent"]
    assert len(everyone) == 14 and len({member.start for member in alone}) == 9
    assert [member.text for member in everyone if member.part == "sibling"] == ["y", "z"]
    child = next(member for member in everyone if member.part == "child")
    assert (child.parent, child.start, text_label(child)) == ("x-1", alone[0].start, "x, then y")
    assert len({member.name for member in everyone}) == 14


def test_pairs_are_told_apart_by_what_they_have_in_common():
    a, b = Member("x-1", "independent", "x", 1, 0), Member("x-2", "independent", "x", 2, 1)
    other, sibling = Member("y-1", "independent", "y", 4, 0), Member("y-from", "sibling", "y", 1, 0)
    child = Member("x-1-then-y", "child", "y", 1, 100, "x-1")
    assert pair_kind(a, child) == pair_kind(child, a) == KINDS[0]
    assert pair_kind(a, sibling) == pair_kind(sibling, child) == KINDS[1]
    assert (pair_kind(a, b), pair_kind(a, other), pair_kind(child, other)) == KINDS[2:]


def test_code_and_docstrings_part_a_module_between_them():
    module = Document("m.py", '"""About."""\nX = "text"\n\n\ndef f():\n    """What\n    it does."""\n    return X\n')
    assert without_docstrings(module) == 'X = "text"\n\n\ndef f():\n    return X\n'
    assert docstrings(module) == "About.\n\nWhat\nit does."


def test_texts_are_the_same_each_time_and_no_two_are_alike():
    first, again = (prepared(20_000, 300, 32).texts for _ in range(2))
    assert [text.sha256 for text in first.values()] == [text.sha256 for text in again.values()]
    assert len({text.sha256 for text in first.values()}) == len(first) == 3
    for text in first.values():
        assert text.num_bytes >= 20_000 and text.validation
        learnt = "\n".join(document.text for document in text.training.documents)
        assert not any(document.text in learnt for document in text.validation)


def test_lineages_are_those_of_the_starts_and_the_child_is_told_by_its_dividend(made):
    data, outcome = made
    assert (len(outcome.trained.names), outcome.trained.num_lineages, outcome.starts.num_lineages) == (6, 3, 3)
    pairs = Store(data).pattern_pairs(outcome.trained.test).set_index(["model_a", "model_b"])
    child = pairs.loc["reference-1", "reference-1-then-code"]
    is_kin = pairs["is_related"].astype(bool)
    assert child["is_related"] and pairs.loc[is_kin, "net"].min() > pairs.loc[~is_kin, "net"].max() + 1
    assert child["coded_gain"] == pytest.approx(child["predicted_gain"], abs=0.05)
    starts = Store(data).pattern_pairs(outcome.starts.test)
    assert not starts["is_related"].any()


def test_what_is_there_is_not_made_again_and_other_settings_are_refused(made):
    data, outcome = made
    heard: list[str] = []

    class Ears(Report):
        def log(self, text: str) -> None:
            heard.append(text)

    before = {path: path.stat().st_mtime_ns for path in (data / "zoo").rglob("model.safetensors")}
    again = bed.testbed(data, SETTINGS, Ears())
    assert {path: path.stat().st_mtime_ns for path in (data / "zoo").rglob("model.safetensors")} == before
    assert heard == [] and again.trained.was_stored and again.trained.test == outcome.trained.test
    with pytest.raises(JobError, match="other settings"):
        make_zoo(data / "zoo", replace(TINY, steps=4), 1, Report())


def test_the_document_holds_stored_numbers_figures_and_how_to_repeat_it(made, tmp_path):
    data, outcome = made
    store, texts = Store(data), list(prepared(TINY.corpus_bytes, TINY.vocabulary_size, TINY.context).texts.values())
    document = write_report(store, outcome, SETTINGS, texts, tmp_path, "python -m workflows testbed --quick")
    words = document.read_text(encoding="utf-8")
    assert outcome.trained.sentences[0] in words and all(limit in words for limit in outcome.kinds.limits)
    assert "python -m workflows testbed --quick" in words and texts[0].sha256[:16] in words
    assert str(data) not in words and "nan" not in re.findall(r"\w+", words)
    pictures = re.findall(r"\]\((shared-patterns/[a-z]+\.svg)\)", words)
    assert len(pictures) == 5 and all((tmp_path / name).read_bytes().startswith(b"<svg") for name in pictures)
    child = store.pattern_pairs(outcome.trained.test).iloc[0]
    assert f"{child['net']:.4f}" in words
    first = words, [(tmp_path / name).read_bytes() for name in pictures]
    write_report(store, outcome, SETTINGS, texts, tmp_path, "python -m workflows testbed --quick")
    assert first == (document.read_text(encoding="utf-8"), [(tmp_path / name).read_bytes() for name in pictures])


def test_a_model_from_elsewhere_that_cannot_be_opened_is_named_with_its_reason(made, tmp_path):
    data, _ = made
    (tmp_path / "broken.safetensors").write_bytes(b"no model")
    outcome = bed.testbed(data, replace(SETTINGS, others=(str(tmp_path / "broken.safetensors"),)))
    assert list(outcome.zoo.left_out) == ["broken.safetensors"] and outcome.zoo.others == ()


def test_shares_of_variance_are_medians_over_features():
    table = pd.DataFrame(
        {"feature": list("abab"), "factor": ["position"] * 2 + ["text"] * 2, "eta_squared": [0.8, 0.6, 0.1, 0.0]}
    ).assign(chance=0.05)
    found = shares_of_variance(table).set_index("factor")
    assert found.loc["position", "eta_squared"] == pytest.approx(0.7)
    assert found.loc["text", "excess"] == pytest.approx(0.025)
    assert json.loads(found.to_json())["features"] == {"position": 2, "text": 2}
