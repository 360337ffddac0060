"""Training runs on disk: plan, batches, checkpoints, plots."""
