"""The Chat page: conversations with a model, and a panel for every other task that a model can do."""
