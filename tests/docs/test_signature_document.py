"""docs/signatures.md lists the signature as it is, and its query finds what the product finds."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import numpy as np

from engine.discovery.signature import FEATURES, GROUPS, KINDS, VERSION
from engine.discovery.signature.registry import Feature
from engine.discovery.signature.taking import signature
from storage.neighbours import Among
from storage.signatures import SignatureRecord
from storage.store import Store
from tests.storage.made import SETTINGS, make_model

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "signatures.md").read_text(encoding="utf-8")
ORDER = ("scale", "sign", "rows", "columns", "entries", "rotation")
COMPARED = {"linear": "itself", "log": "log", "log1p": "log(1 + x)"}


def row(entry: Feature) -> str:
    meaning = " ".join(entry.description.split("\n\n")[0].split()).replace("|", "\\|")
    invariances = ", ".join(each for each in ORDER if each in entry.invariances) or "nothing"
    return f"| `{entry.name}` | {entry.unit} | {invariances} | {COMPARED[entry.transform]} | {meaning} |"


def test_every_feature_has_its_line_in_order():
    lines = [line for line in DOCUMENT.splitlines() if line.startswith("| `")]
    assert lines == [row(entry) for entry in FEATURES.values()]
    assert re.findall(r"^### (.*)$", DOCUMENT, re.MULTILINE) == list(GROUPS.values())


def test_its_numbers_are_those_of_the_product():
    assert f"a vector of {len(FEATURES)} numbers" in DOCUMENT and f"This is version {VERSION}." in DOCUMENT
    assert f"({', '.join(KINDS)})" in DOCUMENT


def test_its_query_finds_what_the_product_finds(tmp_path):
    store = Store(tmp_path)
    random = np.random.default_rng(0)
    for name in ("my-model", "other"):
        model = make_model(name)
        store.save_model(model, SETTINGS)
        matrices = [random.standard_normal((12, 16)) ** (1 + 2 * i) for i in range(3)]
        pairs = zip(model.tensors, matrices, strict=False)
        records = [SignatureRecord(record.info.name, record.place, signature(each)) for record, each in pairs]
        store.save_signatures(name, records, "s1")
    tensor = records[0].tensor
    query = re.search(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)[1].replace("lm_head.weight", tensor)
    with duckdb.connect(str(store.path), read_only=True) as connection:
        found = connection.execute(query).fetchall()
    assert found[0][:2] == ("my-model", tensor)
    expected = store.similar_tensors("my-model", tensor, Among(model="any"))
    assert [each[:2] for each in found[1:]] == list(zip(expected["model"], expected["tensor"], strict=True))
