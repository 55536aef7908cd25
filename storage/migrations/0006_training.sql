-- Training: what every checkpoint's weights looked like, what the model wrote, and what was said of it.

CREATE TABLE training_checkpoint (
    experiment VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    phase VARCHAR NOT NULL,
    folder VARCHAR NOT NULL,
    is_best BOOLEAN NOT NULL,
    bits_per_byte DOUBLE,
    saved_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE training_checkpoint IS 'Checkpoints of trainings, also those whose files were deleted since.';
COMMENT ON COLUMN training_checkpoint.experiment IS 'The run: experiment.id.';
COMMENT ON COLUMN training_checkpoint.step IS 'Step of the run; 0 is before training. Self-play counts on from the last step before it.';
COMMENT ON COLUMN training_checkpoint.phase IS 'supervised or self-play.';
COMMENT ON COLUMN training_checkpoint.folder IS 'Where it was saved; the folder may be gone.';
COMMENT ON COLUMN training_checkpoint.is_best IS 'Whether it was the best one when it was saved.';
COMMENT ON COLUMN training_checkpoint.bits_per_byte IS 'Of held-out text at the last look; NULL before the first.';
COMMENT ON COLUMN training_checkpoint.saved_at IS 'When (UTC).';

CREATE TABLE checkpoint_tensor (
    experiment VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    layer INTEGER,
    role VARCHAR NOT NULL,
    shape BIGINT[] NOT NULL
);
COMMENT ON TABLE checkpoint_tensor IS 'The tensors of a training''s checkpoints, which have the same ones at every step.';
COMMENT ON COLUMN checkpoint_tensor.experiment IS 'The run: experiment.id.';
COMMENT ON COLUMN checkpoint_tensor.position IS 'Order in the file.';
COMMENT ON COLUMN checkpoint_tensor.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN checkpoint_tensor.layer IS 'Number of its layer; NULL outside of the layers.';
COMMENT ON COLUMN checkpoint_tensor.role IS 'What it does: query, key, ffn_in, norm, …';
COMMENT ON COLUMN checkpoint_tensor.shape IS 'Its shape.';

CREATE TABLE checkpoint_measurement (
    experiment VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    tensor VARCHAR NOT NULL,
    measure VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    value DOUBLE
);
COMMENT ON TABLE checkpoint_measurement IS 'Numbers of every tensor at every checkpoint of a training.';
COMMENT ON COLUMN checkpoint_measurement.experiment IS 'The run: experiment.id.';
COMMENT ON COLUMN checkpoint_measurement.step IS 'The checkpoint: training_checkpoint.step.';
COMMENT ON COLUMN checkpoint_measurement.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN checkpoint_measurement.measure IS 'As in measure.name; also change_since_start and change_since_previous: ‖W − W₀‖ / ‖W₀‖ against step 0 and the checkpoint before.';
COMMENT ON COLUMN checkpoint_measurement.version IS 'Version of the measure.';
COMMENT ON COLUMN checkpoint_measurement.value IS 'The number; NULL where undefined.';

CREATE TABLE checkpoint_thumbnail (
    experiment VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    tensor VARCHAR NOT NULL,
    num_rows INTEGER NOT NULL,
    num_columns INTEGER NOT NULL,
    values FLOAT[] NOT NULL
);
COMMENT ON TABLE checkpoint_thumbnail IS 'Small pictures of every tensor at every checkpoint: each cell the entry of largest magnitude, sign kept.';
COMMENT ON COLUMN checkpoint_thumbnail.experiment IS 'The run: experiment.id.';
COMMENT ON COLUMN checkpoint_thumbnail.step IS 'The checkpoint: training_checkpoint.step.';
COMMENT ON COLUMN checkpoint_thumbnail.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN checkpoint_thumbnail.num_rows IS 'Rows of the picture.';
COMMENT ON COLUMN checkpoint_thumbnail.num_columns IS 'Columns of the picture.';
COMMENT ON COLUMN checkpoint_thumbnail.values IS 'The cells, row after row.';

CREATE TABLE training_sample (
    experiment VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    position INTEGER NOT NULL,
    prompt VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE training_sample IS 'What a model wrote while it was trained.';
COMMENT ON COLUMN training_sample.experiment IS 'The run: experiment.id.';
COMMENT ON COLUMN training_sample.step IS 'Step of the run.';
COMMENT ON COLUMN training_sample.position IS 'Order among the samples of that step.';
COMMENT ON COLUMN training_sample.prompt IS 'What it was given to go on from.';
COMMENT ON COLUMN training_sample.text IS 'What it wrote.';
COMMENT ON COLUMN training_sample.recorded_at IS 'When (UTC).';

CREATE TABLE training_remark (
    experiment VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE training_remark IS 'What was said of a training: verdicts on self-play, milestones, warnings.';
COMMENT ON COLUMN training_remark.experiment IS 'The run: experiment.id.';
COMMENT ON COLUMN training_remark.step IS 'Step of the run.';
COMMENT ON COLUMN training_remark.kind IS 'improved, hacked, unstable or unchanged for a verdict; notice for anything else.';
COMMENT ON COLUMN training_remark.text IS 'The reason of the verdict, or the notice.';
COMMENT ON COLUMN training_remark.recorded_at IS 'When (UTC).';
