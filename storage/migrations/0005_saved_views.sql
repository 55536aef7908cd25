-- Saved views: where a person was, under a name, with a note.

CREATE TABLE saved_view (
    name VARCHAR PRIMARY KEY,
    note VARCHAR NOT NULL,
    page VARCHAR NOT NULL,
    parameters JSON NOT NULL,
    models JSON NOT NULL,
    saved_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE saved_view IS 'Views that a person saved under a name: page, everything set on it, and notes.';
COMMENT ON COLUMN saved_view.name IS 'Unique name, as the person called it.';
COMMENT ON COLUMN saved_view.note IS 'What the person wrote about it; empty without a note.';
COMMENT ON COLUMN saved_view.page IS 'The page: Heatmap, 3D Weights, Compare, SQL, …';
COMMENT ON COLUMN saved_view.parameters IS 'Everything set on the page, as in its URL: key -> list of texts.';
COMMENT ON COLUMN saved_view.models IS 'The models looked at: URL key -> name, and content_hash (null if it was not measured).';
COMMENT ON COLUMN saved_view.saved_at IS 'When (UTC).';
