"""The commands in the order of a first hour: panel by panel, each with its file and sentence.

`genzoo --help` reads this table alone; a command's file is imported when the command is used.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """A command: its panel, the file of genzoo/cli that defines it, and its first sentence."""

    panel: str
    module: str
    sentence: str


_PANELS = {
    "Use": [
        ("list", "list", "List models, families, data sets, metrics or plugins."),
        ("sample", "sample", "Draw samples from a model and write them to a file."),
        ("info", "list", "Show how a model was trained, or a family's options."),
        ("families", "families", "Show the families of models as a taxonomy."),
        ("demo", "demo", "Serve a page in the browser to play with models."),
        ("data", "data", "Look at data sets."),
        ("inspect", "inspect", "Show which model and seeds made a picture or a sound."),
        ("attend", "attend", "Show what pixels of a sample attend to."),
    ],
    "Edit": [
        ("interpolate", "interpolate", "Walk from sample to sample, as a film or a strip."),
        ("traverse", "traverse", "Change two numbers of a sample's code, on a grid."),
        ("arithmetic", "arithmetic", "Add and subtract the codes of samples."),
        ("direction", "direction", "Compute the direction of an attribute, like Smiling."),
        ("steer", "direction", "Move samples along a direction."),
        ("inpaint", "inpaint", "Fill in missing pixels of photos."),
        ("translate", "translate", "Translate a photo to another domain."),
    ],
    "Train": [
        ("train", "train", "Train a model, or resume a run."),
        ("plot", "plot", "Draw a run's losses, gradients and samples."),
        ("cache", "cache", "Show what the cache holds, or remove parts of it."),
    ],
    "Measure": [
        ("evaluate", "evaluate", "Measure a model, or a folder of images, by any metric."),
        ("compare", "compare", "Rank models by metrics, with confidence."),
        ("verify", "verify", "Measure the numbers on a model's card again."),
        ("reference", "reference", "Show published numbers beside those of the cards."),
        ("neighbours", "neighbours", "Show the training images nearest to samples."),
        ("outliers", "outliers", "Separate two kinds of images by their likelihood."),
        ("truncate", "truncate", "Plot whether truncation trades diversity for fidelity."),
        ("features", "features", "Write the features of a discriminator or an encoder."),
    ],
    "Share": [
        ("search", "search", "List the models on the Hugging Face Hub."),
        ("pull", "pull", "Download a model from the Hugging Face Hub."),
        ("push", "push", "Upload a model to the Hugging Face Hub."),
        ("export", "export", "Write a model as a file or a page that needs no genzoo."),
        ("cite", "cite", "Print BibTeX for a model and its family's paper."),
        ("adopt", "adopt", "Make a model of weights that others trained."),
        ("upgrade", "upgrade", "Bring model folders of genzoo 0.1 to today's format."),
    ],
    "Extend": [
        ("plugin", "plugin", "List, check or write plugins."),
        ("env", "env", "Print what a report of a bug needs to say."),
    ],
}
COMMANDS = {
    name: Entry(panel, module, sentence)
    for panel, rows in _PANELS.items()
    for name, module, sentence in rows
}
