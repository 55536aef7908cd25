-- Signatures of null matrices: what noise that keeps some facts of a matrix looks like, to be shown beside it.

CREATE TABLE null_signature_v1 (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    null_model VARCHAR NOT NULL,
    draw INTEGER NOT NULL,
    features FLOAT[75] NOT NULL
);
COMMENT ON TABLE null_signature_v1 IS 'Signatures, version 1, of null matrices made from the matrices of models.';
COMMENT ON COLUMN null_signature_v1.model IS 'The model whose matrix the null was made from: model.id.';
COMMENT ON COLUMN null_signature_v1.tensor IS 'Name of the tensor that the null was made from.';
COMMENT ON COLUMN null_signature_v1.null_model IS 'Which null: row_column_gaussian, random_init, entry_shuffle, line_permutation or haar_rotation.';
COMMENT ON COLUMN null_signature_v1.draw IS 'Which of several nulls of one matrix, from 0.';
COMMENT ON COLUMN null_signature_v1.features IS 'The features, in the order of signature_feature.position; NULL where undefined.';
