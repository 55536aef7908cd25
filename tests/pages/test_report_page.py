"""The Report page, saved views in the sidebar and in the list, and the SQL page's parts."""

from __future__ import annotations

import pytest

from storage.sessions import ModelReference, SavedView
from storage.store import Store
from workflows.extract import extract
from workflows.sessions import views_file

EVIL = "<script>*x*](javascript:alert(1)) $y$"


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def a_view(store) -> SavedView:
    view = SavedView(
        "Mine", "Heatmap", {"model": ("starter",), "scale": ("rank",)}, {"model": ModelReference("starter")}, "why"
    )
    store.save_views([view])
    return store.saved_view("Mine")


def element(elements, key: str):
    return next(each for each in elements if each.key == key)


def texts(app) -> str:
    shown = (*app.markdown, *app.caption, *app.info, *app.success, *app.warning, *app.error)
    return "\n".join(str(each.value) for each in shown)


def save(app, name: str, note: str = ""):
    element(app.text_input, "saved_name").set_value(name)
    element(app.text_area, "saved_note").set_value(note)
    return next(button for button in app.button if button.label == "Save").click().run()


@pytest.mark.parametrize("page", ["3_Heatmap", "4_3D_Weights", "11_SQL", "12_Report"])
def test_a_looking_page_offers_to_save_its_view(open_page, page):
    app = open_page(f"pages/{page}.py")
    assert [button.label for button in app.button if button.label == "Save"] == ["Save"]


@pytest.mark.parametrize("page", [None, "pages/1_Zoo.py"])
def test_other_pages_do_not(open_page, page):
    assert not [button for button in open_page(page).button if button.label == "Save"]


def test_a_view_is_saved_with_all_that_is_set(open_page, store):
    app = save(open_page("pages/11_SQL.py", q="select 42 as n", result="Chart"), EVIL, "a *note*")
    assert not app.exception
    (view,) = store.saved_views()
    assert (view.name, view.note, view.page) == (EVIL, "a *note*", "SQL")
    assert view.parameters["q"] == ("select 42 as n",)
    assert "Saved as" in texts(app)


@pytest.mark.parametrize(("name", "words"), [("", "empty"), ("Mine", "already")])
def test_a_name_that_does_not_do_is_refused_with_words(open_page, store, a_view, name, words):
    app = save(open_page("pages/11_SQL.py"), name)
    assert words in texts(app)
    assert len(store.saved_views()) == 1


def test_without_views_the_list_says_how_to_save_one(open_page):
    app = open_page("pages/12_Report.py", part="Saved views")
    assert "No view is saved yet" in texts(app)


def test_a_view_is_opened_with_everything_and_nothing_else(open_page, a_view):
    app = open_page("pages/12_Report.py", part="Saved views")
    app.session_state["view"] = "0,1,0,1"
    element(app.button, "view-open-0").click().run()
    assert not app.exception
    assert "view" not in app.session_state or not app.session_state["view"]


def test_a_view_is_renamed_and_deleted(open_page, store, a_view):
    app = open_page("pages/12_Report.py", part="Saved views")
    element(app.text_input, "view-name-0-Mine").set_value("Yours")
    next(button for button in app.button if button.label == "Change").click().run()
    assert [view.name for view in store.saved_views()] == ["Yours"]
    element(app.button, "view-delete-0").click().run()
    assert store.saved_views() == []


def test_hostile_views_are_shown_as_text_and_missing_models_with_what_to_do(open_page, store):
    view = SavedView(EVIL, "Heatmap", {"model": (EVIL,)}, {"model": ModelReference(EVIL, "ab" * 32)}, EVIL)
    store.save_views([view])
    app = open_page("pages/12_Report.py", part="Saved views")
    assert not app.exception
    shown = texts(app)
    assert "](javascript" not in shown
    assert "is not here" in shown.replace("\\", "")
    assert "Zoo" in shown


def test_views_come_from_a_file_once(open_page, store, a_view):
    data = views_file([a_view, SavedView("Theirs", "SQL", {"q": ("select 1",)})])
    app = open_page("pages/12_Report.py", part="Saved views")
    app.file_uploader[0].set_value(("views.json", data, "application/json")).run()
    assert "Added 1 view." in texts(app)
    assert {view.name for view in store.saved_views()} == {"Mine", "Theirs"}
    app.file_uploader[0].set_value(("views.json", b"{}", "application/json")).run()
    assert "holds no saved views" in texts(app)


def test_a_public_deployment_keeps_views_in_the_tab_only(open_page, store, monkeypatch):
    monkeypatch.setenv("WEIGHTSCOPE_PUBLIC", "1")
    app = save(open_page("pages/11_SQL.py", q="select 1"), "Mine")
    assert store.saved_views() == []
    assert [view.name for view in app.session_state["visitor_views"]] == ["Mine"]
    assert str(store.folder) not in texts(app) + "".join(code.value for code in app.code)


def test_home_shows_the_latest_views(open_page, a_view):
    app = open_page()
    assert element(app.button, "latest-view-0").label == "**Mine**"


def test_a_report_is_made_shown_and_offered(open_page, store, a_view):
    extract("starter", store=store)
    app = open_page("pages/12_Report.py", model="starter")
    assert not app.exception
    element(app.multiselect, "views").select("Mine").run()
    next(button for button in app.button if button.label == "Make the report").click().run(timeout=120)
    assert not app.exception
    assert [each for each in texts(app).split("\n") if "could not" in each] == []
    made = app.session_state["made_report"]
    assert b"Mine" in made.page
    assert made.archive[:2] == b"PK"
    element(app.text_input, "title").set_value("Another").run()
    assert "make it again" in texts(app)


@pytest.mark.parametrize(
    "parameters", [{"sections": "nothing"}, {"views": "nothing"}, {"model": "nothing"}, {"part": "x"}, {"other": "x"}]
)
def test_a_bad_url_gives_a_working_page(open_page, parameters):
    assert not open_page("pages/12_Report.py", **parameters).exception


def test_without_models_the_report_page_says_what_to_do(open_page, no_bundled_models):
    app = open_page("pages/12_Report.py")
    assert not app.exception
    assert "Zoo" in texts(app)


def test_a_worked_query_is_one_click(open_page):
    app = open_page("pages/11_SQL.py")
    element(app.button, "worked-1").click().run()
    assert not app.exception
    assert "FROM model_stats" in element(app.text_area, "q").value
    assert len(app.dataframe) == 1


def test_a_table_opens_to_its_rows_and_shows_its_comments(open_page):
    app = open_page("pages/11_SQL.py")
    assert "content\\_hash" in texts(app)
    element(app.button, "look-schema_migration").click().run()
    assert element(app.text_area, "q").value == 'FROM "schema_migration"\nLIMIT 100'
    assert len(app.dataframe) == 1


def test_an_answer_is_drawn_with_what_was_picked(open_page):
    sql = "select i as layer, i * i as square, 'a' as name from range(5) t(i)"
    app = open_page("pages/11_SQL.py", q=sql, result="Chart")
    assert not app.exception
    assert [element(app.selectbox, key).value for key in ("chart", "x", "y", "by")] == [
        "lines",
        "layer",
        "square",
        "none",
    ]
    element(app.selectbox, "chart").select("points").run()
    assert not app.exception


@pytest.mark.parametrize(
    ("sql", "words"), [("select 'a' as b", "nothing to draw"), ("select 1 where false", "nothing to draw")]
)
def test_an_answer_without_numbers_says_so(open_page, sql, words):
    assert words in texts(open_page("pages/11_SQL.py", q=sql, result="Chart"))


def test_columns_in_the_url_that_the_answer_lacks_are_replaced(open_page):
    sql = "select i, -i as j from range(5) t(i)"
    app = open_page("pages/11_SQL.py", q=sql, result="Chart", x="nothing", chart="x", by="?")
    assert not app.exception
    assert element(app.selectbox, "x").value == "i"
