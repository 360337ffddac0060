"""sample() against the plain eager forward of the same generator in evaluation mode."""

import torch
from paired import ratio

from genzoo import families
from genzoo.models.randomness import Noise


def main() -> None:
    family = families.get("dcgan")
    for size, channels in ((64, 3), (28, 1)):
        model = family.model(family.config(size=size, channels=channels)).eval()
        for n in (64, 1):
            noise = Noise(0, range(n)).normal(model.latent_dim)

            def plain(model=model, noise=noise):
                return model.decode(noise)

            def ours(model=model, n=n):
                return model.sample(n)

            ratio(f"dcgan {size} px, batch {n}, sample against eager", ours, plain, 15)

            def plain_no_grad(plain=plain):
                with torch.no_grad():
                    return plain()

            ratio(f"dcgan {size} px, batch {n}, sample against no_grad", ours, plain_no_grad, 15)


if __name__ == "__main__":
    main()
