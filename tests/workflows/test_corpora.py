"""Uploaded texts are kept whole or not at all, and a training gets all it asked for or a reason why not."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import NotAllowedError, TrainingError
from engine.training.corpus import Document
from engine.training.settings import CorpusChoice
from workflows import corpora as module
from workflows.corpora import CorpusLibrary, gather

RUSSIAN = "Привет, как дела? Это русский текст, который надо прочитать правильно. Анна смотрела на снег."


@pytest.fixture
def library(tmp_path):
    return CorpusLibrary(tmp_path / "corpora")


def add(library, name="a.txt", data=b"Some text.", column=""):
    return library.add(name, io.BytesIO(data), column)


def test_an_upload_is_kept_with_what_is_known_of_it(library):
    data = RUSSIAN.encode("cp1251")
    kept = add(library, "C:\\texts\\snow.txt", data)
    assert (kept.name, kept.format, kept.encoding) == ("snow.txt", "txt", "cp1251")
    assert (kept.num_documents, kept.num_bytes) == (1, len(RUSSIAN.encode()))
    assert kept.sha256 == hashlib.sha256(data).hexdigest()
    assert kept.added_at.endswith("+00:00")
    again = CorpusLibrary(library.folder)
    assert again.list() == [kept]
    assert again.read(kept.id) == (Document("snow.txt", RUSSIAN),)


def test_the_same_bytes_are_kept_once_and_another_column_apart(library):
    data = b"title,text\nfirst title here,first text of words\nother title here,other text of words\n"
    first = add(library, "a.csv", data)
    assert add(library, "renamed.csv", data) == first
    second = add(library, "a.csv", data, "title")
    assert {one.id for one in library.list()} == {first.id, second.id}
    assert library.read(second.id)[0].text == "first title here"


def test_documents_with_every_kind_of_line_end_come_back_as_they_were(library):
    texts = ["one\u2028two\u0085three\x0bfour\x0cfive", "next \ufffd", 'quotes " and \\ and \U0001f600']
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    kept = add(library, "a.jsonl", lines.encode())
    assert [document.text for document in library.read(kept.id)] == texts


def test_what_cannot_be_extracted_leaves_nothing(library):
    for name, data in (("a.txt", bytes(range(256)) * 9), ("a.pdf", b"no pdf"), ("a.exe", b"MZ"), ("a.txt", b"")):
        with pytest.raises(TrainingError):
            add(library, name, data)
    assert not library.folder.exists() or not list(library.folder.iterdir())
    assert library.list() == []


def test_an_upload_that_is_killed_while_it_is_written_is_not_in_the_list(library, monkeypatch):
    def killed(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            add(library)
    assert library.list() == []
    assert list(library.folder.iterdir()) == []
    assert add(library) == library.list()[0]


def test_a_full_disk_is_said_so(library, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match="No space left"):
        add(library)
    assert list(library.folder.iterdir()) == []


def test_leftovers_of_a_day_ago_are_swept_and_younger_ones_stay(library):
    old, young = library.folder / ".incoming-0", library.folder / ".incoming-1"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    add(library)
    assert not old.exists()
    assert young.exists()
    assert len(library.list()) == 1


def test_a_removed_text_is_gone_and_removing_again_does_nothing(library):
    kept = add(library)
    library.remove(kept.id)
    library.remove(kept.id)
    assert library.list() == []
    assert list(library.folder.iterdir()) == []
    with pytest.raises(TrainingError, match="no uploaded text"):
        library.read(kept.id)


@pytest.mark.parametrize("key", ["", "..", "../../etc", "0" * 15, "G" * 16, "0" * 16 + "/.."])
def test_an_id_is_never_a_path(library, key):
    for ask in (library.read, library.remove, library.entry):
        with pytest.raises(TrainingError, match="no id"):
            ask(key)


def test_a_damaged_text_is_refused_and_does_not_hide_the_others(library):
    kept, other = add(library), add(library, "b.txt", b"Other text.")
    text = library.folder / kept.id / "documents.jsonl"
    for damage in (text.read_text()[:-9], "", '["a.txt", "Another text."]\n', "[1\n"):
        text.write_text(damage)
        with pytest.raises(TrainingError, match="damaged"):
            library.read(kept.id)
    (library.folder / kept.id / "corpus.json").write_text("{")
    assert library.list() == [other]
    assert add(library).id == kept.id
    assert library.read(kept.id)[0].text == "Some text."


def test_a_choice_of_every_kind_gives_its_documents_with_its_weight(library, tmp_path):
    kept = add(library, "a.jsonl", b'{"text": "one text"}\n{"text": "two text"}\n')
    (tmp_path / "b.txt").write_text("A text by its path.", encoding="utf-8")
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "z.md").write_text("last", encoding="utf-8")
    (folder / "inner" / "a.csv").write_text("id,body\n1,first of them\n", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    choices = [
        CorpusChoice("bundled:weigh-house", 2.0),
        CorpusChoice(f"library:{kept.id}", 0.5, documents=1),
        CorpusChoice(str(tmp_path / "b.txt")),
        CorpusChoice(str(folder)),
    ]
    found = gather(choices, library)
    assert [(one.name, one.weight) for one in found] == [(one.source, one.weight) for one in choices]
    assert [document.text for one in found[1:] for document in one.documents] == [
        "one text",
        "A text by its path.",
        "first of them",
        "last",
    ]


def test_a_data_set_of_the_hub_is_gathered_by_split(hub_server, monkeypatch, library):
    import datasets.config
    from huggingface_hub import constants

    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub_server.endpoint)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    template = hub_server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    files = {"train.jsonl": '{"text": "one two"}\n{"text": "three four"}\n', "test.jsonl": '{"text": "five six"}\n'}
    hub_server.add("datasets/weightscope/stories", files)
    source = "hub:weightscope/stories"
    found = gather([CorpusChoice(source, documents=1), CorpusChoice(source, split="test")], library)
    assert [[document.text for document in one.documents] for one in found] == [["one two"], ["five six"]]
    assert [one.name for one in found] == [source, f"{source} test"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("bundled:nothing", "No corpus 'nothing'"),
        ("library:0000000000000000", "no uploaded text"),
        ("library:../x", "no id"),
        ("hub:nothing", "no name of a data set"),
        ("/nowhere/a.txt", "cannot be read"),
    ],
)
def test_a_choice_that_is_not_there_is_named(library, source, message):
    with pytest.raises(TrainingError, match=message):
        gather([CorpusChoice(source)], library)


def test_a_text_attached_twice_and_a_folder_without_text_are_refused(library, tmp_path):
    with pytest.raises(TrainingError, match="attached twice"):
        gather([CorpusChoice("bundled:weigh-house"), CorpusChoice("bundled:weigh-house", 2.0)], library)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds no file"):
        gather([CorpusChoice(str(tmp_path / "empty"))], library)


@pytest.mark.parametrize("source", ["/etc/passwd", "hub:owner/name"])
def test_a_public_deployment_reads_neither_server_paths_nor_hub_data_sets(library, monkeypatch, source):
    monkeypatch.setenv("WEIGHTSCOPE_PUBLIC", "1")
    with pytest.raises(NotAllowedError):
        gather([CorpusChoice(source)], library)


def test_the_library_lies_in_the_data_folder():
    assert CorpusLibrary().folder == Path(os.environ["WEIGHTSCOPE_DATA"]).resolve() / "corpora"


def test_pages_may_import_it_without_torch_transformers_or_datasets():
    script = (
        "import sys, workflows.corpora, engine.training.corpora.hold_out, engine.training.corpora.near_duplicates\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pypdf', 'bs4', 'datasketch', 'scipy'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=Path(module.__file__).parent.parent, check=True, timeout=60)
