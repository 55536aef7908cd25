-- Signatures: one vector of features for every matrix and every model, and what they are compared with.

CREATE TABLE signature_v1 (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    layer INTEGER,
    role VARCHAR NOT NULL,
    stack VARCHAR NOT NULL,
    share DOUBLE,
    features FLOAT[75],
    errors FLOAT[75],
    problem VARCHAR
);
COMMENT ON TABLE signature_v1 IS 'Signatures of matrices, version 1: 75 features each; a matrix without one has its reason.';
COMMENT ON COLUMN signature_v1.model IS 'The model: model.id.';
COMMENT ON COLUMN signature_v1.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN signature_v1.position IS 'Place among the model''s matrices, in file order.';
COMMENT ON COLUMN signature_v1.layer IS 'Number of its layer; NULL outside of the layers.';
COMMENT ON COLUMN signature_v1.role IS 'What it does: query, key, ffn_in, …';
COMMENT ON COLUMN signature_v1.stack IS 'encoder, decoder, vision, … where a model has several stacks; empty otherwise.';
COMMENT ON COLUMN signature_v1.share IS 'Share of its entries that were looked at; 1 if all, NULL without a signature.';
COMMENT ON COLUMN signature_v1.features IS 'The features, in the order of signature_feature.position; NULL where undefined.';
COMMENT ON COLUMN signature_v1.errors IS 'Of a sample: how far its halves are from it, feature by feature; NULL if all was looked at.';
COMMENT ON COLUMN signature_v1.problem IS 'Why there is no signature; NULL if there is one.';

CREATE TABLE signature_index_v1 (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    standard FLOAT[75] NOT NULL
);
COMMENT ON TABLE signature_index_v1 IS 'What similar matrices are searched in: signatures of version 1 in standard units (see signature_fit).';
COMMENT ON COLUMN signature_index_v1.model IS 'The model: model.id.';
COMMENT ON COLUMN signature_index_v1.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN signature_index_v1.role IS 'What it does: query, key, ffn_in, …';
COMMENT ON COLUMN signature_index_v1.standard IS 'Distance of each feature from its median in robust standard deviations, within ±5; 0 where undefined.';

CREATE TABLE model_signature_v1 (
    model INTEGER NOT NULL,
    settings_hash VARCHAR NOT NULL,
    features FLOAT[1200] NOT NULL,
    standard FLOAT[1200] NOT NULL,
    known FLOAT[1200] NOT NULL,
    measured_at TIMESTAMP NOT NULL,
    elapsed_s DOUBLE NOT NULL
);
COMMENT ON TABLE model_signature_v1 IS 'Signatures of models, version 1: level and slope over depth of 75 features for 8 kinds of matrices.';
COMMENT ON COLUMN model_signature_v1.model IS 'The model: model.id.';
COMMENT ON COLUMN model_signature_v1.settings_hash IS 'Settings and features under which its signatures were taken.';
COMMENT ON COLUMN model_signature_v1.features IS 'The numbers, in the order of signature_feature.position; NULL where undefined.';
COMMENT ON COLUMN model_signature_v1.standard IS 'The same in standard units (see signature_fit), within ±5; 0 where undefined.';
COMMENT ON COLUMN model_signature_v1.known IS '1 where the number is defined, else 0: models are compared by what both have.';
COMMENT ON COLUMN model_signature_v1.measured_at IS 'When (UTC).';
COMMENT ON COLUMN model_signature_v1.elapsed_s IS 'How long taking its signatures took.';

CREATE TABLE signature_feature (
    version INTEGER NOT NULL,
    subject VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    feature_group VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    transform VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    centre DOUBLE NOT NULL,
    spread DOUBLE NOT NULL
);
COMMENT ON TABLE signature_feature IS 'What the numbers of a signature are, and the centre and unit that they are standardised with.';
COMMENT ON COLUMN signature_feature.version IS 'Version of the signature.';
COMMENT ON COLUMN signature_feature.subject IS 'tensor for signature_v1, model for model_signature_v1.';
COMMENT ON COLUMN signature_feature.position IS 'Place in the vector, from 1 as SQL counts.';
COMMENT ON COLUMN signature_feature.name IS 'The feature; of a model kind.feature.level or kind.feature.slope.';
COMMENT ON COLUMN signature_feature.feature_group IS 'scale, distribution, norms, spectrum, heads, order or outliers.';
COMMENT ON COLUMN signature_feature.unit IS 'Its unit; of a model the unit of the transformed feature.';
COMMENT ON COLUMN signature_feature.transform IS 'What is taken before it is compared: linear, log or log1p; done already in a model''s.';
COMMENT ON COLUMN signature_feature.title IS 'A few words.';
COMMENT ON COLUMN signature_feature.description IS 'What it means, with its formula.';
COMMENT ON COLUMN signature_feature.centre IS 'Its median over everything measured, after the transform.';
COMMENT ON COLUMN signature_feature.spread IS '1.4826·MAD over everything measured, after the transform, or the feature''s resolution if that is more.';

CREATE TABLE signature_fit (
    version INTEGER NOT NULL,
    fit INTEGER NOT NULL,
    num_tensors BIGINT NOT NULL,
    num_models BIGINT NOT NULL,
    fitted_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE signature_fit IS 'When the centres and units were last fitted; everything standardised is of the latest fit.';
COMMENT ON COLUMN signature_fit.version IS 'Version of the signature.';
COMMENT ON COLUMN signature_fit.fit IS 'Number of the fit, from 1. A new one is made when half as many matrices as it knew have come.';
COMMENT ON COLUMN signature_fit.num_tensors IS 'Matrices it rests on.';
COMMENT ON COLUMN signature_fit.num_models IS 'Models it rests on.';
COMMENT ON COLUMN signature_fit.fitted_at IS 'When (UTC).';

CREATE VIEW signature_values AS
SELECT m.name AS model, s.tensor, s.layer, s.role, f.name AS feature, f.feature_group, f.unit,
    s.features[f.position] AS value, s.errors[f.position] AS error
FROM signature_v1 s JOIN model m ON m.id = s.model
    JOIN signature_feature f ON f.version = 1 AND f.subject = 'tensor'
WHERE s.problem IS NULL;
COMMENT ON VIEW signature_values IS 'One row for each feature of each matrix that has a signature.';
COMMENT ON COLUMN signature_values.model IS 'Name of the model: model.name.';
COMMENT ON COLUMN signature_values.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN signature_values.layer IS 'Number of its layer; NULL outside of the layers.';
COMMENT ON COLUMN signature_values.role IS 'What it does: query, key, ffn_in, …';
COMMENT ON COLUMN signature_values.feature IS 'Name of the feature: signature_feature.name.';
COMMENT ON COLUMN signature_values.feature_group IS 'scale, distribution, norms, spectrum, heads, order or outliers.';
COMMENT ON COLUMN signature_values.unit IS 'Its unit.';
COMMENT ON COLUMN signature_values.value IS 'Its value; NULL where undefined.';
COMMENT ON COLUMN signature_values.error IS 'Of a sample, how far its halves are from it; NULL if all was looked at.';

CREATE VIEW model_signature_values AS
SELECT m.name AS model, split_part(f.name, '.', 1) AS kind, split_part(f.name, '.', 2) AS feature,
    split_part(f.name, '.', 3) AS aspect, f.feature_group, s.features[f.position] AS value,
    CASE WHEN s.known[f.position] = 1 THEN s.standard[f.position] END AS standard
FROM model_signature_v1 s JOIN model m ON m.id = s.model
    JOIN signature_feature f ON f.version = 1 AND f.subject = 'model';
COMMENT ON VIEW model_signature_values IS 'One row for each number of each model''s signature.';
COMMENT ON COLUMN model_signature_values.model IS 'Name of the model: model.name.';
COMMENT ON COLUMN model_signature_values.kind IS 'Kind of matrices: attention_in, ffn_out, …';
COMMENT ON COLUMN model_signature_values.feature IS 'Name of the feature.';
COMMENT ON COLUMN model_signature_values.aspect IS 'level: median over the kind; slope: change from the first layer to the last.';
COMMENT ON COLUMN model_signature_values.feature_group IS 'scale, distribution, norms, spectrum, heads, order or outliers.';
COMMENT ON COLUMN model_signature_values.value IS 'The number, after the feature''s transform; NULL where undefined.';
COMMENT ON COLUMN model_signature_values.standard IS 'The same in standard units; NULL where undefined.';
