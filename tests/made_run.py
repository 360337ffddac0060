"""A run in a process of its own, for tests to kill or to start twice: python made_run.py JSON."""

import json
import sys
import time

import torch

from genzoo import runs
from genzoo.training import parallel


def main(family, named, folder, values, steps, settings, stand_still):
    torch.set_num_threads(1)
    dataset = runs.open_data(named, values)
    out = runs.Path(folder)
    run = runs.start(family, dataset, out, named=named, steps=steps, values=values, **settings)

    def report(progress):
        while progress.step == stand_still:  # logged, not yet kept: whoever waits for it may kill
            time.sleep(0.1)

    run.go(report)
    parallel.stop()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
