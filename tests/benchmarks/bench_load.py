"""Loading a model folder against initialising, torch.load and load_state_dict."""

import tempfile

import torch
from paired import ratio

from genzoo import families
from genzoo.zoo import folder as folders


def main() -> None:
    family = families.get("dcgan")
    for name, config in (
        ("dcgan 64 px", family.config()),
        ("dcgan 64 px, width 256", family.config(width=256)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            model = family.model(config)
            folders.save(model, f"{folder}/model", family="dcgan")
            torch.save(model.state_dict(), f"{folder}/model.pt")

            def plain(config=config, folder=folder):
                made = family.model(config)
                made.load_state_dict(torch.load(f"{folder}/model.pt", weights_only=True))
                return made.eval()

            def ours(verify, folder=folder):
                return folders.load_folder(f"{folder}/model", "cpu", verify)

            mb = sum(t.numel() * 4 for t in model.state_dict().values()) / 1e6
            ratio(f"{name}, {mb:.0f} MB, not verified", lambda f=ours: f(False), plain)
            ratio(f"{name}, {mb:.0f} MB, verified", lambda f=ours: f(True), plain)


if __name__ == "__main__":
    main()
