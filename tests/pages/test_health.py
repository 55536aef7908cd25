"""The Health look: the button before, findings after, and the way to their place."""

from workflows.health import examine


def test_a_model_that_nobody_examined_has_a_button(open_page, measured, text_of):
    app = open_page("pages/3_Heatmap.py", model=measured, look="Health")
    assert not app.exception
    assert "Nobody has looked" in text_of(app)
    assert app.button(key="examine").label == "Examine"


def test_findings_are_told_worst_first(open_page, measured, text_of):
    from ui.page import store

    examine(measured, store=store())
    app = open_page("pages/3_Heatmap.py", model=measured, look="Health")
    assert not app.exception
    assert "broken" in text_of(app)
    assert app.metric[0].label == "errors"
    assert int(app.metric[0].value) >= 1
    app = open_page("pages/3_Heatmap.py", model=measured, look="Health", severity="note")
    assert not app.exception
