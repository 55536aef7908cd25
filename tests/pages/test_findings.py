"""Discovery's findings and library: offers before, pictures after, hostile names, bad URLs."""

from tests.workflows.discovery_made import folder_of
from workflows.batch import BatchRequest, batch
from workflows.library import add_path
from workflows.pattern_library import candidates, keep
from workflows.suggestions import suggest

PAGE = "pages/6_Discovery.py"


def test_a_model_that_nobody_looked_at_is_offered_the_job(open_page, measured, text_of):
    app = open_page(PAGE, look="Findings", model=measured)
    assert not app.exception and "never trained" in text_of(app)
    assert app.button(key="start-forensics").label == "Read the mantissas"
    app = open_page(PAGE, look="Findings", model=measured, finding="Suggestions")
    assert not app.exception and app.button(key="start-suggest").label == "Look for ideas"


def test_what_was_found_is_drawn_told_and_kept(open_page, tmp_path, write_safetensors, text_of):
    from ui.page import store

    name = add_path(store(), folder_of(tmp_path / "small", write_safetensors)).name
    suggest(name, store=store())
    app = open_page(PAGE, look="Findings", model=name, finding="nonsense")
    assert not app.exception, app.exception
    assert "at most 16 tokens" in text_of(app) and app.metric[2].value == "16 tokens"
    app = open_page(PAGE, look="Findings", model=name, finding="Suggestions")
    assert not app.exception, app.exception
    assert "Entropy-code the exponents" in text_of(app)
    app.button(key="keep-exponent_coding").click().run()
    assert not app.exception and [pattern.name for pattern in store().patterns()] == ["exponent_coding"]


def test_the_empty_library_says_how_to_fill_it(open_page, text_of):
    app = open_page(PAGE, look="Library", library="nonsense")
    assert not app.exception and "Nothing is kept yet" in text_of(app)
    for look in ("Batches", "Exchange", "A model against it"):
        app = open_page(PAGE, look="Library", library=look)
        assert not app.exception, (look, app.exception)


def test_a_full_library_shows_patterns_matches_and_batches(open_page, measured, text_of):
    from ui.page import store
    from workflows.health import examine

    examine(measured, store=store())
    pattern = candidates(store(), measured)[0]
    keep(store(), pattern, "see [this](http://x) *now*")
    batch(BatchRequest((measured,), steps=("measure",)), store=store())
    app = open_page(PAGE, look="Library", kind="nonsense")
    assert not app.exception and "see \\[this\\]" in text_of(app)
    app = open_page(PAGE, look="Library", library="A model against it", model=measured)
    assert not app.exception and "Not looked at yet" in text_of(app)
    app = open_page(PAGE, look="Library", library="Batches")
    assert not app.exception and "1 done" in text_of(app)
