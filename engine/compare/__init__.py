"""Two checkpoints side by side: which tensors belong together, what changed, and whether one comes from the other."""
