from storage.worked_queries import worked_queries


def test_the_document_gives_ten_titled_queries_in_order():
    queries = worked_queries()
    assert len(queries) == 10
    assert next(iter(queries)) == "Which models are here, and how large are they?"
    assert all(sql.lower().startswith(("select", "with", "from")) for sql in queries.values())
