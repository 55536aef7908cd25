"""The data folder is under the project, unless the environment says otherwise."""

from __future__ import annotations

from pathlib import Path

from storage.location import data_folder
from storage.store import Store


def test_the_environment_moves_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("WEIGHTSCOPE_DATA", str(tmp_path / "elsewhere"))
    assert data_folder() == tmp_path / "elsewhere"
    assert Store().path == tmp_path / "elsewhere" / "weightscope.duckdb"


def test_a_relative_folder_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEIGHTSCOPE_DATA", "here")
    assert data_folder() == tmp_path / "here"


def test_the_data_folder_is_under_the_project_from_wherever_it_is_run(monkeypatch, tmp_path):
    monkeypatch.delenv("WEIGHTSCOPE_DATA")
    monkeypatch.chdir(tmp_path)
    assert data_folder() == Path(__file__).resolve().parents[2] / "data"
