"""Small decompositions gain nothing from threads, and on a busy machine lose much: one BLAS thread for all of these."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def _one_blas_thread():
    with threadpool_limits(1, user_api="blas"):
        yield
