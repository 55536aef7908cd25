"""Examining a model: measured where needed, stored, found again, cancelled without a trace."""

import numpy as np
import pytest

from engine.errors import Cancelled
from storage.store import Store
from workflows.command_line import main
from workflows.health import examine
from workflows.jobs import Jobs
from workflows.reports import CallbackReport


@pytest.fixture
def broken(tmp_path, write_safetensors):
    weights = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)
    weights[7, 3] = np.nan
    weights[20] = weights[11]
    return write_safetensors(tmp_path / "broken" / "model.safetensors", {"model.layers.0.mlp.up_proj.weight": weights})


def test_a_model_that_was_not_measured_is_measured_first(broken, tmp_path):
    store = Store(tmp_path / "data")
    outcome = examine(str(broken), store=store)
    assert outcome.counts == {"error": 1, "warning": 1, "note": 0}
    assert [(f.rule, f.lines) for f in store.findings(outcome.content_hash)] == [
        ("non_finite", (7,)),
        ("repeated_lines", (20,)),
    ]
    assert store.tensor_stats(outcome.name).shape[0] == 1
    assert examine(str(broken), store=store).counts == outcome.counts


def test_a_cancelled_examination_stores_nothing(broken, tmp_path):
    store = Store(tmp_path / "data")

    def stop(progress):
        if progress.phase == "examining":
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        examine(str(broken), store=store, report=CallbackReport(stop))
    assert store.health_check("broken") is None


def test_the_command_prints_what_was_found(broken, tmp_path, capsys):
    assert main(["health", "--data", str(tmp_path / "data"), str(broken)]) == 0
    said = capsys.readouterr().out
    assert "1 error, 1 warning" in said
    assert "1 NaN in row 7" in said


def test_it_runs_as_a_job(broken, tmp_path):
    board = Jobs(tmp_path / "data")
    job = board.wait(board.start("health", {"model": str(broken)}).id, timeout_s=120)
    assert job.state == "done", job.error
    assert len(Store(tmp_path / "data").findings("broken")) == 2
