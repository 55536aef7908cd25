-- Spectra: the singular values of matrices. The numbers that come of them are in measurement, as all others.

CREATE TABLE spectrum (
    model INTEGER NOT NULL,
    tensor VARCHAR NOT NULL,
    num_rows BIGINT NOT NULL,
    num_columns BIGINT NOT NULL,
    is_estimate BOOLEAN NOT NULL,
    singular_values DOUBLE[] NOT NULL,
    errors DOUBLE[] NOT NULL,
    problem VARCHAR
);
COMMENT ON TABLE spectrum IS 'The singular values of each matrix of a model whose spectra were measured.';
COMMENT ON COLUMN spectrum.model IS 'The model: model.id.';
COMMENT ON COLUMN spectrum.tensor IS 'Name of the tensor.';
COMMENT ON COLUMN spectrum.num_rows IS 'Rows of the matrix: the first dimension.';
COMMENT ON COLUMN spectrum.num_columns IS 'Columns of the matrix: all other dimensions together.';
COMMENT ON COLUMN spectrum.is_estimate IS 'True of a huge matrix, of which only the largest singular values were estimated.';
COMMENT ON COLUMN spectrum.singular_values IS 'Descending; all of them, at most 8192, or the largest 32 of an estimate; [] where there is a problem.';
COMMENT ON COLUMN spectrum.errors IS 'How far each estimated value may be off, as a part of it; [] of exact ones.';
COMMENT ON COLUMN spectrum.problem IS 'Why there is no spectrum (NaN, no elements); NULL if there is one.';
