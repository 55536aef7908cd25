"""Data sets of a hub: streamed, checked, refused with a reason, and no code of theirs run."""

from __future__ import annotations

import io
import json

import pyarrow
import pyarrow.parquet
import pytest

from engine.errors import AccessDeniedError, HubError, TrainingError
from engine.training.corpora import hub_data_set
from engine.training.corpora.hub_data_set import DataSetName, hub_documents

NAME = "weightscope/stories"


@pytest.fixture
def hub(hub_server, monkeypatch, tmp_path):
    """The local hub, where `datasets` too will look; it read the environment when it was imported."""
    import datasets.config
    from huggingface_hub import constants

    template = hub_server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub_server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub_server.endpoint)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "data-sets")
    monkeypatch.setattr(datasets.config, "STREAMING_READ_MAX_RETRIES", 1)
    return hub_server


def lines(texts, **more) -> str:
    return "".join(json.dumps({"id": number, "text": text} | more) + "\n" for number, text in enumerate(texts))


def parquet(**columns) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def texts_of(*args, **kwargs) -> list[str]:
    return [document.text for document in hub_documents(*args, **kwargs)]


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("train.jsonl", lines(["One text.", "Two texts."])),
        ("data/train-00000-of-00001.parquet", parquet(id=[1, 2], text=["One text.", "Two texts."])),
        ("train.csv", "id,text\n1,One text.\n2,Two texts.\n"),
        ("train.txt", "One text.\nTwo texts.\n"),
    ],
)
def test_texts_come_row_by_row_from_files_of_every_kind(hub, file, data):
    hub.add(f"datasets/{NAME}", {file: data, "README.md": "# Stories\n"})
    documents = list(hub_documents(NAME))
    assert [document.text for document in documents] == ["One text.", "Two texts."]
    assert [document.name for document in documents] == [f"{NAME} 1", f"{NAME} 2"]


def test_split_revision_column_and_limit_are_kept_to(hub):
    files = {"train.jsonl": lines(["a b"] * 9), "test.jsonl": lines(["test one", "", "test two"])}
    hub.add(f"datasets/{NAME}", {"train.jsonl": lines(["old text"])})
    old = hub.add(f"datasets/{NAME}", {"train.jsonl": lines(["older text"])}, revision="v0")
    hub.add(f"datasets/{NAME}", files)
    assert texts_of(NAME, "test") == ["test one", "test two"]
    titled = lines(["text"] * 3, title="a title")
    hub.add("datasets/weightscope/titled", {"train.jsonl": titled})
    assert texts_of("weightscope/titled", "", "title", 2) == ["a title"] * 2
    assert texts_of(NAME, limit=4) == ["a b"] * 4
    assert texts_of(f"{NAME}@v0") == texts_of(f"{NAME}@{old}") == ["older text"]


def test_a_configuration_is_the_third_part_of_the_name(hub):
    configs = "".join(f"- config_name: {size}\n  data_files: {size}.jsonl\n" for size in ("small", "large"))
    card = f"---\nconfigs:\n{configs}---\n"
    files = {"README.md": card, "small.jsonl": lines(["small text"]), "large.jsonl": lines(["large text"])}
    hub.add(f"datasets/{NAME}", files)
    assert texts_of(f"{NAME}/large") == ["large text"]
    with pytest.raises(TrainingError, match="small"):
        texts_of(NAME)


def test_only_what_is_read_is_fetched(hub):
    files = {f"train-{part}.jsonl": lines([f"text of part {part} " * 50] * 2000) for part in range(4)}
    hub.add(f"datasets/{NAME}", files)
    assert len(texts_of(NAME, limit=3)) == 3
    assert hub.served_bytes("train-3.jsonl") == 0


def test_no_more_text_is_taken_than_the_limit(hub, monkeypatch):
    monkeypatch.setattr(hub_data_set, "MAX_HUB_BYTES", 1000)
    hub.add(f"datasets/{NAME}", {"train.jsonl": lines(["word " * 30] * 50)})
    assert len(texts_of(NAME)) == 6


def test_a_missing_data_set_split_or_column_is_named(hub):
    hub.add(f"datasets/{NAME}", {"train.jsonl": lines(["some text"])})
    with pytest.raises(TrainingError, match="no data set weightscope/nothing"):
        texts_of("weightscope/nothing")
    with pytest.raises(TrainingError, match="no data set"):
        texts_of(f"{NAME}@nowhere")
    with pytest.raises(TrainingError, match="other"):
        texts_of(NAME, "other")
    with pytest.raises(TrainingError, match="no column 'body'") as caught:
        texts_of(NAME, column="body")
    assert "'text'" in caught.value.hint


def test_a_data_set_without_text_is_refused(hub):
    hub.add(f"datasets/{NAME}", {"train.parquet": parquet(a=[1, 2], b=[0.5, 0.25])})
    with pytest.raises(TrainingError, match="No column"):
        texts_of(NAME)
    hub.add("datasets/weightscope/pictures", {"README.md": "# nothing"})
    with pytest.raises(TrainingError, match="cannot be read"):
        texts_of("weightscope/pictures")


def test_no_code_of_a_data_set_is_run(hub, tmp_path):
    script = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    hub.add(f"datasets/{NAME}", {"stories.py": script})
    with pytest.raises(TrainingError, match="script"):
        texts_of(NAME)
    assert not (tmp_path / "ran").exists()


def test_a_private_data_set_needs_its_token_which_is_kept_nowhere(hub, tmp_path):
    hub.add(f"datasets/{NAME}", {"train.jsonl": lines(["secret text"])}, private=True, token="hf_right")
    with pytest.raises(TrainingError, match="private"):
        texts_of(NAME)
    with pytest.raises((TrainingError, AccessDeniedError)):
        texts_of(NAME, token="hf_wrong")
    assert texts_of(NAME, token="hf_right") == ["secret text"]
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hf_right" not in path.read_bytes()


def test_a_gated_data_set_says_that_terms_must_be_accepted(hub):
    hub.add(f"datasets/{NAME}", {"train.jsonl": lines(["text"])}, gated=True, token="hf_right")
    with pytest.raises(AccessDeniedError, match="gated"):
        texts_of(NAME)
    assert texts_of(NAME, token="hf_right") == ["text"]


def test_a_hub_that_cannot_be_reached_says_so(hub, monkeypatch):
    from huggingface_hub.utils import _http

    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)  # it tries again for 20 s
    hub.add(f"datasets/{NAME}", {"train.jsonl": lines(["text"])})
    hub.close()
    with pytest.raises((HubError, TrainingError), match=NAME):
        texts_of(NAME)


@pytest.mark.parametrize(
    "name", ["", "stories", "a/b/c/d", "../etc/passwd", "a/..", "a/b@", "/a/b", "a b/c", "http://a/b"]
)
def test_a_name_that_is_none_is_refused_before_anything_is_asked(name):
    with pytest.raises(TrainingError, match="no name of a data set"):
        DataSetName.parse(name)


def test_names_have_a_configuration_and_a_revision():
    assert DataSetName.parse("a/b") == DataSetName("a/b")
    assert DataSetName.parse("hub:a/b/c@v1.0") == DataSetName("a/b", "c", "v1.0")
    assert str(DataSetName.parse("hf://datasets/a/b/c@v1.0")) == "a/b/c@v1.0"
