"""The Zoo: shelves, filters in the URL, model pages, downloads and inspection with a token that stays secret."""

import subprocess
import sys

import pytest

from storage.store import Store
from ui.job_panel import jobs
from workflows import deployment, job_kinds, library
from workflows.catalogue import catalogue
from workflows.job_kinds import JobKind

ZOO = "pages/1_Zoo.py"
TOKEN = "hf_aVerySecretToken"


def cards(app):
    return {button.key.removeprefix("open-") for button in app.button if (button.key or "").startswith("open-")}


def test_the_catalogue_shows_every_model_with_its_licence_and_memory(open_page, text_of):
    app = open_page(ZOO)
    assert not app.exception
    assert cards(app) == {entry.id for entry in catalogue()}
    text = text_of(app)
    assert "Apache\\-2\\.0" in text and "to run" in text and "tier 1" in text


def test_filters_come_from_the_url_and_combine(open_page):
    app = open_page(ZOO, specialities="biology", rooms="CPU")
    found = cards(app)
    assert {"esm2-8m", "dnabert-2", "biogpt"} <= found and "evo-1" not in found
    app.pills(key="tiers").set_value(["1"]).run()
    assert cards(app) == {"esm2-8m", "dnabert-2"}
    app.text_input(key="search").set_value("dna").run()
    assert cards(app) == {"dnabert-2"}
    app.button(key="clear_filters").click().run()
    assert len(cards(app)) == len(catalogue())


def test_filters_that_let_nothing_pass_say_what_to_do(open_page, text_of):
    app = open_page(ZOO, search="no such model anywhere")
    assert not cards(app)
    assert "Take one away" in text_of(app)


@pytest.mark.parametrize("key", ["shelf", "specialities", "tiers", "rooms", "states", "tasks", "sort_by", "section"])
def test_senseless_filters_in_a_url_are_no_filters(open_page, key):
    app = open_page(ZOO, **{key: "<b>'; drop"})
    assert not app.exception
    assert len(cards(app)) == len(catalogue())


def test_the_shelves_hold_what_their_names_say(open_page, added, text_of):
    here, mine = open_page(ZOO, shelf="Here"), open_page(ZOO, shelf="Added by me")
    assert {"model-starter", f"model-{added}"} <= cards(here)
    assert cards(mine) == {f"model-{added}"}
    assert "Nothing was trained here yet" in text_of(open_page(ZOO, shelf="Trained here"))
    machine = open_page(ZOO, shelf="This machine")
    assert {"Processors", "Memory", "Disk"} <= {metric.label for metric in machine.metric}
    assert machine.button(key=f"machine-delete-{added}")


def test_a_card_opens_and_closes_and_lives_in_the_url(open_page, added, text_of):
    app = open_page(ZOO, shelf="Here")
    app.button(key=f"open-model-{added}").click().run()
    assert app.query_params["card"] == added
    assert not app.exception and "There is no README" in text_of(app)
    app.button(key="back").click().run()
    assert "card" not in app.query_params
    assert f"model-{added}" in cards(app)


@pytest.mark.parametrize("section", ["Card", "Will it fit?", "Config", "Tensors", "Tokenizer", "Files"])
def test_every_section_of_a_model_page_is_a_deep_link(open_page, section, text_of):
    app = open_page(ZOO, card="starter", section=section)
    assert not app.exception and not app.error
    shown = {
        "Card": "Licence",
        "Will it fit?": "This machine's memory",
        "Config": "config.json",
        "Tensors": "Layers of equal structure",
        "Tokenizer": "chat template",
        "Files": "files,",
    }
    assert shown[section] in text_of(app)


def test_the_tensor_outline_folds_layers_and_escapes_names(open_page, added):
    app = open_page(ZOO, card=added, section="Tensors")
    outline = app.html[0].value
    assert "0 … 1" in outline and "× 2" in outline
    assert "<b>*odd*" not in outline and "&lt;b&gt;*odd*" in outline


def test_a_card_of_the_catalogue_says_whether_it_fits_before_it_is_here(open_page, text_of):
    app = open_page(ZOO, card="deepseek-r1")
    text = text_of(app)
    assert "does not fit" in text and "times all there is" in text
    app.segmented_control(key="fit_use").set_value("train").run()
    assert not app.exception
    assert "Gradients" in app.dataframe[0].value["part"].tolist()


@pytest.mark.parametrize("name", ["nobody", "<script>alert(1)</script>", "../../etc/passwd", "x" * 500])
def test_a_card_that_does_not_exist_is_said(open_page, name, text_of):
    app = open_page(ZOO, card=name)
    assert not app.exception
    assert "There is no model" in text_of(app)
    assert "<script>" not in text_of(app)


def test_a_hostile_card_is_shown_without_images_or_markup(open_page, checkpoint, text_of):
    (checkpoint.parent / "README.md").write_text(
        "---\nlicense: mit\ntags: ['<img src=x>']\n---\n# Hi <script>alert(1)</script>\n"
        "![spy](https://evil.example/pixel.png) [file](file:///etc/passwd)"
    )
    name = library.add_path(Store(), checkpoint.parent).name
    text = text_of(open_page(ZOO, card=name))
    assert "### Hi" in text and "mit" in text
    assert (
        "![" not in text and "<script" not in text and "file:///" not in text and "<img" not in text.replace(r"\<", "")
    )


@pytest.fixture
def download_kind(monkeypatch):
    """Downloads whose process ends at once, so that the way to it can be tested without a hub."""
    asked = []
    monkeypatch.setattr("workflows.jobs.spawn", lambda run, command, secrets=None: asked.append((run, secrets)))
    if "download" not in job_kinds.KINDS:
        kind = JobKind(check=dict, subject=lambda a: a["model"], command=lambda _: [], title=lambda a: a["model"])
        monkeypatch.setitem(job_kinds.KINDS, "download", kind)
    return asked


def test_download_starts_a_job_with_owner_name_and_revision(open_page, download_kind):
    app = open_page(ZOO)
    app.button(key="download-minilm-l6").click().run()
    assert not app.exception
    (job,) = jobs().all()
    assert job.kind == "download" and job.arguments["model"] == "sentence-transformers/all-MiniLM-L6-v2"
    app.text_input(key="hub_name").set_value("owner/other@v1")
    app.button(key="download-any").click().run()
    assert ("owner/other", "v1") in {(job.arguments["model"], job.arguments["revision"]) for job in jobs().all()}


def test_a_download_under_way_shows_on_the_card_and_in_the_filter(open_page, download_kind, text_of):
    jobs().start("download", {"model": "sentence-transformers/all-MiniLM-L6-v2", "revision": "main"})
    app = open_page(ZOO, states="downloading")
    assert cards(app) == {"minilm-l6"}
    assert "download-minilm-l6" not in {button.key for button in app.button}


def test_a_token_reaches_the_download_and_nothing_that_is_written_or_shown(open_page, download_kind, text_of):
    app = open_page(ZOO)
    app.text_input(key="hub_token_box").set_value(TOKEN).run()
    assert "hub_token_box" not in {box.key for box in app.text_input}
    app.button(key="download-minilm-l6").click().run()
    ((_, secrets),) = download_kind
    assert secrets == {"HF_TOKEN": TOKEN}
    Store().locations()
    assert not [p for p in Store().folder.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    assert TOKEN not in text_of(app) and TOKEN not in str(app.query_params)
    app.button(key="forget_token").click().run()
    assert app.text_input(key="hub_token_box").value == ""


def test_a_name_that_is_none_is_refused_with_a_reason(open_page, hub_settings, text_of):
    app = open_page(ZOO)
    app.text_input(key="hub_name").set_value("not a name")
    app.button(key="inspect-any").click().run()
    assert not app.exception
    assert "is no name of a model" in text_of(app)


def test_a_model_on_the_hub_is_inspected_and_its_page_read_without_a_download(
    open_page, hub_model, hub_settings, text_of
):
    app = open_page(ZOO)
    app.text_input(key="hub_name").set_value(hub_model.name)
    app.button(key="inspect-any").click().run()
    assert not app.exception
    (known,) = [known for known in library.locations(Store()) if known.uri == hub_model.uri]
    page = open_page(ZOO, card=known.name)
    assert not page.exception
    assert "### Tiny" in text_of(page) or hub_model.server is None
    files = open_page(ZOO, card=known.name, section="Files").dataframe[0].value
    assert "model.safetensors" in files["file"].tolist()
    assert not list(hub_settings.rglob("*.safetensors"))


def test_a_public_zoo_offers_nothing_that_it_would_refuse(open_page, measured, monkeypatch, text_of):
    monkeypatch.setenv(deployment.SWITCH, "1")
    for shelf in ("Catalogue", "Here", "This machine"):
        app = open_page(ZOO, shelf=shelf)
        assert not app.exception
        keys = {button.key or "" for button in app.button}
        assert not [key for key in keys if "delete" in key or "download" in key or "forget" in key]
        assert not {"add_path", "scan_folder", "hub_name"} & {box.key for box in app.text_input}
        assert "This is a public Weightscope" in str(app.expander) or "public" in text_of(app)


def test_the_zoo_loads_neither_torch_nor_transformers():
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        "app = AppTest.from_file('Home.py', default_timeout=60).switch_page('pages/1_Zoo.py').run(); "
        "assert not app.exception, app.exception; "
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_context_chosen_for_one_model_does_not_break_the_page_of_another(open_page):
    app = open_page(ZOO, card="deepseek-r1")
    app.select_slider(key="fit_tokens_131072").set_value(131072).run()
    app.query_params["card"] = "minilm-l6"
    app.run()
    assert not app.exception
    assert app.select_slider(key="fit_tokens_512").value == 512
