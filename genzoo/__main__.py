"""``python -m genzoo``, and torchrun's way in: ``torchrun ... -m genzoo train``."""

from genzoo.cli.entry import main

if __name__ == "__main__":
    main()
