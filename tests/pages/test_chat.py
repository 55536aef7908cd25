"""The Chat page: any model or none, any URL, and real answers of the bundled starter."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow
import pytest

import engine.runners
from engine.runners import GenerationSettings
from engine.runners.embeddings import similarities
from storage.store import Store
from tests.pages.conftest import HOME
from workflows import library

PAGE = "pages/2_Chat.py"
PROMPT = 'The "with" statement'
STARTER = HOME.parent / "models" / "starter"
EXACT = {"temperature": "0", "top_k": "0", "top_p": "1", "max_new_tokens": "12"}


@pytest.fixture
def chat(open_page):
    """chat(**query parameters) -> the page with the starter, exact and short."""
    if not (STARTER / "model.safetensors").is_file():
        pytest.skip("the bundled checkpoint is not here")

    def open_(**parameters):
        app = open_page(PAGE, **({"model": "starter"} | EXACT | parameters))
        assert not app.exception, app.exception
        return app

    yield open_
    engine.runners.shared_models().release_all()


def say(app, words):
    app.chat_input(key="prompt").set_value(words).run()
    return finished(app)


def finished(app):
    for each in conversations(app):
        for turn in each.turns():
            assert turn.reply is None or turn.reply.wait(120)
    app.run()
    assert not app.exception, app.exception
    return app


def conversations(app):
    return list(app.session_state["conversations"].values())


def texts(app):
    return [turn.content for turn in conversations(app)[-1].path]


def press(app, key, *, ends=True):
    app.button(key=key).click().run()
    return finished(app) if ends else app


@pytest.fixture(scope="module")
def expected():
    """What the engine writes after a text, greedily."""
    runner = engine.runners.load(STARTER, "text-generation")

    def write(text, **options):
        settings = GenerationSettings(**({"max_new_tokens": 12, "temperature": 0, "top_k": 0} | options))
        return "".join(token.text for token in runner.stream(text, settings))

    return write


def test_an_empty_house_says_where_models_come_from(open_page, no_bundled_models, text_of):
    app = open_page(PAGE)
    assert not app.exception
    assert "Zoo" in text_of(app)


@pytest.mark.parametrize(
    "parameters",
    [
        {"model": "<script>", "task": "no such"},
        {"model": "starter", "task": "★", "other": "nobody", "temperature": "hot", "seed": "-1", "top_p": "7"},
        {"model": "starter", "task": "embeddings", "pooling": "?", "confidence": "maybe", "max_new_tokens": "1e9"},
    ],
)
def test_a_senseless_url_is_no_crash(open_page, parameters):
    assert not open_page(PAGE, **parameters).exception


def test_a_model_that_cannot_run_says_why_and_what_to_do(open_page, added, text_of):
    text = text_of(open_page(PAGE, model=added))
    assert "cannot run here" in text
    assert "config" in text


def test_the_page_loads_no_torch_before_a_model_is_asked():
    script = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(HOME)!r}, default_timeout=120)\n"
        "app.query_params['model'] = 'starter'\n"
        f"app = app.switch_page({PAGE!r}).run()\n"
        "assert not app.exception, app.exception\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=HOME.parent, capture_output=True, text=True, timeout=200
    )
    assert outcome.returncode == 0, outcome.stderr[-3000:]


def test_a_greedy_answer_is_the_text_that_the_engine_gives(chat, expected):
    app = say(chat(), PROMPT)
    assert texts(app) == [PROMPT, expected(PROMPT)]


def test_a_suggestion_answers_at_one_click(chat, expected):
    app = press(chat(), "suggestion-0")
    assert texts(app) == [PROMPT, expected(PROMPT)]


def test_without_colours_the_answer_is_plain_text_on_the_page(chat, expected):
    app = say(chat(confidence="false"), PROMPT)
    assert expected(PROMPT).strip() in [element.value.strip() for element in app.text]


def test_a_second_prompt_continues_the_whole_text(chat, expected):
    app = say(say(chat(), PROMPT), "A class")
    first = expected(PROMPT)
    assert texts(app) == [PROMPT, first, "A class", expected(f"{PROMPT}{first}\nA class")]


def test_a_sampled_answer_and_another_one_take_consecutive_seeds(chat, expected):
    app = say(chat(temperature="1", seed="7"), PROMPT)
    answer = conversations(app)[-1].path[-1]
    press(app, f"again-{answer.number}")
    assert [turn.content for turn in answer.variants] == [
        expected(PROMPT, temperature=1, seed=7),
        expected(PROMPT, temperature=1, seed=8),
    ]
    shown = conversations(app)[-1].path[-1]
    assert shown.place == 1
    press(app, f"earlier-{shown.number}")
    assert conversations(app)[-1].path[-1] is answer


def test_an_edited_question_is_answered_on_a_branch_and_the_old_one_comes_back(chat, expected):
    app = say(chat(), PROMPT)
    question = conversations(app)[-1].path[0]
    press(app, f"edit-{question.number}", ends=False)
    app.text_area(key=f"edited-{question.number}").set_value("A class").run()
    press(app, f"send-{question.number}")
    assert texts(app) == ["A class", expected("A class")]
    press(app, f"earlier-{conversations(app)[-1].path[0].number}")
    assert texts(app) == [PROMPT, expected(PROMPT)]


def test_a_cancelled_edit_changes_nothing(chat):
    app = say(chat(), PROMPT)
    before, question = texts(app), conversations(app)[-1].path[0]
    press(app, f"edit-{question.number}", ends=False)
    press(app, f"cancel-{question.number}", ends=False)
    assert texts(app) == before
    assert app.button(key=f"edit-{question.number}")


def test_stop_ends_the_thread_and_keeps_the_text(chat):
    app = chat(max_new_tokens="240")
    app.chat_input(key="prompt").set_value(PROMPT).run()
    answer = conversations(app)[-1].path[-1]
    assert app.chat_input(key="prompt").disabled
    app.button(key=f"stop-{answer.number}").click().run()
    finished(app)
    assert answer.reply.progress.finish == "stopped"
    assert not app.chat_input(key="prompt").disabled


def test_clear_forgets_the_conversation(chat):
    app = press(say(chat(), PROMPT), "clear")
    assert texts(app) == []
    assert app.button(key="suggestion-0")


def test_two_models_answer_one_prompt_each_as_if_alone(chat, expected):
    app = say(chat(other="starter-init"), PROMPT)
    answers = {each.path[1].reply.progress.task.model: each.path[1].content for each in conversations(app)}
    init = engine.runners.load(STARTER.parent / "starter-init", "text-generation")
    settings = GenerationSettings(max_new_tokens=12, temperature=0, top_k=0)
    assert answers == {
        "starter": expected(PROMPT),
        "starter-init": "".join(token.text for token in init.stream(PROMPT, settings)),
    }


def test_a_preset_turns_the_knobs(chat):
    app = chat()
    assert app.session_state["preset"] == "Exact"
    app.segmented_control(key="preset").set_value("Creative").run()
    preset = engine.runners.PRESETS["Creative"]
    assert app.slider(key="temperature").value == preset.temperature
    assert app.slider(key="repetition_penalty").value == preset.repetition_penalty


def test_nothing_is_kept_unless_asked_and_then_everything_is(chat, expected):
    app = say(chat(), PROMPT)
    assert Store().experiments() == []
    app.toggle(key="keep").set_value(True).run()
    say(app, "A class")
    (kept,) = Store().experiments("chat")
    assert kept.status == "done"
    assert kept.result["answer"] == texts(app)[-1]
    assert [each["content"] for each in kept.settings["messages"]] == texts(app)[:3]
    assert len(Store().metrics(kept.id)) == kept.result["tokens"] == 12


def test_a_prompt_longer_than_the_context_loses_its_beginning_and_says_so(chat, text_of):
    app = say(chat(), "The class statement. " * 200)
    progress = conversations(app)[-1].path[-1].reply.progress
    assert progress.num_cut > 0
    assert progress.num_prompt + 12 <= progress.facts.context == 256
    assert "had no room" in text_of(app)


def test_the_similarity_matrix_shows_the_numbers_of_the_engine(open_page, minilm_path):
    name = library.add_path(Store(), minilm_path.parent).name
    app = open_page(PAGE, model=name, task="embeddings")
    app.text_area(key="texts").set_value("a cat\n\n a kitten \nthe bank")
    next(button for button in app.button if button.label == "Compare").click().run()
    assert not app.exception
    (result,) = app.session_state["outcomes"].values()
    assert result.inputs["texts"] == ["a cat", "a kitten", "the bank"]
    runner = engine.runners.load(minilm_path.parent, "embeddings")
    wanted = similarities(runner.embed(["a cat", "a kitten", "the bank"]))
    np.testing.assert_allclose(similarities(result.value[1]), wanted, atol=1e-6)
    assert chart_numbers(app) == pytest.approx(wanted.reshape(-1).tolist(), abs=1e-6)


def chart_numbers(app):
    """The cosines that the drawn chart holds."""
    (chart,) = app.get("vega_lite_chart")
    data = chart.proto.datasets[0].data.data if chart.proto.datasets else chart.proto.data.data
    return pyarrow.ipc.open_stream(data).read_pandas()["cosine"].tolist()


def test_other_panels_answer_with_their_examples(open_page, tmp_path, minilm_path):
    """Tiny networks with random weights: the example of each panel runs and shows what the engine gives."""
    for folder, task, button, shown in tiny_models(tmp_path, minilm_path):
        name = library.add_path(Store(), folder).name
        app = open_page(PAGE, model=name, task=task)
        assert not app.exception, (task, app.exception)
        next(each for each in app.button if each.label == button).click().run()
        assert not app.exception, (task, app.exception)
        assert not app.error, (task, app.error[0].value)
        assert app.dataframe if shown == "dataframe" else app.get(shown), task
        value = app.session_state["outcomes"][name, task].value
        assert value, task


def tiny_models(folder, minilm_path):
    """(folder, task, button, element that must show) for each head."""
    import transformers as t

    tokenizer = t.AutoTokenizer.from_pretrained(minilm_path.parent)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    bert = t.BertConfig(vocab_size=len(tokenizer), **sizes)
    heads = [
        (t.BertForMaskedLM, "fill-mask", "Fill", "dataframe"),
        (t.BertForQuestionAnswering, "question-answering", "Answer", "html"),
        (t.BertForSequenceClassification, "classification", "Classify", "vega_lite_chart"),
        (t.BertModel, "zero-shot", "Sort", "vega_lite_chart"),
    ]
    for head, task, button, shown in heads:
        place = folder / f"tiny-{task}"
        head(bert).save_pretrained(place)
        tokenizer.save_pretrained(place)
        yield place, task, button, shown
    vit = t.ViTConfig(image_size=32, patch_size=16, num_labels=3, **sizes)
    t.ViTForImageClassification(vit).save_pretrained(folder / "tiny-vit")
    t.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "tiny-vit")
    yield folder / "tiny-vit", "image-classification", "Classify", "vega_lite_chart"


def test_an_onnx_graph_is_described_and_runs_on_what_is_filled_in(open_page, real_dir, text_of):
    pytest.importorskip("onnxruntime")
    name = library.add_path(Store(), real_dir / "silero-vad" / "silero_vad_16k_op15.onnx").name
    app = open_page(PAGE, model=name)
    assert not app.exception
    next(each for each in app.button if each.label == "Run").click().run()
    assert not app.exception
    assert not app.error, app.error[0].value
    outputs = app.session_state["outcomes"][name, "arrays"].value
    assert all(np.isfinite(each).all() for each in outputs.values())
    json.dumps(app.session_state["outcomes"][name, "arrays"].inputs)
