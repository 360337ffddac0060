"""What the training monitor costs: a hundred steps against its looks, one of which samples."""

from pathlib import Path

import torch
from paired import ratio

from genzoo.runs import run as run_folder
from genzoo.runs.plan import make_plan, plan
from genzoo.training.monitor import EVERY

CASES = {
    "gan": ("digits", {}),
    "dcgan": ("digits", {"width": 16, "ema_decay": 0.99}),
    "wgan-gp": ("ring8", {}),
    "cgan": ("digits", {"network": "conv", "width": 16, "batch_size": 32}),
    "vae": ("digits", {}),
}


def main() -> None:
    for family, (named, values) in CASES.items():
        setup = plan(family, named, values)
        record = make_plan(family, named, setup, steps=10**6, device="cpu")
        run = run_folder.Run(record, setup.dataset, Path())
        batches = run.loader.batches()
        batch = next(batches)
        logs = run.trainer.step(batch)

        def steps(run=run, batches=batches):
            for _ in range(EVERY):
                run.trainer.step(next(batches))

        def looks(run=run, logs=logs, batch=batch):
            for step in range(1, EVERY + 1):
                run.monitor.check(step, logs, batch)

        ratio(f"{family} on {named}: {EVERY} steps against the monitor's", looks, steps, rounds=3)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
