"""Attention seen from its weights: queries, keys, values and outputs by head, and what each head's circuits do."""
