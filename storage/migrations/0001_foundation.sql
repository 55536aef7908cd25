-- The first schema: locations, measured models, their readings, and the runs of later experiments.
-- Migrations are append-only: what stands here never changes once it was released.

CREATE TABLE location (
    uri VARCHAR PRIMARY KEY,
    name VARCHAR NOT NULL UNIQUE,
    origin VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    format VARCHAR NOT NULL,
    num_tensors BIGINT NOT NULL,
    num_parameters BIGINT NOT NULL,
    num_bytes BIGINT NOT NULL,
    content_hash VARCHAR,
    added_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE location IS 'Places where a checkpoint was found, measured or not; one row each.';
COMMENT ON COLUMN location.uri IS 'Where the checkpoint is: an absolute path, or hf://owner/name@revision.';
COMMENT ON COLUMN location.name IS 'Unique short name, as pickers and links show it.';
COMMENT ON COLUMN location.origin IS 'How it came here: bundled, added, uploaded, scanned, trained or hub.';
COMMENT ON COLUMN location.fingerprint IS 'Cheap identity of the files (path, size, time) when last seen; changes when one is replaced.';
COMMENT ON COLUMN location.format IS 'File format: safetensors, pytorch, …';
COMMENT ON COLUMN location.num_tensors IS 'Tensors in the checkpoint, from its headers.';
COMMENT ON COLUMN location.num_parameters IS 'Elements of all tensors, from the headers.';
COMMENT ON COLUMN location.num_bytes IS 'Bytes of all tensors, from the headers.';
COMMENT ON COLUMN location.content_hash IS 'SHA-256 of the weights once they were measured: model.content_hash; NULL before.';
COMMENT ON COLUMN location.added_at IS 'When it was first seen (UTC).';

CREATE TABLE measure (
    name VARCHAR PRIMARY KEY,
    unit VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    title VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    position INTEGER NOT NULL
);
COMMENT ON TABLE measure IS 'The dictionary of measures: what each name means and in which unit it is.';
COMMENT ON COLUMN measure.name IS 'Name of the measure, as in measurement.measure and as a column of the views.';
COMMENT ON COLUMN measure.unit IS 'Unit of its values; 1 for a plain number.';
COMMENT ON COLUMN measure.version IS 'Version of its definition; grows when the same weights would give another number.';
COMMENT ON COLUMN measure.title IS 'Short title for people.';
COMMENT ON COLUMN measure.description IS 'What it means.';
COMMENT ON COLUMN measure.position IS 'Its place among the columns of the views.';

CREATE SEQUENCE model_id;
CREATE TABLE model (
    id INTEGER PRIMARY KEY DEFAULT nextval('model_id'),
    content_hash VARCHAR NOT NULL UNIQUE,
    name VARCHAR NOT NULL UNIQUE,
    uri VARCHAR NOT NULL,
    format VARCHAR NOT NULL,
    family VARCHAR NOT NULL,
    config JSON NOT NULL,
    metadata JSON NOT NULL,
    num_tensors BIGINT NOT NULL,
    num_parameters BIGINT NOT NULL,
    num_bytes BIGINT NOT NULL,
    measured_at TIMESTAMP NOT NULL,
    elapsed_s DOUBLE NOT NULL
);
COMMENT ON TABLE model IS 'Measured checkpoints; one row for each distinct content, wherever copies of it lie.';
COMMENT ON COLUMN model.id IS 'Key of the model inside this database; other tables call it model.';
COMMENT ON COLUMN model.content_hash IS 'SHA-256 of the weights: the identity of the model.';
COMMENT ON COLUMN model.name IS 'Unique name; another content of the same name is called name@ and the first 8 digits of its hash.';
COMMENT ON COLUMN model.uri IS 'Where it was measured.';
COMMENT ON COLUMN model.format IS 'File format: safetensors, pytorch, …';
COMMENT ON COLUMN model.family IS 'Architecture family: bert, llama, …, or unknown.';
COMMENT ON COLUMN model.config IS 'Its config.json; {} if it has none.';
COMMENT ON COLUMN model.metadata IS 'What the header of the weight file says of itself.';
COMMENT ON COLUMN model.num_tensors IS 'Tensors in the checkpoint.';
COMMENT ON COLUMN model.num_parameters IS 'Elements of all tensors.';
COMMENT ON COLUMN model.num_bytes IS 'Bytes of all tensors.';
COMMENT ON COLUMN model.measured_at IS 'When the measuring ended (UTC).';
COMMENT ON COLUMN model.elapsed_s IS 'How long the measuring took, in seconds.';

CREATE TABLE model_measure (
    model INTEGER NOT NULL,
    measure VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    settings_hash VARCHAR NOT NULL
);
COMMENT ON TABLE model_measure IS 'Which measures, in which version, were taken of a model; tells whether it must be measured again.';
COMMENT ON COLUMN model_measure.model IS 'The model: model.id.';
COMMENT ON COLUMN model_measure.measure IS 'The measure: measure.name.';
COMMENT ON COLUMN model_measure.version IS 'Version of the measure when it was taken.';
COMMENT ON COLUMN model_measure.settings_hash IS 'Hash of the settings under which it was taken.';

CREATE TABLE tensor (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    shape BIGINT[] NOT NULL,
    dtype VARCHAR NOT NULL,
    layer INTEGER,
    role VARCHAR NOT NULL,
    part VARCHAR NOT NULL,
    stack VARCHAR NOT NULL,
    num_elements BIGINT NOT NULL,
    num_bytes BIGINT NOT NULL,
    file VARCHAR NOT NULL
);
COMMENT ON TABLE tensor IS 'The tensors of every measured model, from the headers.';
COMMENT ON COLUMN tensor.model IS 'The model: model.id.';
COMMENT ON COLUMN tensor.tensor IS 'Full name in the checkpoint.';
COMMENT ON COLUMN tensor.position IS 'Place in file order, from 0.';
COMMENT ON COLUMN tensor.shape IS 'Dimensions; [] for a scalar.';
COMMENT ON COLUMN tensor.dtype IS 'Element type in the spelling of safetensors: F32, BF16, F8_E4M3, …';
COMMENT ON COLUMN tensor.layer IS 'Block number from 0; NULL outside the stack of blocks.';
COMMENT ON COLUMN tensor.role IS 'What it does: query, key, value, output, ffn_in, ffn_out, token_embedding, …, or other.';
COMMENT ON COLUMN tensor.part IS 'weight, bias, running_mean, …';
COMMENT ON COLUMN tensor.stack IS 'encoder, decoder, vision, text, … where a model has several stacks; empty otherwise.';
COMMENT ON COLUMN tensor.num_elements IS 'Product of the dimensions.';
COMMENT ON COLUMN tensor.num_bytes IS 'Bytes of its stored data.';
COMMENT ON COLUMN tensor.file IS 'File that holds it, relative to the folder of the checkpoint.';

CREATE TABLE tensor_failure (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    reason VARCHAR NOT NULL
);
COMMENT ON TABLE tensor_failure IS 'Tensors that could not be measured, and why.';
COMMENT ON COLUMN tensor_failure.model IS 'The model: model.id.';
COMMENT ON COLUMN tensor_failure.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN tensor_failure.reason IS 'What went wrong.';

CREATE TABLE measurement (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    measure VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    settings_hash VARCHAR NOT NULL,
    value DOUBLE
);
COMMENT ON TABLE measurement IS 'One number for each model, tensor and measure: the latest that was taken. tensor_stats shows it wide.';
COMMENT ON COLUMN measurement.model IS 'The model: model.id.';
COMMENT ON COLUMN measurement.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN measurement.measure IS 'The measure: measure.name.';
COMMENT ON COLUMN measurement.version IS 'Version of the measure when the number was taken.';
COMMENT ON COLUMN measurement.settings_hash IS 'Hash of the settings under which it was taken.';
COMMENT ON COLUMN measurement.value IS 'The number, in the unit of its measure; NULL where the measure is undefined.';

CREATE TABLE distribution (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    count BIGINT NOT NULL,
    num_nan BIGINT NOT NULL,
    num_posinf BIGINT NOT NULL,
    num_neginf BIGINT NOT NULL,
    num_zero BIGINT NOT NULL,
    minimum DOUBLE,
    maximum DOUBLE,
    mean DOUBLE,
    m2 DOUBLE,
    m3 DOUBLE,
    m4 DOUBLE,
    l1 DOUBLE,
    l2 DOUBLE,
    quantiles DOUBLE[] NOT NULL,
    bin_low DOUBLE,
    bin_high DOUBLE,
    bin_counts BIGINT[] NOT NULL
);
COMMENT ON TABLE distribution IS 'The exact distribution of each tensor; NaN and infinities are counted apart and enter nothing else.';
COMMENT ON COLUMN distribution.model IS 'The model: model.id.';
COMMENT ON COLUMN distribution.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN distribution.count IS 'All elements.';
COMMENT ON COLUMN distribution.num_nan IS 'Elements that are NaN.';
COMMENT ON COLUMN distribution.num_posinf IS 'Elements that are +infinity.';
COMMENT ON COLUMN distribution.num_neginf IS 'Elements that are -infinity.';
COMMENT ON COLUMN distribution.num_zero IS 'Elements that are zero of either sign.';
COMMENT ON COLUMN distribution.minimum IS 'Smallest finite value; NULL if there is none.';
COMMENT ON COLUMN distribution.maximum IS 'Largest finite value; NULL if there is none.';
COMMENT ON COLUMN distribution.mean IS 'Mean of the finite values; NULL if there is none.';
COMMENT ON COLUMN distribution.m2 IS 'Second central moment of the finite values (population variance).';
COMMENT ON COLUMN distribution.m3 IS 'Third central moment of the finite values.';
COMMENT ON COLUMN distribution.m4 IS 'Fourth central moment of the finite values.';
COMMENT ON COLUMN distribution.l1 IS 'Sum of the magnitudes of the finite values.';
COMMENT ON COLUMN distribution.l2 IS 'Square root of the sum of squares of the finite values.';
COMMENT ON COLUMN distribution.quantiles IS 'Quantiles at 0.1, 0.5, 1, 2.5, 5, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5 and 99.9 percent.';
COMMENT ON COLUMN distribution.bin_low IS 'Lower edge of the histogram; NULL without finite values.';
COMMENT ON COLUMN distribution.bin_high IS 'Upper edge of the histogram; NULL without finite values.';
COMMENT ON COLUMN distribution.bin_counts IS 'Elements in each of the 256 equal bins from bin_low to bin_high.';

CREATE TABLE axis_profile (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    axis VARCHAR NOT NULL CHECK (axis IN ('row', 'column')),
    l2 FLOAT[] NOT NULL,
    abs_max FLOAT[] NOT NULL,
    num_zero UINTEGER[] NOT NULL,
    num_nonfinite UINTEGER[] NOT NULL
);
COMMENT ON TABLE axis_profile IS 'One number for each row, or each column, of a tensor seen as a matrix (first dimension by all others).';
COMMENT ON COLUMN axis_profile.model IS 'The model: model.id.';
COMMENT ON COLUMN axis_profile.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN axis_profile.axis IS 'row: one number for each row; column: one for each column.';
COMMENT ON COLUMN axis_profile.l2 IS 'Square root of the sum of squares of the finite values.';
COMMENT ON COLUMN axis_profile.abs_max IS 'Largest magnitude of the finite values; 0 if there is none.';
COMMENT ON COLUMN axis_profile.num_zero IS 'Zeros.';
COMMENT ON COLUMN axis_profile.num_nonfinite IS 'NaN and infinities.';

CREATE TABLE thumbnail (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    num_rows INTEGER NOT NULL,
    num_columns INTEGER NOT NULL,
    values FLOAT[] NOT NULL
);
COMMENT ON TABLE thumbnail IS 'Each tensor pooled to a small picture: every cell the entry of largest magnitude, sign kept.';
COMMENT ON COLUMN thumbnail.model IS 'The model: model.id.';
COMMENT ON COLUMN thumbnail.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN thumbnail.num_rows IS 'Rows of the picture, at most 32.';
COMMENT ON COLUMN thumbnail.num_columns IS 'Columns of the picture, at most 32.';
COMMENT ON COLUMN thumbnail.values IS 'The cells, row after row.';

CREATE TABLE experiment (
    id VARCHAR PRIMARY KEY,
    kind VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    settings JSON NOT NULL,
    status VARCHAR NOT NULL CHECK (status IN ('running', 'done', 'failed', 'cancelled')),
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP,
    result JSON,
    message VARCHAR NOT NULL
);
COMMENT ON TABLE experiment IS 'Runs of training, compression and scans; their numbers are in metric.';
COMMENT ON COLUMN experiment.id IS 'Key of the run.';
COMMENT ON COLUMN experiment.kind IS 'What it is: pretraining, compression, scan, …';
COMMENT ON COLUMN experiment.name IS 'Name for people.';
COMMENT ON COLUMN experiment.settings IS 'What was asked of it.';
COMMENT ON COLUMN experiment.status IS 'running, done, failed or cancelled.';
COMMENT ON COLUMN experiment.started_at IS 'When it began (UTC).';
COMMENT ON COLUMN experiment.finished_at IS 'When it ended (UTC); NULL while it runs.';
COMMENT ON COLUMN experiment.result IS 'What came of it; NULL while it runs.';
COMMENT ON COLUMN experiment.message IS 'Why it failed; empty otherwise.';

CREATE TABLE metric (
    experiment VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    name VARCHAR NOT NULL,
    value DOUBLE,
    recorded_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE metric IS 'Numbers that experiments report while they run.';
COMMENT ON COLUMN metric.experiment IS 'The run: experiment.id.';
COMMENT ON COLUMN metric.step IS 'Step of the run.';
COMMENT ON COLUMN metric.name IS 'What was measured: loss, tokens_per_s, …';
COMMENT ON COLUMN metric.value IS 'The number; NULL where undefined.';
COMMENT ON COLUMN metric.recorded_at IS 'When it was recorded (UTC).';
