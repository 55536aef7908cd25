-- Health: what the rules said about a model, and with which version of them it was examined.

CREATE TABLE health_check (
    model INTEGER NOT NULL,
    rules VARCHAR NOT NULL,
    has_spectra BOOLEAN NOT NULL,
    examined_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE health_check IS 'Models whose health was examined; a model without findings has a row only here.';
COMMENT ON COLUMN health_check.model IS 'The model: model.id.';
COMMENT ON COLUMN health_check.rules IS 'The rules and their versions, name:version.';
COMMENT ON COLUMN health_check.has_spectra IS 'Whether the spectra had been measured, which two of the rules need.';
COMMENT ON COLUMN health_check.examined_at IS 'When (UTC).';

CREATE TABLE finding (
    model INTEGER NOT NULL,
    position INTEGER NOT NULL,
    rule VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    tensor VARCHAR NOT NULL,
    words VARCHAR NOT NULL,
    value DOUBLE,
    threshold DOUBLE,
    axis VARCHAR NOT NULL,
    lines BIGINT[] NOT NULL,
    num_lines BIGINT NOT NULL,
    weight_row BIGINT,
    weight_column BIGINT
);
COMMENT ON TABLE finding IS 'Findings on the health of models: one row each.';
COMMENT ON COLUMN finding.model IS 'The model: model.id.';
COMMENT ON COLUMN finding.position IS 'Reading order: errors first.';
COMMENT ON COLUMN finding.rule IS 'The rule that found it: dead_lines, super_weights, …';
COMMENT ON COLUMN finding.severity IS 'error: the weights are broken; warning: probably not meant; note: worth knowing.';
COMMENT ON COLUMN finding.tensor IS 'Where; empty if it concerns the whole checkpoint.';
COMMENT ON COLUMN finding.words IS 'What was found, in plain words.';
COMMENT ON COLUMN finding.value IS 'The number that was held against the threshold; NULL where there is none.';
COMMENT ON COLUMN finding.threshold IS 'The rule''s threshold; NULL where there is none.';
COMMENT ON COLUMN finding.axis IS 'row or column where lines are numbers of those; empty otherwise.';
COMMENT ON COLUMN finding.lines IS 'The first 64 rows or columns it is about.';
COMMENT ON COLUMN finding.num_lines IS 'How many there are in all.';
COMMENT ON COLUMN finding.weight_row IS 'Row of the single weight it is about; NULL otherwise.';
COMMENT ON COLUMN finding.weight_column IS 'Its column.';
