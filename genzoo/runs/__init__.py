"""A training run on the disk: its plan, batches, checkpoints and plots."""
