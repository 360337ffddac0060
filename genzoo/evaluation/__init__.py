"""What metrics are used for: to evaluate, compare and verify models, and to look closer."""
