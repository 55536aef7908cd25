CREATE SEQUENCE pattern_test_id START 1;

CREATE TABLE pattern_test (
    test INTEGER PRIMARY KEY DEFAULT nextval('pattern_test_id'),
    version INTEGER NOT NULL,
    settings_hash VARCHAR NOT NULL,
    settings JSON NOT NULL,
    null_name VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL,
    sentences VARCHAR[] NOT NULL,
    limits VARCHAR[] NOT NULL,
    num_lineages INTEGER NOT NULL,
    group_bits DOUBLE,
    power DOUBLE,
    tested_at TIMESTAMP NOT NULL,
    elapsed_s DOUBLE NOT NULL
);
COMMENT ON TABLE pattern_test IS 'Shared-pattern tests: do differently trained models share weight patterns, and would sharing compress them?';
COMMENT ON COLUMN pattern_test.test IS 'Number of the test.';
COMMENT ON COLUMN pattern_test.version IS 'Version of the test; grows when the same weights would give other numbers.';
COMMENT ON COLUMN pattern_test.settings_hash IS 'Hash of version and settings: tests with the same one and the same models are the same.';
COMMENT ON COLUMN pattern_test.settings IS 'How it was tested: null, draws, seeds, limits, labels.';
COMMENT ON COLUMN pattern_test.null_name IS 'The null model: row_column_gaussian, random_init, entry_shuffle, …';
COMMENT ON COLUMN pattern_test.verdict IS 'weights (content is shared), form (only the shape of weights), nothing, apart (form was not asked), or unanswered.';
COMMENT ON COLUMN pattern_test.sentences IS 'The verdict and its grounds, in plain words.';
COMMENT ON COLUMN pattern_test.limits IS 'What the verdict does not say.';
COMMENT ON COLUMN pattern_test.num_lineages IS 'Independent models: relatives count once.';
COMMENT ON COLUMN pattern_test.group_bits IS 'Bits per weight of all models saved if each is written given its nearest relative, net; NULL if nothing was compared.';
COMMENT ON COLUMN pattern_test.power IS 'Probability of finding an effect of one standard deviation between models, if half of the tests have one.';
COMMENT ON COLUMN pattern_test.tested_at IS 'When it was tested (UTC).';
COMMENT ON COLUMN pattern_test.elapsed_s IS 'How long it took, in seconds.';

CREATE TABLE pattern_model (
    test INTEGER NOT NULL,
    position INTEGER NOT NULL,
    model INTEGER NOT NULL,
    lineage INTEGER NOT NULL,
    labels JSON NOT NULL,
    PRIMARY KEY (test, position)
);
COMMENT ON TABLE pattern_model IS 'The models of each shared-pattern test.';
COMMENT ON COLUMN pattern_model.test IS 'The test: pattern_test.test.';
COMMENT ON COLUMN pattern_model.position IS 'Place in the order of the test, from 0.';
COMMENT ON COLUMN pattern_model.model IS 'The model: model.id.';
COMMENT ON COLUMN pattern_model.lineage IS 'Models with the same number are relatives and count once.';
COMMENT ON COLUMN pattern_model.labels IS 'What was said of its training: data, seed, …';

CREATE TABLE pattern_effect (
    test INTEGER NOT NULL,
    position INTEGER NOT NULL,
    question VARCHAR NOT NULL,
    feature VARCHAR NOT NULL,
    role VARCHAR,
    effect DOUBLE,
    low DOUBLE,
    high DOUBLE,
    p_value DOUBLE,
    q_value DOUBLE,
    num_lineages INTEGER NOT NULL,
    typical DOUBLE,
    typical_null DOUBLE,
    PRIMARY KEY (test, position)
);
COMMENT ON TABLE pattern_effect IS 'How far models lie from their nulls, and how far they agree on positions, with one number a model.';
COMMENT ON COLUMN pattern_effect.test IS 'The test: pattern_test.test.';
COMMENT ON COLUMN pattern_effect.position IS 'Place in the order of certainty, from 0.';
COMMENT ON COLUMN pattern_effect.question IS 'level: do models lie on one side of their nulls; agreement: do they agree on which positions are high and low.';
COMMENT ON COLUMN pattern_effect.feature IS 'The feature of the signature.';
COMMENT ON COLUMN pattern_effect.role IS 'Which matrices: query, ffn_in, …; NULL of agreement, which is over all positions.';
COMMENT ON COLUMN pattern_effect.effect IS 'level: mean Cliff''s δ, −1 … 1; agreement: mean Spearman ρ between models beyond that of their nulls.';
COMMENT ON COLUMN pattern_effect.low IS 'Lower end of its 95 % interval over models; NULL of one model.';
COMMENT ON COLUMN pattern_effect.high IS 'Upper end of its 95 % interval over models; NULL of one model.';
COMMENT ON COLUMN pattern_effect.p_value IS 'From swapping models with their nulls: two-sided of level, one-sided of agreement.';
COMMENT ON COLUMN pattern_effect.q_value IS 'p after Benjamini-Hochberg over all effects of the same question.';
COMMENT ON COLUMN pattern_effect.num_lineages IS 'Independent models behind it.';
COMMENT ON COLUMN pattern_effect.typical IS 'Median over models, in the feature''s unit; NULL of agreement.';
COMMENT ON COLUMN pattern_effect.typical_null IS 'Median over their nulls; NULL of agreement.';

CREATE TABLE pattern_variance (
    test INTEGER NOT NULL,
    position INTEGER NOT NULL,
    feature VARCHAR NOT NULL,
    factor VARCHAR NOT NULL,
    eta_squared DOUBLE NOT NULL,
    chance DOUBLE,
    p_value DOUBLE,
    PRIMARY KEY (test, position)
);
COMMENT ON TABLE pattern_variance IS 'What the variance of features is due to: position in the network, lineage, data, seed.';
COMMENT ON COLUMN pattern_variance.test IS 'The test: pattern_test.test.';
COMMENT ON COLUMN pattern_variance.position IS 'Place in the test, from 0.';
COMMENT ON COLUMN pattern_variance.feature IS 'The feature of the signature.';
COMMENT ON COLUMN pattern_variance.factor IS 'position (layer and role), lineage, or a label such as data or seed.';
COMMENT ON COLUMN pattern_variance.eta_squared IS 'Share of the variance that lies between the values of the factor, 0 … 1.';
COMMENT ON COLUMN pattern_variance.chance IS 'Share that meaningless labels explain on average.';
COMMENT ON COLUMN pattern_variance.p_value IS 'From shuffling the labels over models; NULL of position.';

CREATE TABLE pattern_pair (
    test INTEGER NOT NULL,
    model_a INTEGER NOT NULL,
    model_b INTEGER NOT NULL,
    is_related BOOLEAN NOT NULL,
    is_in_tree BOOLEAN NOT NULL,
    alignment VARCHAR NOT NULL,
    correlation DOUBLE,
    aligned_correlation DOUBLE,
    gross DOUBLE,
    null_bits DOUBLE,
    net DOUBLE,
    low DOUBLE,
    high DOUBLE,
    num_weights BIGINT NOT NULL,
    by_role JSON NOT NULL,
    coded_alone DOUBLE,
    coded_given DOUBLE,
    coded_gain DOUBLE,
    predicted_gain DOUBLE,
    side_bits DOUBLE,
    cka DOUBLE,
    cka_null DOUBLE,
    PRIMARY KEY (test, model_a, model_b)
);
COMMENT ON TABLE pattern_pair IS 'Sharing dividend of every pair of models of a test: bits per weight that knowing one saves in writing the other.';
COMMENT ON COLUMN pattern_pair.test IS 'The test: pattern_test.test.';
COMMENT ON COLUMN pattern_pair.model_a IS 'The first model: model.id.';
COMMENT ON COLUMN pattern_pair.model_b IS 'The second model: model.id.';
COMMENT ON COLUMN pattern_pair.is_related IS 'Whether they have a common origin: equal places correlate.';
COMMENT ON COLUMN pattern_pair.is_in_tree IS 'Whether the group is written best with one of them given the other.';
COMMENT ON COLUMN pattern_pair.alignment IS 'Which way of laying one over the other saves most: as stored, units, or units and stream.';
COMMENT ON COLUMN pattern_pair.correlation IS 'Correlation of weights as stored.';
COMMENT ON COLUMN pattern_pair.aligned_correlation IS 'Correlation of weights in that way.';
COMMENT ON COLUMN pattern_pair.gross IS '½·log₂(1/(1 − ρ²)), bits per weight, over all matrices.';
COMMENT ON COLUMN pattern_pair.null_bits IS 'What the same alignment finds in nulls of both, mean of the draws.';
COMMENT ON COLUMN pattern_pair.net IS 'gross − null_bits: the sharing dividend.';
COMMENT ON COLUMN pattern_pair.low IS 'Lower end of its 95 % interval, from the draws of the null; NULL of fewer than 2.';
COMMENT ON COLUMN pattern_pair.high IS 'Upper end of its 95 % interval, from the draws of the null; NULL of fewer than 2.';
COMMENT ON COLUMN pattern_pair.num_weights IS 'Weights compared.';
COMMENT ON COLUMN pattern_pair.by_role IS 'Role -> gross bits per weight.';
COMMENT ON COLUMN pattern_pair.coded_alone IS 'Bits per weight that writing B alone really took; NULL if it was not tried.';
COMMENT ON COLUMN pattern_pair.coded_given IS 'Bits per weight that writing B given A really took, all side information counted.';
COMMENT ON COLUMN pattern_pair.coded_gain IS 'coded_alone − coded_given.';
COMMENT ON COLUMN pattern_pair.predicted_gain IS 'The gain that was to be expected from the shapes of both distributions.';
COMMENT ON COLUMN pattern_pair.side_bits IS 'Of coded_given, bits per weight that are not weights: steps, slopes, distributions, permutations.';
COMMENT ON COLUMN pattern_pair.cka IS 'Debiased linear CKA of what both make of the same text; NULL if they were not run.';
COMMENT ON COLUMN pattern_pair.cka_null IS 'The same of their random starts.';

CREATE TABLE pattern_subspace (
    test INTEGER NOT NULL,
    num_directions INTEGER NOT NULL,
    left_out DOUBLE,
    unrelated DOUBLE,
    mean_only DOUBLE,
    null_share DOUBLE,
    in_sample DOUBLE,
    PRIMARY KEY (test, num_directions)
);
COMMENT ON TABLE pattern_subspace IS 'Leave-one-out test of a common subspace: share of a model that the directions of others explain.';
COMMENT ON COLUMN pattern_subspace.test IS 'The test: pattern_test.test.';
COMMENT ON COLUMN pattern_subspace.num_directions IS 'Leading directions used.';
COMMENT ON COLUMN pattern_subspace.left_out IS 'Explained by the directions of all other models, relatives among them.';
COMMENT ON COLUMN pattern_subspace.unrelated IS 'Explained by the directions of unrelated models: the honest number.';
COMMENT ON COLUMN pattern_subspace.mean_only IS 'Explained by the mean of unrelated models alone.';
COMMENT ON COLUMN pattern_subspace.null_share IS 'What unrelated is of nulls.';
COMMENT ON COLUMN pattern_subspace.in_sample IS 'Explained by directions that the model itself helped to draw: proves nothing.';

CREATE VIEW pattern_dividends AS
SELECT t.test, a.name AS model_a, b.name AS model_b, p.is_related, p.alignment, p.aligned_correlation, p.gross,
    p.null_bits, p.net, p.low, p.high, p.coded_gain, p.cka, p.cka_null, t.null_name, t.tested_at
FROM pattern_pair p
JOIN pattern_test t ON t.test = p.test
JOIN model a ON a.id = p.model_a
JOIN model b ON b.id = p.model_b;
COMMENT ON VIEW pattern_dividends IS 'Sharing dividends with the names of the models, in bits per weight.';
COMMENT ON COLUMN pattern_dividends.test IS 'The test: pattern_test.test.';
COMMENT ON COLUMN pattern_dividends.model_a IS 'Name of the first model: model.name.';
COMMENT ON COLUMN pattern_dividends.model_b IS 'Name of the second model: model.name.';
COMMENT ON COLUMN pattern_dividends.is_related IS 'Whether they have a common origin.';
COMMENT ON COLUMN pattern_dividends.alignment IS 'Which way of laying one over the other saves most.';
COMMENT ON COLUMN pattern_dividends.aligned_correlation IS 'Correlation of weights in that way.';
COMMENT ON COLUMN pattern_dividends.gross IS 'Bits per weight before the null is taken away.';
COMMENT ON COLUMN pattern_dividends.null_bits IS 'What alignment finds in nulls of both.';
COMMENT ON COLUMN pattern_dividends.net IS 'The sharing dividend: gross − null_bits.';
COMMENT ON COLUMN pattern_dividends.low IS 'Lower end of its 95 % interval.';
COMMENT ON COLUMN pattern_dividends.high IS 'Upper end of its 95 % interval.';
COMMENT ON COLUMN pattern_dividends.coded_gain IS 'What coding one given the other really saved; NULL if it was not tried.';
COMMENT ON COLUMN pattern_dividends.cka IS 'Likeness of what both make of the same text; NULL if they were not run.';
COMMENT ON COLUMN pattern_dividends.cka_null IS 'The same of their random starts.';
COMMENT ON COLUMN pattern_dividends.null_name IS 'The null model.';
COMMENT ON COLUMN pattern_dividends.tested_at IS 'When it was tested (UTC).';
