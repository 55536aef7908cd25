-- Comparisons: what changed between two measured models, and whether one comes from the other.

CREATE TABLE comparison (
    model_a INTEGER NOT NULL,
    model_b INTEGER NOT NULL,
    version INTEGER NOT NULL,
    settings_hash VARCHAR NOT NULL,
    tolerance DOUBLE NOT NULL,
    sentences VARCHAR[] NOT NULL,
    notes VARCHAR[] NOT NULL,
    compared_at TIMESTAMP NOT NULL,
    elapsed_s DOUBLE NOT NULL,
    PRIMARY KEY (model_a, model_b)
);
COMMENT ON TABLE comparison IS 'Pairs of models that were compared, A before B; Δ = B − A.';
COMMENT ON COLUMN comparison.model_a IS 'The first model: model.id.';
COMMENT ON COLUMN comparison.model_b IS 'The second model: model.id.';
COMMENT ON COLUMN comparison.version IS 'Version of the comparing; grows when the same weights would give other rows.';
COMMENT ON COLUMN comparison.settings_hash IS 'Hash of version and settings: equal means that comparing again would give the same rows.';
COMMENT ON COLUMN comparison.tolerance IS 'Largest |Δ| that counts as unchanged in above_fraction.';
COMMENT ON COLUMN comparison.sentences IS 'What changed, in plain words.';
COMMENT ON COLUMN comparison.notes IS 'What was ambiguous when the tensors were matched.';
COMMENT ON COLUMN comparison.compared_at IS 'When it was compared (UTC).';
COMMENT ON COLUMN comparison.elapsed_s IS 'How long the comparing took, in seconds.';

CREATE TABLE comparison_tensor (
    model_a INTEGER NOT NULL,
    model_b INTEGER NOT NULL,
    position INTEGER NOT NULL,
    tensor_a VARCHAR,
    tensor_b VARCHAR,
    matched_by VARCHAR,
    is_sure BOOLEAN,
    layer INTEGER,
    role VARCHAR NOT NULL,
    part VARCHAR NOT NULL,
    stack VARCHAR NOT NULL,
    max_row BIGINT,
    max_column BIGINT,
    note VARCHAR NOT NULL,
    problem VARCHAR
);
COMMENT ON TABLE comparison_tensor IS 'The tensors of a comparison: each pair that belongs together, and each tensor that only one model has.';
COMMENT ON COLUMN comparison_tensor.model_a IS 'The first model: model.id.';
COMMENT ON COLUMN comparison_tensor.model_b IS 'The second model: model.id.';
COMMENT ON COLUMN comparison_tensor.position IS 'Place in the comparison, from 0: in file order of A, then what only B has.';
COMMENT ON COLUMN comparison_tensor.tensor_a IS 'Name in A; NULL if only B has it.';
COMMENT ON COLUMN comparison_tensor.tensor_b IS 'Name in B; NULL if only A has it.';
COMMENT ON COLUMN comparison_tensor.matched_by IS 'How they were found to belong together: name, prefix, layer, place, content or tied; NULL without a partner.';
COMMENT ON COLUMN comparison_tensor.is_sure IS 'False if how they fit together is a guess; NULL without a partner.';
COMMENT ON COLUMN comparison_tensor.layer IS 'Block number from 0, in A if it has the tensor; NULL outside the stack of blocks.';
COMMENT ON COLUMN comparison_tensor.role IS 'What it does: query, key, value, output, ffn_in, ffn_out, …, or other.';
COMMENT ON COLUMN comparison_tensor.part IS 'weight, bias, running_mean, …';
COMMENT ON COLUMN comparison_tensor.stack IS 'encoder, decoder, vision, … where a model has several stacks; empty otherwise.';
COMMENT ON COLUMN comparison_tensor.max_row IS 'Row of the largest |Δ|, from 0; NULL if nothing changed.';
COMMENT ON COLUMN comparison_tensor.max_column IS 'Column of the largest |Δ|, from 0; NULL if nothing changed.';
COMMENT ON COLUMN comparison_tensor.note IS 'What a reader should know of the match; empty if nothing.';
COMMENT ON COLUMN comparison_tensor.problem IS 'Why the pair could not be compared; NULL if it could.';

CREATE TABLE comparison_value (
    model_a INTEGER NOT NULL,
    model_b INTEGER NOT NULL,
    position INTEGER NOT NULL,
    measure VARCHAR NOT NULL,
    value DOUBLE
);
COMMENT ON TABLE comparison_value IS 'The numbers of a comparison: one row for each pair of tensors and measure.';
COMMENT ON COLUMN comparison_value.model_a IS 'The first model: model.id.';
COMMENT ON COLUMN comparison_value.model_b IS 'The second model: model.id.';
COMMENT ON COLUMN comparison_value.position IS 'The pair of tensors: comparison_tensor.position.';
COMMENT ON COLUMN comparison_value.measure IS 'What was measured; the columns of the view comparison_stats.';
COMMENT ON COLUMN comparison_value.value IS 'The number; NULL where undefined.';

CREATE VIEW comparison_stats AS
SELECT a.name AS model_a, b.name AS model_b, t.position, t.tensor_a, t.tensor_b, t.matched_by, t.layer, t.role, t.part,
    t.stack, t.note, t.problem, t.max_row, t.max_column,
    v.num_compared, v.num_changed, v.changed_fraction, v.above_fraction, v.relative_change, v.one_minus_cosine,
    v.max_abs, v.flip_fraction, v.num_excluded, v.l2_a, v.l2_b, v.l2_delta, v.effective_rank, v.rank_99
FROM comparison_tensor t
JOIN model a ON a.id = t.model_a
JOIN model b ON b.id = t.model_b
LEFT JOIN (
    SELECT x.model_a, x.model_b, x.position,
        max(x.value) FILTER (x.measure = 'num_compared')::BIGINT AS num_compared,
        max(x.value) FILTER (x.measure = 'num_changed')::BIGINT AS num_changed,
        max(x.value) FILTER (x.measure = 'changed_fraction') AS changed_fraction,
        max(x.value) FILTER (x.measure = 'above_fraction') AS above_fraction,
        max(x.value) FILTER (x.measure = 'relative_change') AS relative_change,
        max(x.value) FILTER (x.measure = 'one_minus_cosine') AS one_minus_cosine,
        max(x.value) FILTER (x.measure = 'max_abs') AS max_abs,
        max(x.value) FILTER (x.measure = 'flip_fraction') AS flip_fraction,
        max(x.value) FILTER (x.measure = 'num_excluded')::BIGINT AS num_excluded,
        max(x.value) FILTER (x.measure = 'l2_a') AS l2_a,
        max(x.value) FILTER (x.measure = 'l2_b') AS l2_b,
        max(x.value) FILTER (x.measure = 'l2_delta') AS l2_delta,
        max(x.value) FILTER (x.measure = 'effective_rank') AS effective_rank,
        max(x.value) FILTER (x.measure = 'rank_99')::BIGINT AS rank_99
    FROM comparison_value x GROUP BY x.model_a, x.model_b, x.position
) v ON v.model_a = t.model_a AND v.model_b = t.model_b AND v.position = t.position;
COMMENT ON VIEW comparison_stats IS 'One row for each pair of tensors of each comparison, with every number in a column of its own; Δ = B − A.';
COMMENT ON COLUMN comparison_stats.model_a IS 'Name of the first model: model.name.';
COMMENT ON COLUMN comparison_stats.model_b IS 'Name of the second model: model.name.';
COMMENT ON COLUMN comparison_stats.position IS 'Place in the comparison, from 0.';
COMMENT ON COLUMN comparison_stats.tensor_a IS 'Name in A; NULL if only B has it.';
COMMENT ON COLUMN comparison_stats.tensor_b IS 'Name in B; NULL if only A has it.';
COMMENT ON COLUMN comparison_stats.matched_by IS 'How they were found to belong together: name, prefix, layer, place, content or tied.';
COMMENT ON COLUMN comparison_stats.layer IS 'Block number from 0; NULL outside the stack of blocks.';
COMMENT ON COLUMN comparison_stats.role IS 'What it does: query, key, value, output, ffn_in, ffn_out, …, or other.';
COMMENT ON COLUMN comparison_stats.part IS 'weight, bias, running_mean, …';
COMMENT ON COLUMN comparison_stats.stack IS 'encoder, decoder, vision, … where a model has several stacks; empty otherwise.';
COMMENT ON COLUMN comparison_stats.note IS 'What a reader should know of the match; empty if nothing.';
COMMENT ON COLUMN comparison_stats.problem IS 'Why the pair could not be compared; NULL if it could.';
COMMENT ON COLUMN comparison_stats.max_row IS 'Row of the largest |Δ|, from 0; NULL if nothing changed.';
COMMENT ON COLUMN comparison_stats.max_column IS 'Column of the largest |Δ|, from 0; NULL if nothing changed.';
COMMENT ON COLUMN comparison_stats.num_compared IS 'Weights compared.';
COMMENT ON COLUMN comparison_stats.num_changed IS 'Weights that differ in a bit.';
COMMENT ON COLUMN comparison_stats.changed_fraction IS 'Share of weights that differ in a bit, 0 … 1.';
COMMENT ON COLUMN comparison_stats.above_fraction IS 'Share of weights that changed by more than the tolerance, 0 … 1.';
COMMENT ON COLUMN comparison_stats.relative_change IS '‖Δ‖ / ‖A‖, Frobenius norms.';
COMMENT ON COLUMN comparison_stats.one_minus_cosine IS '1 − cosine of A and B, 0 (same direction) … 2.';
COMMENT ON COLUMN comparison_stats.max_abs IS 'Largest |Δ|.';
COMMENT ON COLUMN comparison_stats.flip_fraction IS 'Share of weights whose sign flipped, 0 … 1.';
COMMENT ON COLUMN comparison_stats.num_excluded IS 'Entries that are NaN or infinite in A or B, left out of all numbers but the changed bits.';
COMMENT ON COLUMN comparison_stats.l2_a IS 'Frobenius norm of A.';
COMMENT ON COLUMN comparison_stats.l2_b IS 'Frobenius norm of B.';
COMMENT ON COLUMN comparison_stats.l2_delta IS 'Frobenius norm of Δ.';
COMMENT ON COLUMN comparison_stats.effective_rank IS 'exp of the entropy of the singular values of Δ: in how many directions it changed; NULL of vectors and huge matrices.';
COMMENT ON COLUMN comparison_stats.rank_99 IS 'Fewest directions that hold 99 % of ‖Δ‖²; NULL of vectors and huge matrices.';

CREATE TABLE lineage (
    model_a INTEGER NOT NULL,
    model_b INTEGER NOT NULL,
    version INTEGER NOT NULL,
    verdict VARCHAR NOT NULL,
    agreement DOUBLE,
    p_value DOUBLE,
    effect_size DOUBLE,
    words VARCHAR NOT NULL,
    evidence JSON NOT NULL,
    judged_at TIMESTAMP NOT NULL,
    elapsed_s DOUBLE NOT NULL,
    PRIMARY KEY (model_a, model_b)
);
COMMENT ON TABLE lineage IS 'Whether one model comes from another, by the agreement of two independent matchings of their hidden units.';
COMMENT ON COLUMN lineage.model_a IS 'The first model: model.id.';
COMMENT ON COLUMN lineage.model_b IS 'The second model: model.id.';
COMMENT ON COLUMN lineage.version IS 'Version of the test; grows when the same weights would give another verdict.';
COMMENT ON COLUMN lineage.verdict IS 'same weights, derived, same seed, same architecture, unrelated, or unanswered.';
COMMENT ON COLUMN lineage.agreement IS 'Share of hidden units on which both matchings agree, 0 … 1; NULL if there are none to match.';
COMMENT ON COLUMN lineage.p_value IS 'Probability of at least that agreement between unrelated models; NULL if unanswered.';
COMMENT ON COLUMN lineage.effect_size IS 'Mean correlation of the matched hidden units beyond that of unrelated ones; NULL if unanswered.';
COMMENT ON COLUMN lineage.words IS 'The verdict and its grounds, in plain words.';
COMMENT ON COLUMN lineage.evidence IS 'Every number behind the verdict, and what was looked at but is no evidence.';
COMMENT ON COLUMN lineage.judged_at IS 'When it was judged (UTC).';
COMMENT ON COLUMN lineage.elapsed_s IS 'How long the judging took, in seconds.';
