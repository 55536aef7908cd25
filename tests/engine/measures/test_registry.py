"""Every measure is registered, pure and right; and the two guards that say so are shown to bite."""

from __future__ import annotations

import inspect
import math
import types

import ml_dtypes
import numpy as np
import pytest
import scipy.stats

from engine.errors import MeasureError
from engine.measures import registry
from engine.measures.reading import measure_array
from engine.measures.registry import MEASURES, Measure, measure, settings_hash
from engine.measures.results import QUANTILE_PERCENTS, AxisProfile, Distribution
from engine.measures.statistics import MODULES

NAMES = [
    *("count", "zeros", "zero_fraction", "nan", "posinf", "neginf"),
    *("mean", "std", "skewness", "kurtosis", "min", "max", "abs_max", "l1_norm", "l2_norm", "rms"),
    *("q0_1", "q0_5", "q1", "q2_5", "q5", "q10", "q25", "q50", "q75", "q90", "q95", "q97_5", "q99", "q99_5", "q99_9"),
    *("median", "iqr", "dead_rows", "dead_columns"),
    *("max_row_norm", "min_row_norm", "max_column_norm", "min_column_norm"),
]


def unregistered(module: types.ModuleType) -> list[str]:
    """The guard: public functions written in a statistics file that are no measure."""
    registered = {entry.function for entry in MEASURES.values()}
    functions = inspect.getmembers(module, inspect.isfunction)
    return [
        name
        for name, function in functions
        if not name.startswith("_") and function.__module__ == module.__name__ and function not in registered
    ]


def contents(subject: Distribution | AxisProfile) -> dict[str, bytes]:
    return {name: np.asarray(getattr(subject, name)).tobytes() for name in subject.__dataclass_fields__}


def changes_its_input(entry: Measure) -> bool:
    """The guard: whether a measure writes into what it is given."""
    reading = measure_array(np.random.default_rng(0).standard_normal((20, 30)).astype(np.float32))
    subject = getattr(reading, entry.reads)
    before = contents(subject)
    entry.function(subject)
    return contents(subject) != before


@pytest.fixture
def scratch_registry(monkeypatch):
    """A copy of the registry, thrown away after the test."""
    monkeypatch.setattr(registry, "MEASURES", dict(MEASURES))
    return registry.MEASURES


def test_the_names_are_the_standard_ones():
    assert sorted(MEASURES) == sorted(NAMES)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_public_function_of_a_statistics_file_is_registered(module):
    assert unregistered(module) == []


def test_an_unregistered_measure_is_found():
    offender = types.ModuleType("engine.measures.statistics.offender")
    exec("def forgotten(distribution):\n    return 0.0\n", offender.__dict__)
    assert unregistered(offender) == ["forgotten"]


@pytest.mark.parametrize("name", MEASURES)
def test_no_measure_changes_its_input(name):
    assert not changes_its_input(MEASURES[name])


def test_a_measure_that_changes_its_input_is_found(scratch_registry):
    @measure(unit="1", title="Sorts in place")
    def careless(distribution: Distribution) -> float:
        """The first bin count, after sorting."""
        distribution.bin_counts.sort()
        return float(distribution.bin_counts[0])

    assert changes_its_input(scratch_registry["careless"])


@pytest.mark.parametrize("entry", MEASURES.values(), ids=lambda entry: entry.name)
def test_every_measure_says_what_it_is(entry):
    assert entry.title
    assert entry.unit in {"1", "weight", "count"}
    assert len(entry.description) > 20
    assert entry.version >= 1


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), np.float32),
        np.zeros((4, 4), np.float32),
        np.full((2, 3), np.nan, np.float32),
        np.full((2, 2), np.inf, np.float16),
        np.full((3, 2), 1e300),
        np.array(2.5, ml_dtypes.bfloat16),
        np.ones(7, bool),
        np.random.default_rng(0).standard_normal((50, 60)).astype(ml_dtypes.bfloat16),
    ],
    ids=["empty", "zero", "nan", "infinite", "huge", "scalar", "bool", "normal"],
)
def test_every_measure_gives_a_float_of_any_tensor(array):
    values = measure_array(array).values
    assert list(values) == list(MEASURES)
    assert all(type(value) is float for value in values.values())
    beyond_range = {name for name, value in values.items() if math.isinf(value)}
    # Profiles are float32, so their norms have its range.
    assert beyond_range <= {"max_row_norm", "min_row_norm", "max_column_norm", "min_column_norm"}


def test_the_values_are_those_of_numpy_and_scipy():
    array = np.random.default_rng(0).gamma(2.0, size=(80, 90)).astype(np.float32)
    array[3], array[:, 5] = 0, 0
    x = array.astype(np.float64)
    wanted = {
        "count": 7200,
        "mean": x.mean(),
        "std": x.std(),
        "skewness": scipy.stats.skew(x, axis=None),
        "kurtosis": scipy.stats.kurtosis(x, axis=None),
        "min": 0,
        "max": x.max(),
        "abs_max": np.abs(x).max(),
        "l1_norm": np.abs(x).sum(),
        "l2_norm": np.linalg.norm(x),
        "rms": np.sqrt((x * x).mean()),
        "zeros": 169,
        "zero_fraction": 169 / 7200,
        "nan": 0,
        "posinf": 0,
        "neginf": 0,
        "median": np.median(x),
        "iqr": scipy.stats.iqr(x),
        "max_row_norm": np.float32(np.linalg.norm(x, axis=1).max()),
        "min_row_norm": 0,
        "max_column_norm": np.float32(np.linalg.norm(x, axis=0).max()),
        "min_column_norm": 0,
        "dead_rows": 1,
        "dead_columns": 1,
    } | {f"q{each:g}".replace(".", "_"): np.percentile(x, each) for each in QUANTILE_PERCENTS}
    found = measure_array(array).values
    assert found == pytest.approx(wanted, rel=1e-12)


def test_a_name_cannot_be_taken_twice_and_needs_a_docstring(scratch_registry):
    def mean(distribution: Distribution) -> float:
        """Another mean."""
        return 0.0

    def silent(distribution: Distribution) -> float:
        return 0.0

    with pytest.raises(MeasureError, match="twice"):
        measure(unit="1", title="Mean")(mean)
    with pytest.raises(MeasureError, match="docstring"):
        measure(unit="1", title="Silent")(silent)


def test_the_settings_hash_changes_with_a_version_and_only_then(scratch_registry):
    before = settings_hash()
    assert before == settings_hash()
    assert len(before) == 16
    entry = scratch_registry["mean"]
    scratch_registry["mean"] = Measure(*(getattr(entry, name) for name in ("name", "unit")), 2, *("",) * 4)
    assert settings_hash() != before
