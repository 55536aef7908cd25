-- Mantissa forensics, suggestions, batches of models, and the library of kept patterns.

CREATE TABLE forensics_check (
    model INTEGER NOT NULL,
    version INTEGER NOT NULL,
    is_upcast BOOLEAN NOT NULL,
    training_length BIGINT,
    sentences VARCHAR[] NOT NULL,
    token_groups JSON NOT NULL,
    examined_at TIMESTAMP NOT NULL,
    elapsed_s DOUBLE NOT NULL
);
COMMENT ON TABLE forensics_check IS 'Models whose mantissas were read, and what they tell in words.';
COMMENT ON COLUMN forensics_check.model IS 'The model: model.id.';
COMMENT ON COLUMN forensics_check.version IS 'Version of the forensics; grows when the same weights would give other findings.';
COMMENT ON COLUMN forensics_check.is_upcast IS 'Whether all of it was only widened from a shorter type.';
COMMENT ON COLUMN forensics_check.training_length IS 'Longest text it was trained on, read off its positions; NULL where they do not tell.';
COMMENT ON COLUMN forensics_check.sentences IS 'What was found, in plain words.';
COMMENT ON COLUMN forensics_check.token_groups IS 'Vocabulary rows by kind of token: [{"group", "never", "total", "examples"}]; [] without a tokenizer.';
COMMENT ON COLUMN forensics_check.examined_at IS 'When (UTC).';
COMMENT ON COLUMN forensics_check.elapsed_s IS 'How long it took.';

CREATE TABLE forensics (
    model INTEGER NOT NULL,
    position INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    layer INTEGER,
    role VARCHAR NOT NULL,
    dtype VARCHAR NOT NULL,
    shorter VARCHAR,
    num_rows BIGINT NOT NULL,
    num_never BIGINT NOT NULL,
    num_undecided BIGINT NOT NULL,
    starts BIGINT[] NOT NULL,
    stops BIGINT[] NOT NULL
);
COMMENT ON TABLE forensics IS 'Rows of tensors that were never updated since they were stored in a shorter type.';
COMMENT ON COLUMN forensics.model IS 'The model: model.id.';
COMMENT ON COLUMN forensics.position IS 'Place among the tensors that can tell, in file order.';
COMMENT ON COLUMN forensics.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN forensics.layer IS 'Number of its layer; NULL outside of the layers.';
COMMENT ON COLUMN forensics.role IS 'What it does: token_embedding, query, …';
COMMENT ON COLUMN forensics.dtype IS 'Type it is stored in.';
COMMENT ON COLUMN forensics.shorter IS 'Shorter type that most of its never updated rows fit; NULL where there are none.';
COMMENT ON COLUMN forensics.num_rows IS 'Its rows; a vector is one.';
COMMENT ON COLUMN forensics.num_never IS 'Rows that were never updated.';
COMMENT ON COLUMN forensics.num_undecided IS 'Rows that fit a shorter type, but have too few different weights to tell.';
COMMENT ON COLUMN forensics.starts IS 'First row of each run of rows that were never updated.';
COMMENT ON COLUMN forensics.stops IS 'The row after the last of each run.';

CREATE TABLE suggestion_check (
    model INTEGER NOT NULL,
    version VARCHAR NOT NULL,
    looked_at JSON NOT NULL,
    examined_at TIMESTAMP NOT NULL,
    elapsed_s DOUBLE NOT NULL
);
COMMENT ON TABLE suggestion_check IS 'Models for which compression was suggested, and what that rests on.';
COMMENT ON COLUMN suggestion_check.model IS 'The model: model.id.';
COMMENT ON COLUMN suggestion_check.version IS 'The ideas and their versions, name:version.';
COMMENT ON COLUMN suggestion_check.looked_at IS 'Which other findings took part: {"health", "spectra", "forensics", "relatives"}.';
COMMENT ON COLUMN suggestion_check.examined_at IS 'When (UTC).';
COMMENT ON COLUMN suggestion_check.elapsed_s IS 'How long it took.';

CREATE TABLE suggestion (
    model INTEGER NOT NULL,
    position INTEGER NOT NULL,
    idea VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    words VARCHAR NOT NULL,
    gain_bits DOUBLE,
    gain_bytes DOUBLE,
    num_weights BIGINT NOT NULL,
    baseline VARCHAR NOT NULL,
    confidence VARCHAR NOT NULL,
    limits VARCHAR NOT NULL,
    evidence JSON NOT NULL,
    recipe JSON NOT NULL
);
COMMENT ON TABLE suggestion IS 'Ideas for compressing a model, each with its evidence; also those for which nothing was found.';
COMMENT ON COLUMN suggestion.model IS 'The model: model.id.';
COMMENT ON COLUMN suggestion.position IS 'Reading order: the largest gain first.';
COMMENT ON COLUMN suggestion.idea IS 'The idea: exponent_coding, row_scales, …';
COMMENT ON COLUMN suggestion.state IS 'found, nothing (it was looked for), or unknown (what it needs was not measured).';
COMMENT ON COLUMN suggestion.words IS 'What was found, in plain words.';
COMMENT ON COLUMN suggestion.gain_bits IS 'Expected gain in bits for each weight concerned; NULL unless found.';
COMMENT ON COLUMN suggestion.gain_bytes IS 'The same for the whole model, in bytes.';
COMMENT ON COLUMN suggestion.num_weights IS 'Weights concerned.';
COMMENT ON COLUMN suggestion.baseline IS 'What the gain is counted against.';
COMMENT ON COLUMN suggestion.confidence IS 'exact (counted), formula (predicted, tested), or measured (really coded).';
COMMENT ON COLUMN suggestion.limits IS 'What the number does not say.';
COMMENT ON COLUMN suggestion.evidence IS 'The numbers it rests on: name -> number.';
COMMENT ON COLUMN suggestion.recipe IS 'Settings to try it with.';

CREATE TABLE suggestion_tensor (
    model INTEGER NOT NULL,
    idea VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    num_weights BIGINT NOT NULL,
    gain_bits DOUBLE NOT NULL,
    evidence JSON NOT NULL
);
COMMENT ON TABLE suggestion_tensor IS 'Suggestions tensor by tensor.';
COMMENT ON COLUMN suggestion_tensor.model IS 'The model: model.id.';
COMMENT ON COLUMN suggestion_tensor.idea IS 'The idea: suggestion.idea.';
COMMENT ON COLUMN suggestion_tensor.position IS 'Reading order: the most bytes first.';
COMMENT ON COLUMN suggestion_tensor.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN suggestion_tensor.num_weights IS 'Its weights.';
COMMENT ON COLUMN suggestion_tensor.gain_bits IS 'Expected gain in bits for each of its weights.';
COMMENT ON COLUMN suggestion_tensor.evidence IS 'The numbers it rests on.';

CREATE TABLE batch (
    run VARCHAR PRIMARY KEY,
    title VARCHAR NOT NULL,
    settings JSON NOT NULL,
    started_at TIMESTAMP NOT NULL,
    is_finished BOOLEAN NOT NULL,
    elapsed_s DOUBLE NOT NULL
);
COMMENT ON TABLE batch IS 'Batches: many models measured unattended.';
COMMENT ON COLUMN batch.run IS 'The run that did it.';
COMMENT ON COLUMN batch.title IS 'What was asked, in a few words.';
COMMENT ON COLUMN batch.settings IS 'Which steps, of which models.';
COMMENT ON COLUMN batch.started_at IS 'When (UTC).';
COMMENT ON COLUMN batch.is_finished IS 'Whether every model had its turn.';
COMMENT ON COLUMN batch.elapsed_s IS 'How long it took, all its runs together.';

CREATE TABLE batch_model (
    run VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    uri VARCHAR NOT NULL,
    content_hash VARCHAR,
    state VARCHAR NOT NULL,
    done VARCHAR[] NOT NULL,
    words VARCHAR NOT NULL,
    elapsed_s DOUBLE NOT NULL
);
COMMENT ON TABLE batch_model IS 'The models of batches: one row each, kept when the model is forgotten.';
COMMENT ON COLUMN batch_model.run IS 'The batch: batch.run.';
COMMENT ON COLUMN batch_model.position IS 'Its turn.';
COMMENT ON COLUMN batch_model.name IS 'Its name.';
COMMENT ON COLUMN batch_model.uri IS 'Where it is.';
COMMENT ON COLUMN batch_model.content_hash IS 'Its identity; NULL where it was not measured.';
COMMENT ON COLUMN batch_model.state IS 'waiting, done, partly (some steps failed) or failed.';
COMMENT ON COLUMN batch_model.done IS 'The steps that were done.';
COMMENT ON COLUMN batch_model.words IS 'What was found, or why it failed.';
COMMENT ON COLUMN batch_model.elapsed_s IS 'How long it took.';

CREATE TABLE pattern (
    key VARCHAR PRIMARY KEY,
    kind VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    words VARCHAR NOT NULL,
    tensor VARCHAR NOT NULL,
    value DOUBLE,
    numbers JSON NOT NULL,
    settings JSON NOT NULL,
    model_names VARCHAR[] NOT NULL,
    content_hashes VARCHAR[] NOT NULL,
    note VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    kept_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE pattern IS 'The library: findings that somebody chose to keep, of models here or elsewhere.';
COMMENT ON COLUMN pattern.key IS 'Hash of what was found, and of which models.';
COMMENT ON COLUMN pattern.kind IS 'health, forensics, suggestion, shared, anomaly.';
COMMENT ON COLUMN pattern.name IS 'The rule, idea or verdict that found it.';
COMMENT ON COLUMN pattern.title IS 'A few words.';
COMMENT ON COLUMN pattern.words IS 'What was found, in plain words.';
COMMENT ON COLUMN pattern.tensor IS 'Where; empty if it concerns whole models.';
COMMENT ON COLUMN pattern.value IS 'Its main number; NULL where there is none.';
COMMENT ON COLUMN pattern.numbers IS 'The numbers it rests on.';
COMMENT ON COLUMN pattern.settings IS 'Settings and versions under which it was found.';
COMMENT ON COLUMN pattern.model_names IS 'Names of the models.';
COMMENT ON COLUMN pattern.content_hashes IS 'Their identities, in the same order.';
COMMENT ON COLUMN pattern.note IS 'What the person who kept it wrote.';
COMMENT ON COLUMN pattern.origin IS 'here, or the name of the file that it was imported from.';
COMMENT ON COLUMN pattern.kept_at IS 'When it was kept (UTC).';

CREATE TABLE library_signature_v1 (
    content_hash VARCHAR NOT NULL,
    model_name VARCHAR NOT NULL,
    family VARCHAR NOT NULL,
    tensor VARCHAR NOT NULL,
    layer INTEGER,
    role VARCHAR NOT NULL,
    stack VARCHAR NOT NULL,
    features FLOAT[75] NOT NULL,
    origin VARCHAR NOT NULL
);
COMMENT ON TABLE library_signature_v1 IS 'Signatures, version 1, that were imported: of matrices of models that were measured elsewhere.';
COMMENT ON COLUMN library_signature_v1.content_hash IS 'Identity of the model.';
COMMENT ON COLUMN library_signature_v1.model_name IS 'Its name.';
COMMENT ON COLUMN library_signature_v1.family IS 'Its architecture.';
COMMENT ON COLUMN library_signature_v1.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN library_signature_v1.layer IS 'Number of its layer; NULL outside of the layers.';
COMMENT ON COLUMN library_signature_v1.role IS 'What it does: query, key, ffn_in, …';
COMMENT ON COLUMN library_signature_v1.stack IS 'encoder, decoder, vision, … where a model has several stacks; empty otherwise.';
COMMENT ON COLUMN library_signature_v1.features IS 'The features, in the order of signature_feature.position; NULL where undefined.';
COMMENT ON COLUMN library_signature_v1.origin IS 'Name of the file that it was imported from.';
