"""The measures taken of every tensor."""
