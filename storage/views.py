"""The wide views, generated from the measures that the database knows: a new measure needs no migration.

They are made anew when the measures change and at the end of every migration; so a change of the SQL below needs one,
be it only a comment.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from engine.errors import StorageError

_TENSOR_COLUMNS = {
    "model": ("m.name", "Name of the model: model.name."),
    "tensor": ("t.tensor", "Full name in the checkpoint."),
    "layer": ("t.layer", "Block number from 0; NULL outside the stack of blocks."),
    "role": ("t.role", "What it does: query, key, value, output, ffn_in, ffn_out, …, or other."),
    "part": ("t.part", "weight, bias, running_mean, …"),
    "stack": ("t.stack", "encoder, decoder, vision, … where a model has several stacks; empty otherwise."),
    "shape": ("t.shape", "Dimensions as a list; [] for a scalar."),
    "shape_text": ("array_to_string(t.shape, 'x')", "Dimensions as text, as in 30522x384; empty for a scalar."),
    "dtype": ("t.dtype", "Element type in the spelling of safetensors."),
    "num_elements": ("t.num_elements", "Product of the dimensions."),
    "num_bytes": ("t.num_bytes", "Bytes of its stored data."),
    "position": ("t.position", "Place in file order, from 0."),
    "failure": ("f.reason", "Why it could not be measured; NULL if it could."),
}
_TOTALS = {
    "num_tensors": ("count(*)", "Tensors summed up in this row."),
    "num_elements": ("sum(s.num_elements)::BIGINT", "Elements of these tensors together."),
    "num_bytes": ("sum(s.num_bytes)::BIGINT", "Bytes of these tensors together."),
    "num_failed": ("count(s.failure)", "Tensors among them that could not be measured."),
}
_LAYER_COLUMNS = {
    "model": ("s.model", "Name of the model: model.name."),
    "stack": ("s.stack", "encoder, decoder, vision, … where a model has several stacks; empty otherwise."),
    "layer": ("s.layer", "Block number from 0; NULL outside the stack of blocks."),
    "role": ("s.role", "What the tensors of this row do: query, key, …; weight and bias together."),
}
_MODEL_COLUMNS = {
    "model": ("m.name", "Name of the model: model.name."),
    "family": ("any_value(m.family)", "Architecture family: bert, llama, …, or unknown."),
    "format": ("any_value(m.format)", "File format: safetensors, pytorch, …"),
    "content_hash": ("any_value(m.content_hash)", "SHA-256 of the weights."),
    "uri": ("any_value(m.uri)", "Where it was measured."),
    "num_tensors": ("count(s.tensor)", "Tensors of the model."),
    "num_elements": ("coalesce(sum(s.num_elements), 0)::BIGINT", "Parameters of the model."),
    "num_bytes": ("coalesce(sum(s.num_bytes), 0)::BIGINT", "Bytes of all tensors."),
    "num_failed": ("count(s.failure)", "Tensors that could not be measured."),
    "num_layers": ("count(DISTINCT (s.stack, s.layer)) FILTER (s.layer IS NOT NULL)", "Blocks, over all stacks."),
    "measured_at": ("any_value(m.measured_at)", "When the measuring ended (UTC)."),
    "elapsed_s": ("any_value(m.elapsed_s)", "How long the measuring took, in seconds."),
}


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    unit: str
    title: str


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `tensor_stats`, `layer_stats` and `model_stats` anew, with a comment on every column.

    Raises: StorageError if a measure has the name of another column.
    """
    rows = connection.execute("SELECT name, unit, title FROM measure ORDER BY position, name").fetchall()
    measures = [_Measure(*row) for row in rows]
    for measure in measures:
        if measure.name.lower() in {*_TENSOR_COLUMNS, *_LAYER_COLUMNS, *_MODEL_COLUMNS, *_TOTALS}:
            raise StorageError(f"The measure {measure.name} has the name of a column of the views.", "Rename it.")
    _create_tensor_stats(connection, measures)
    summaries = {measure.name: _summary(measure) for measure in measures}
    _create(
        connection,
        "layer_stats",
        "One row for each layer and role of a model (also outside the layers): its tensors summed up.",
        _LAYER_COLUMNS | _TOTALS | summaries,
        "FROM tensor_stats s GROUP BY s.model, s.stack, s.layer, s.role",
    )
    _create(
        connection,
        "model_stats",
        "One row for each measured model: its tensors summed up.",
        _MODEL_COLUMNS | summaries,
        "FROM model m LEFT JOIN tensor_stats s ON s.model = m.name GROUP BY m.name",
    )


def _create_tensor_stats(connection: duckdb.DuckDBPyConnection, measures: list[_Measure]) -> None:
    values = {
        measure.name: (f"v.{quoted(measure.name)}", f"{measure.title} [{measure.unit}]; NULL where undefined.")
        for measure in measures
    }
    picks = "".join(
        f", max(x.value) FILTER (x.measure = {literal(measure.name)}) AS {quoted(measure.name)}" for measure in measures
    )
    _create(
        connection,
        "tensor_stats",
        "One row for each tensor of each measured model, with every measure in a column of its own.",
        _TENSOR_COLUMNS | values,
        # The name is joined inside too: a condition on it then reaches the scan, and one model costs one model's rows.
        "FROM tensor t JOIN model m ON m.id = t.model "  # noqa: S608 — names are quoted
        "LEFT JOIN tensor_failure f ON f.model = t.model AND f.tensor = t.tensor "
        f"LEFT JOIN (SELECT n.name, x.model, x.tensor{picks} FROM measurement x JOIN model n ON n.id = x.model "
        "GROUP BY n.name, x.model, x.tensor) v ON v.model = t.model AND v.tensor = t.tensor AND v.name = m.name",
    )


def _summary(measure: _Measure) -> tuple[str, str]:
    """How several tensors' values of one measure become one: (SQL, comment)."""
    value, size = f"s.{quoted(measure.name)}", "s.num_elements"
    words = measure.name.split("_")
    mean = "sum({x} * {n}) / nullif(sum({n}) FILTER ({v} IS NOT NULL), 0)"
    if measure.unit == "count" or measure.name == "l1_norm":
        sql, how = f"sum({value})", "sum over the tensors"
    elif words[0] == "min":
        sql, how = f"min({value})", "smallest of the tensors"
    elif words[0] == "max" or measure.name == "abs_max":
        sql, how = f"max({value})", "largest of the tensors"
    elif measure.name == "l2_norm":
        sql, how = f"sqrt(sum({value} * {value}))", "root of the sum of squares over the tensors"
    elif measure.name == "rms":
        sql = f"sqrt({mean.format(x=f'{value} * {value}', n=size, v=value)})"
        how = "root mean square over the tensors, weighted by elements"
    else:
        sql, how = mean.format(x=value, n=size, v=value), "mean over the tensors, weighted by elements"
    return sql, f"{measure.title} [{measure.unit}]: {how}; NULL where undefined."


def _create(
    connection: duckdb.DuckDBPyConnection, name: str, comment: str, columns: dict[str, tuple[str, str]], source: str
) -> None:
    """Create or replace one view: columns as name -> (SQL, comment)."""
    listed = ", ".join(f"{sql} AS {quoted(column)}" for column, (sql, _) in columns.items())
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT {listed} {source}")
    comments = [f"COMMENT ON VIEW {name} IS {literal(comment)};"]
    comments += [
        f"COMMENT ON COLUMN {name}.{quoted(column)} IS {literal(text)};" for column, (_, text) in columns.items()
    ]
    connection.execute("\n".join(comments))


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string, for the statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"
