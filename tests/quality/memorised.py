"""Say whether a model repeats its training images: how near its samples come to them.

    GENZOO_DATA=FOLDER python tests/quality/memorised.py dcgan-celeba vae-celeba [--write]

A sample's distance is that to the nearest training image or its mirror image, in pixels and in the
features of the data set's classifier. Held-out real images have such distances too: a sample
nearer than all but 0.1 % of those has been learnt by heart. ``--write`` puts it into the cards.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

import genzoo
from genzoo import cards, data, store
from genzoo.metrics import features

SAMPLES, QUANTILE = 1000, 0.001


def nearest(x: Tensor, y: Tensor) -> Tensor:  # (n, d), (m, d) -> (n,)
    return torch.cat([torch.cdist(part, y).amin(1) for part in x.split(250)])


def views(x: Tensor, real: features.Reference) -> dict[str, Tensor]:
    """The images in pixels and in features: ``(n, d)`` each."""
    return {"pixels": x.flatten(1), "features": torch.from_numpy(real.features(x))}


def main(names: list[str | Path], write: bool) -> None:
    for name in names:
        manifest = store.read_manifest(cards.find(name))
        real = features.reference(manifest.data)
        train, test = data.open(manifest.data), data.open(manifest.data, "test")
        x = train.batch(range(len(train)))
        known = views(torch.cat([x, x.flip(3)]), real)
        held = views(test.batch(range(len(test))), real)
        made = views(genzoo.load(name, device="cpu").sample(SAMPLES, seed=0).tensor, real)
        for view, there in known.items():
            apart, theirs = nearest(made[view], there), nearest(held[view], there)
            limit = theirs.quantile(QUANTILE).item()
            near = int((apart < limit).sum())
            ratio = (apart.median() / theirs.median()).item()
            print(f"{name}, {view}: {near} of {SAMPLES} too near; median distance {ratio:.2f}")
            if write:
                protocol = {
                    "samples": SAMPLES,
                    "seed": 0,
                    "limit": f"the {QUANTILE:.1%} quantile of {len(test)} held-out images",
                    "nearest of": f"{len(train)} training images and their mirror images",
                    "median distance, held-out = 1": round(ratio, 3),
                }
                score = {"name": f"samples by heart ({view})", "value": near}
                cards.add_scores(cards.find(name), [{**score, "protocol": protocol}])


if __name__ == "__main__":
    chosen = [a for a in sys.argv[1:] if not a.startswith("-")]
    main([Path(a) if Path(a).is_dir() else a for a in chosen], "--write" in sys.argv)
