"""`models`, `stats`, `sql`: look at what is known and stored."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from pathlib import Path

from engine.errors import SourceNotFoundError, WeightscopeError
from workflows.text_table import text_table
from workflows.wording import bytes_text, count_text

USUAL_COLUMNS = ("tensor", "dtype", "shape_text", "min", "max", "mean", "std", "skewness", "kurtosis", "zeros", "nan")
"""What `stats` prints without --all, as far as the view has it; `failure` only where there is one."""


def models(arguments: argparse.Namespace) -> int:
    """List the checkpoints known here, measured or not."""
    from storage.store import Store
    from workflows.library import locations

    known = locations(Store(arguments.data))
    if arguments.json:
        facts = ("name", "uri", "origin", "format", "num_tensors", "num_parameters", "num_bytes", "content_hash")
        print(json.dumps([{fact: getattr(one, fact) for fact in facts} for one in known], ensure_ascii=False, indent=1))
    elif not known:
        print("No checkpoints are known yet. `python -m workflows extract PATH` measures one.")
    else:
        rows = [
            [
                one.name,
                count_text(one.num_parameters),
                bytes_text(one.num_bytes),
                "yes" if one.content_hash else "no",
                one.format,
                one.uri,
            ]
            for one in known
        ]
        print(text_table(["name", "parameters", "size", "measured", "format", "where"], rows, _width()))
    return 0


def stats(arguments: argparse.Namespace) -> int:
    """Print the measurements of every tensor of one model."""
    from storage.store import Store

    store = Store(arguments.data)
    frame = store.tensor_stats(_measured(store, arguments.model))
    if arguments.json:
        print(json.dumps(_records(frame), ensure_ascii=False, indent=1))
        return 0
    columns = list(frame.columns) if arguments.all else [name for name in USUAL_COLUMNS if name in frame]
    if "failure" in frame and frame["failure"].notna().any():
        columns = [*dict.fromkeys([*columns, "failure"])]
    rows = [[record[name] for name in columns] for record in _records(frame)]
    print(text_table(columns, rows, None if arguments.all else _width()))
    return 0


def _measured(store, wanted: str) -> str:
    """The content hash of the measured model that was meant: by name, by path, or by the start of its hash."""
    from workflows.library import locations

    found = store.model(wanted)
    if found is not None:
        return found.content_hash
    path = str(Path(wanted).expanduser().absolute())
    for known in locations(store):
        if known.name == wanted or known.uri in (wanted, path):
            if known.content_hash is None:
                raise WeightscopeError(
                    f"{known.name} is known, but not measured.", f"`python -m workflows extract {wanted}` measures it."
                )
            return known.content_hash
    alike = [
        model.content_hash for model in store.models() if len(wanted) >= 4 and model.content_hash.startswith(wanted)
    ]
    if len(alike) != 1:
        raise SourceNotFoundError(
            f"No measured model is called {wanted!r}.", "`python -m workflows models` lists them."
        )
    return alike[0]


def _records(frame) -> list[dict]:
    """The rows of a data frame as plain Python values; undefined numbers are None."""
    return [{name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value):
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    text = str(value)
    return None if text in ("<NA>", "NaT") else text


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def sql(arguments: argparse.Namespace) -> int:
    """Run one query on a read-only snapshot and print what it gives."""
    from storage.store import Store

    result = Store(arguments.data).query(arguments.query, max_rows=arguments.rows)
    if arguments.csv:
        import pyarrow.csv

        sys.stdout.flush()
        pyarrow.csv.write_csv(result.table, sys.stdout.buffer)
    else:
        rows = list(zip(*(column.to_pylist() for column in result.table.columns), strict=True))
        if arguments.json:
            names = list(result.to_pandas().columns)  # two columns of one name are told apart there
            records = [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in rows]
            print(json.dumps(records, ensure_ascii=False, indent=1))
        else:
            print(text_table(result.columns, rows, _width()))
    if result.truncated:
        print(f"only the first {result.num_rows:,} rows; --rows N gives more", file=sys.stderr)
    return 0
