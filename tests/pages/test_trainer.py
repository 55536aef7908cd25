"""The trainer's page: nothing trained yet, a request that makes no sense, a run that ended well, one that did not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.training.footprint import num_parameters
from engine.training.presets import PRESETS
from storage.store import Store
from tests.pages.training_rows import HOSTILE, STEPS, TENSOR, remember
from ui.markdown import escape_markdown
from workflows import training_estimate
from workflows.wording import count_text

PAGE = "pages/7_Self-Play_Trainer.py"
LOOKS = ("Progress", "Weights", "Samples", "Self-play", "Try it", "Checkpoints", "Details")


@pytest.fixture(autouse=True)
def _known_speed(monkeypatch):
    """As if the two seconds of trying were over: no process of torch's starts here."""
    known = {"tokens_per_s": 1000.0, "iteration_s": 2.0, "device": "cpu", "precision": "fp32"}
    monkeypatch.setattr(training_estimate, "speed", lambda shape, training, self_play: known)


def button(app, label):
    return next(each for each in app.button if each.label == label)


def jobs():
    from ui.job_panel import jobs as known

    return known().all()


def test_an_empty_house_explains_itself_and_offers_presets(open_page, text_of):
    app = open_page(PAGE)
    assert not app.exception
    text = text_of(app)
    assert "Nothing was trained here yet" in text
    assert all(f"**{name}**" in text for name in ("quick", "standard", "quality"))
    assert sum(each.label == "Train it now" for each in app.button) == 3


def test_setting_up_a_preset_leads_to_the_form_with_its_numbers(open_page):
    app = open_page(PAGE)
    app.button(key="set-standard").click().run()
    assert not app.exception
    assert app.segmented_control(key="preset").value == "standard"
    assert app.number_input(key="layers").value == PRESETS["standard"].model.layers
    app.segmented_control(key="preset").set_value("quick").run()
    assert app.number_input(key="layers").value == PRESETS["quick"].model.layers
    assert app.number_input(key="train_steps").value == PRESETS["quick"].training.steps


def test_a_link_carries_the_whole_form(open_page):
    app = open_page(PAGE, show="New model", name="abc", width="64", train_steps="33", play="true", reward_length="2.5")
    assert not app.exception
    assert app.text_input(key="name").value == "abc"
    assert app.number_input(key="width").value == 64
    assert app.number_input(key="train_steps").value == 33
    assert app.slider(key="reward_length").value == 2.5


def test_the_cost_is_there_before_anything_is_made(open_page, text_of):
    app = open_page(PAGE, show="New model", train_steps="100", train_batch_size="10", context="256")
    metrics = {metric.label: metric.value for metric in app.metric}
    assert metrics["parameters"] == count_text(num_parameters(replace(PRESETS["quick"].model, context=256)))
    assert {"memory", "disk"} <= metrics.keys()
    assert "**256 k tokens**" in text_of(app)
    for _ in range(40):
        app.run()
        if "about **" in text_of(app):
            break
    assert "about **4 min 16 s**" in text_of(app)
    assert jobs() == []


def test_without_text_there_is_nothing_to_train(open_page, text_of):
    app = open_page(PAGE, show="New model")
    app.multiselect(key="text").set_value([]).run()
    assert not app.exception
    assert "no text to learn from" in text_of(app)
    assert app.button(key="train").disabled


def test_a_shape_that_no_model_has_says_what_would_do(open_page, text_of):
    app = open_page(PAGE, show="New model", width="100", heads="6")
    assert not app.exception
    assert "cannot be shared by 6 heads" in text_of(app)
    assert app.button(key="train").disabled


def test_a_taken_name_is_said_and_nothing_is_started(open_page, text_of):
    app = open_page(PAGE, show="New model", name="starter")
    app.button(key="train").click().run()
    assert not app.exception
    assert "starter" in text_of(app)
    assert any("already" in error.value for error in app.error)
    assert jobs() == []


def test_a_broken_file_is_an_error_and_never_text(open_page):
    app = open_page(PAGE, show="New model")
    app.file_uploader[0].set_value([("broken.pdf", b"%PDF-1.4 not really", "application/pdf")]).run()
    assert not app.exception
    assert any("broken" in error.value for error in app.error)
    assert app.multiselect(key="text").value == ["Python language reference"]


def test_an_upload_takes_the_place_of_the_default_text_and_shows_its_encoding(open_page, text_of):
    words = "Жил-был старый король, и было у него три сына и одна дочь. " * 400
    app = open_page(PAGE, show="New model")
    app.file_uploader[0].set_value([("tale.txt", words.encode("cp1251"), "text/plain")]).run()
    assert not app.exception
    assert app.multiselect(key="text").value == ["tale.txt"]
    assert "cp1251" in text_of(app).replace("\\", "")


def test_a_data_set_of_the_hub_is_one_word_that_says_it_all(open_page, text_of):
    from ui.trainer.text_words import choice_of, hub_label

    label = hub_label(" owner/name ", "train", "the text", 500)
    assert label == "hub:owner/name?split=train&column=the%20text&documents=500"
    choice = choice_of(label, 2.0, {})
    assert (choice.source, choice.split, choice.column) == ("hub:owner/name", "train", "the text")
    assert (choice.documents, choice.weight) == (500, 2.0)
    app = open_page(PAGE, show="New model", text=label)
    assert not app.exception
    assert "at most 500 documents" in text_of(app)


def test_a_text_that_is_gone_is_said(open_page, text_of):
    app = open_page(PAGE, show="New model", text="lost.txt")
    assert not app.exception
    assert any("lost" in error.value for error in app.error)
    assert app.button(key="train").disabled


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_at_a_finished_run_is_drawn_from_the_database_alone_and_no_text_is_markup(look, open_page, text_of):
    app = open_page(PAGE, run=remember(), show=look)
    assert not app.exception
    assert not app.error
    assert app.segmented_control(key="show").value == look
    text = text_of(app)
    if look in ("Progress", "Self-play", "Details"):
        assert HOSTILE not in text
        assert escape_markdown(HOSTILE) in text
    if look == "Samples":
        html = "".join(element.proto.body for element in app.get("html"))
        assert "<script>" not in html
        assert "&lt;script&gt;alert(6)&lt;/script&gt;" in html
    metrics = {metric.label: metric.value for metric in app.metric}  # of the head, above every look
    assert metrics["held-out bits a byte"] == "2.125"
    assert metrics["held-out perplexity"] == "12.2"
    assert metrics["step"] == "10 / 10"
    assert "done" in text


def test_a_run_that_failed_says_why_and_what_can_be_done(open_page, text_of):
    app = open_page(PAGE, run=remember(status="failed", message="The disk is full.", is_playing=False))
    assert not app.exception
    assert any("The disk is full" in error.value.replace("\\", "") for error in app.error)
    assert any(each.label == "Delete …" for each in app.button)


def test_a_link_to_a_run_that_is_gone_is_explained(open_page):
    app = open_page(PAGE, run="'; drop table metric")
    assert not app.exception
    assert any("no training" in error.value for error in app.error)
    assert button(app, "All runs")


def test_runs_are_cards_that_open(open_page, text_of):
    run_id = remember()
    remember("20260102T000001Z-train-00000002", "other", status="failed", message="No.")
    app = open_page(PAGE)
    assert {"Open"} <= {each.label for each in app.button}
    assert "**2.125** bits a byte" in text_of(app)
    app.button(key=f"open-{run_id}").click().run()
    assert not app.exception
    assert app.query_params["run"] == run_id


def test_deleting_a_run_asks_first(open_page, text_of):
    run_id = remember()
    app = open_page(PAGE, run=run_id)
    button(app, "Delete …").click().run()
    assert "history of its training" in text_of(app)
    assert Store().experiments("training")
    app.button(key="confirm-delete").click().run()
    assert not app.exception
    assert Store().experiments("training") == []


def test_a_public_deployment_says_that_nothing_is_trained(open_page, text_of, monkeypatch):
    monkeypatch.setenv("WEIGHTSCOPE_PUBLIC", "1")
    for look in ("Runs", "New model"):
        app = open_page(PAGE, show=look)
        assert not app.exception
        assert "nothing can be trained here" in text_of(app)
        assert not any(each.label in ("Train", "Train it now", "New model") for each in app.button)
    assert not any(each.label == "Delete …" for each in open_page(PAGE, run=remember()).button)


def test_two_checkpoints_are_compared_by_their_last_numbers():
    from ui.trainer.checkpoints_view import metrics_table, weights_table

    run_id = remember()
    table = metrics_table(Store().metrics(run_id), 3, STEPS).set_index("number")
    assert table.loc["held-out loss, nats a token", ["A", "B", "change"]].tolist() == [5.5, 2.5, -3.0]
    assert table.loc["training loss, nats a token", "A"] == 5.0
    assert "reward" not in table.index
    weights = weights_table(Store().checkpoint_stats(run_id, "std"), 0, STEPS)
    assert weights[["A", "B", "B ÷ A"]].values.tolist() == [pytest.approx([0.02, 6.02, 301.0])]


def test_a_radar_compares_both_ends_over_each_parts_own_range():
    from engine.training.rewards import PARTS
    from ui.trainer.self_play_view import reward_sides

    low, high = PARTS["repetition"].lowest, PARTS["repetition"].highest
    rows = [(step, "reward/repetition", value) for step, value in enumerate((low, low, high, high))]
    rows += [(step, f"reward/{part}", 0.5) for step in range(4) for part in ("coherence", "diversity")]
    history = pd.DataFrame(rows, columns=["step", "name", "value"])
    assert reward_sides(history) == {}  # parts without numbers
    rows += [(step, f"reward/{part}", 0.25) for step in range(4) for part in ("length", "naturalness", "vocabulary")]
    sides = reward_sides(pd.DataFrame(rows, columns=["step", "name", "value"]))
    assert sides["before"]["No repetition"] == 0.0
    assert sides["after"]["No repetition"] == 1.0
    assert sides["after"]["Length"] == 0.25


def test_weights_are_shown_step_by_step_under_one_scale(open_page):
    from ui.trainer.weights_view import _pictures

    run_id = remember()
    steps, pictures = _pictures("", run_id, TENSOR, (0, 3, 6))
    assert steps == [0, 3, 6]
    assert len({*pictures}) == 3  # equal grids but for their size: one scale tells them apart
    assert np.all([picture.startswith(b"\x89PNG") for picture in pictures])
