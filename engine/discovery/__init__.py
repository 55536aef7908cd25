"""Discovery: what resembles what over many models, what is odd, and whether models share patterns or only look so."""
