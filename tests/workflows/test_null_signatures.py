"""Nulls are made from the very matrices, can be made again, and go with their model."""

import numpy as np
import pytest

import engine.sources
from engine.discovery.nulls import NULLS, null_matrix
from engine.discovery.sharing_dividend import seed
from engine.discovery.signature import FEATURES, signature
from engine.errors import Cancelled, MeasureError
from workflows.null_signatures import null_signatures
from workflows.reports import CallbackReport
from workflows.runs import RunFolder


@pytest.mark.parametrize("null", ["row_column_gaussian", "entry_shuffle", "haar_rotation"])
def test_the_stored_signature_is_that_of_the_null_which_can_be_made_again(null, store, tiny):
    outcome = null_signatures(str(tiny), null, store=store)
    (summary,) = store.models()
    found = store.null_signatures(null)
    assert outcome.num_matrices == len(found) == 3
    with engine.sources.open(tiny) as source:
        for tensor, values in zip(found["tensor"], found["values"], strict=True):
            noise = null_matrix(
                null, source.read(tensor).astype(np.float32), seed(f"{summary.content_hash} {tensor}", 0)
            )
            expected = signature(noise).values
            is_head = np.array([entry.group == "heads" for entry in FEATURES.values()])
            np.testing.assert_allclose(values[~is_head], expected[~is_head].astype(np.float32), rtol=1e-6, atol=1e-9)


def test_what_is_stored_is_not_taken_again_and_goes_with_the_model(store, tiny):
    null = next(iter(NULLS))
    assert not null_signatures(str(tiny), null, store=store).was_stored
    again = null_signatures(str(tiny), null, store=store)
    assert again.was_stored and store.models_with_null(null) == {again.name}
    store.delete_model(again.name)
    assert not len(store.null_signatures(null)) and not store.models_with_null(null)


def test_a_stopped_run_goes_on_where_it_was(store, tiny, tmp_path):
    run, null = RunFolder.create(tmp_path / "runs", "signatures", {}), next(iter(NULLS))

    def stop(progress):
        if progress.phase.startswith("making nulls") and progress.done >= 2:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        null_signatures(str(tiny), null, store=store, run=run, report=CallbackReport(stop))
    assert not store.models_with_null(null)
    assert any(run.checkpoints.rglob("*.npz"))
    assert null_signatures(str(tiny), null, store=store, run=run).num_matrices == 3


def test_an_unknown_null_is_refused_before_anything_is_read(store, tiny):
    with pytest.raises(MeasureError, match="no null model"):
        null_signatures(str(tiny), "astrology", store=store)
    assert store.models() == []
