"""Training runs on disk: plan, batches, checkpoints, plots."""

from genzoo import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "launch": ("Estimate", "estimate", "resume", "start"),
        "plan": ("Plan",),
        "run": ("Interrupted", "Run", "RunStatus"),
    },
)
