"""Making small language models: text, tokenizer, decoder, training, and what held-out text says of the result."""
