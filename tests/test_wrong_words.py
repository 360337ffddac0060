"""Commands as a new user mistypes or misremembers them: one line says the right words.

They were written before any message was mended, three or more for each command. Most ask for no
model; none trains, draws or measures.
"""

import os
import re

import numpy as np
import pytest
from PIL import Image

from genzoo import families
from genzoo.cli import run
from genzoo.families import registry
from genzoo.options import OTHER_NAMES, AdversarialOptions, ours, unknown_field

WRONG = {
    # sample
    "sample vae-mnist --label 7": "vae-mnist has no classes: leave --label out. Models that have: "
    "acgan-mnist, cgan-fashion-mnist, cgan-mnist, pixelcnn-mnist-labels",
    "sample dcgan celeba": "no place for celeba: did you mean dcgan-celeba?",
    "sample dcgan-mnist --count 16": "did you mean --n 16?",
    "sample cgan-mnist --class 7": "did you mean --label 7?",
    "sample cgan-mnist --label seven": "no class is called 'seven': did you mean 7?",
    "sample dcgan-mnist 16": "did you mean -n 16?",
    "sample dcgan-mnist --format jpg": "type -o NAME.jpg",
    "sample cgan-mnist -l 3": "did you mean --label 3?",
    "sample cgan-mnist --label eleven": "no class is called 'eleven': available: 0, 1, 2",
    "sample cgan-fashion-mnist --label boot": "did you mean Ankle boot?",
    "sample cgan-fashion-mnist --label Ankle boot": "did you mean --label 'Ankle boot'?",
    "sample cgan-mnist --label 3 5": "did you mean --label 3,5?",
    "sample dcgan-mnist -o my digits.png": "did you mean -o 'my digits.png'?",
    "sample dcgan-mnist -o digits.bmp": "images go to .png",
    "sample dcgan-mnist --device gpu": "genzoo calls a GPU cuda or mps",
    "sample dcgan-mnist --gpu": "did you mean --device",
    "sample dcgan-mnist -n 0": "-n must be a whole number of at least 1, got 0",
    "sample dcgan-mnist --set heat=0.5": "no setting 'heat': its settings are truncation, temp",
    "sample dcgan-mnist --set lr=0.1": "a field of training: genzoo train dcgan --set lr=...",
    "sample dcgan-mnist --truncation 0.5": "type --set truncation=0.5",
    "sample dcgan-mnist --set psi=0.5": "did you mean --set truncation=0.5?",
    "sample digits": "digits is a data set",
    "sample photo.png": "genzoo inspect photo.png",
    "sample dcgan-mnist -o photo.png": "photo.png exists: choose another --out",
    "sample": "needs MODEL: a model of genzoo list, or a folder like ./mine",
    # train
    "train vae --lr 0.1": "type --set lr=0.1",
    "train vae --set learning_rate=0.1": "did you mean lr?",
    "train vae --batch-size 64": "type --set batch_size=64",
    "train vae --latent-dim=32": "type --set latent_dim=32",
    "train vae --horizontal-flip": "type --set horizontal_flip=true",
    "train vae --bs 64": "type --set batch_size=64",
    "train vae --epochs 10": "type --steps N, or --minutes N",
    "train vae --set epochs=10": "--steps N, or --minutes N",
    "train vae --set steps=10": "it is an option, --steps 10",
    "train vae --set root=/data": "it is an option, --data-root /data",
    "train vae --set start_from=vae-mnist": "it is an option, --from vae-mnist",
    "train vae --set compile=true": "it is an option, --compile",
    "train vae --steps 0": "--steps must be at least 1, got 0",
    "train vae --steps ten": "--steps must be a whole number, got ten",
    "train vae --minutes 0": "--minutes must be at least 0.01, got 0",
    "train dcgan-celeba": "--recipe dcgan-celeba",
    "train ./mine": "--from ./mine",
    "train digits": "genzoo train FAMILY --data digits",
    "train vae --data minst": "did you mean mnist?",
    "train vae --set z_dim=32": "did you mean latent_dim?",
    "train vae --set lr 0.1": "did you mean --set lr=0.1?",
    "train vae lr=0.1": "a setting is written --set lr=0.1",
    "train vae --set lr=-1": "lr must be above 0, got -1",
    "train --family vae": "FAMILY is written without one: genzoo train FAMILY",
    "train vae --name my-vae": "did you mean --out my-vae?",
    "train vae -e 10": "did you mean --steps",
    "train vae mnist": "did you mean --data mnist?",
    "train vae --dataset mnist": "did you mean --data mnist?",
    "train vae --data pictures": "did you mean ./pictures?",
    "train vae --data photo.png": "photo.png is a file: a data set is a folder or a .zip",
    "train vae --data ./gone": "no such folder or .zip: ./gone",
    "train gan --out old": "old already contains config.json: choose another folder, or replace it "
    "with --force",
    "train vae --precision float32": "did you mean --precision fp32?",
    "train vae --store-as fp16": "did you mean --store-as float16?",
    "train --resume my-vae": "genzoo train --resume --out my-vae",
    "train": "no family given: genzoo train FAMILY",
    "train vae --checkpoint x.pt": "did you mean --from x.pt?",
    "train cyclegann": "did you mean cyclegan or stylegan or cgan?",
    # evaluate, compare
    "evaluate vae-mnist --metric fd": "did you mean --metrics fd?",
    "evaluate vae-mnist --metrics fidd": "did you mean fid or fd?",
    "evaluate photo.png": "photo.png is a file",
    "evaluate vae-mnist --samples 1000": "did you mean --n 1000?",
    "evaluate mnist": "type --data mnist",
    "evaluate vae-mnist --fid": "type --metrics fid",
    "evaluate --model vae-mnist": "MODEL is written without one: genzoo evaluate MODEL",
    "evaluate pictures": "to measure its images: images:./pictures",
    "evaluate ./pictures": "to measure its images: images:./pictures",
    "evaluate vae-mnist gan-mnist": "did you mean genzoo compare vae-mnist gan-mnist?",
    "evaluate vae-mnist --metrics fd recall": "did you mean --metrics fd,recall?",
    "evaluate vae-mnist -o scores.json": "its result is printed; type --json > scores.json",
    "evaluate vae-mnist fd": "genzoo evaluate MODEL --metrics fd",
    "compare vae-mnist,gan-mnist": "with spaces between: vae-mnist gan-mnist",
    "compare vae-mnist gan-mnist -o x.jpg": "expected a name ending in .html or .png or .json",
    "compare vae-mnist gan-mnist -o photo.png": "photo.png exists",
    "compare vae-mnist": "two models or more, got 1: others of mnist are acgan-mnist, cgan-mnist",
    "compare vae-mnist vs dcgan-mnist": "type the names alone",
    "compare dcgan-mnist mnist": "type --data mnist",
    # list, info, families
    "ls": "genzoo list",
    "models": "genzoo list",
    "list vae": "genzoo info vae",
    "list --all": "genzoo list --help",
    "list metric": "must be one of 'models', 'families', 'data', 'metrics', 'plugins'",
    "list metrik": "did you mean genzoo list metrics?",
    "list datasets": "did you mean genzoo list data?",
    "list plugin": "did you mean genzoo list plugins?",
    "info dcgan mnist": "did you mean dcgan-mnist?",
    "info photo.png": "genzoo inspect photo.png",
    "info celeba": "celeba is a data set",
    "info fid": "genzoo evaluate MODEL --metrics fid",
    "families vae": "genzoo info vae",
    "family": "genzoo list families",
    "datasets": "genzoo list data",
    "data --list": "genzoo list data",
    "data celeba": "did you mean genzoo data show celeba?",
    "data list": "did you mean genzoo list data?",
    "data show minst": "did you mean mnist?",
    "data show mnist --label 3": "a part of the data is written DATA:3",
    "metrics": "genzoo list metrics",
    "plugins --list": "genzoo list plugins",
    # plugin
    "plugin chek vae": "did you mean check?",
    "plugin create my-gan": "genzoo plugin new",
    "plugin check": "needs NAME",
    "plugin new my-gan --type metric": "did you mean --kind metric?",
    # demo
    "demo vae-mnist --share": "did you mean --host",
    "demo --port 0": "--port must be at least 1, got 0",
    "demo 7860": "genzoo demo --port 7860",
    "demo celebaa": "did you mean vae-celeba or dcgan-celeba?",
    "demo dcgan-celeba --browser": "did you mean --browse?",
    # attend
    "attend dcgan-celeba --at 16,16": "models that can: sagan-cifar10",
    "attend sagan-cifar10 --at 16x16": "ROW,COLUMN, like 16,16",
    "attend sagan-cifar10 --at 16 16": "did you mean --at 16,16?",
    "attend sagan-cifar10 --pixel 16,16": "did you mean --at 16,16?",
    # inspect
    "inspect dcgan-mnist": "genzoo info dcgan-mnist",
    "inspect gone.png": "cannot read gone.png",
    "inspect photo.png --again": "did you mean --reproduce?",
    # arithmetic, direction, steer
    "arithmetic pixelcnn-mnist 1 + 2": "models that can: acgan-mnist, cgan-fashion-mnist",
    "arithmetic dcgan-celeba": "needs SUM: means of samples",
    "arithmetic dcgan-celeba 1 plus 2": "got '1 plus 2'",
    "direction dcgan-celeba Smiling": "did you mean --of Smiling?",
    "arithmetic dcgan-celeba king - man": "expected a list of samples",
    "direction dcgan-celeba": "a direction needs --of ATTRIBUTE, or both --toward and --away",
    "direction dcgan-celeba --of smile": "did you mean Smiling",
    "direction vae-mnist --of three": "did you mean 3?",
    "direction dcgan-celeba --of Wearing Hat": "did you mean --of 'Wearing Hat'?",
    "direction dcgan-celeba --attribute Smiling": "did you mean --of Smiling?",
    "direction pixelcnn-mnist --of 3": "models that can: acgan-mnist, cgan-fashion-mnist",
    "steer dcgan-celeba Smiling --sample 3": "make one with genzoo direction",
    "steer dcgan-celeba --direction smile.safetensors": "genzoo steer MODEL DIRECTION",
    "steer dcgan-celeba --of Smiling --sample 3": "genzoo direction has it",
    "steer dcgan-celeba x.safetensors --sample 3 17": "did you mean --sample 3,17?",
    "steer dcgan-celeba smile --sample 3": "genzoo direction dcgan-celeba --of ATTRIBUTE -o smile.",
    "steer smile.safetensors dcgan-celeba --sample 3": "genzoo steer dcgan-celeba smile.safeten",
    "steer dcgan-celeba photo.png --sample 3 --alphas big": "expected alphas like -2,0,2 or -2:2",
    "steer dcgan-celeba x.safetensors --alpha 2": "did you mean --alphas 2?",
    # features, inpaint
    "features pixelcnn-mnist photo.png": "models with one: acgan-mnist, cgan-fashion-mnist",
    "features dcgan-mnist gone.png": "cannot read gone.png",
    "features dcgan-mnist photo.png -o f.csv": ".safetensors or .npy",
    "features photo.png": "needs MODEL: genzoo features MODEL photo.png",
    "inpaint dcgan-mnist photo.png --mask 7,7,14,14": "did you mean box:7,7,14,14?",
    "inpaint dcgan-mnist --photo photo.png": "PHOTO is written without one",
    "inpaint dcgan-mnist": "needs PHOTO: image files or folders",
    "inpaint cyclegan-hair photo.png": "does not inpaint: models that can: acgan-mnist",
    "inpaint dcgan-mnist photo.png --mask center": "expected centre",
    "inpaint dcgan-mnist photo.png --iterations 50": "did you mean --steps 50?",
    "inpaint photo.png dcgan-mnist": "the model comes first: genzoo inpaint dcgan-mnist photo.png",
    # interpolate, traverse, truncate
    "interpolate dcgan-celeba 3 17": "did you mean --sample 3,17?",
    "interpolate dcgan-celeba --sample gone.png --sample 3": "cannot read gone.png",
    "interpolate dcgan-celeba --sample 3 --frames 20": "did you mean --steps 20?",
    "interpolate dcgan-celeba --sample 3 17 42": "did you mean --sample 3,17,42?",
    "interpolate dcgan-celeba --from 3 --to 17": "did you mean --sample 3?",
    "interpolate photo.png photo.png": "genzoo interpolate MODEL --sample photo.png --sample",
    "interpolate dcgan-celeba --sample photo.png me.png": "--sample photo.png --sample me.png?",
    "interpolate dcgan-celeba 3-17": "did you mean --sample 3,17?",
    "interpolate dcgan-celeba vae-celeba": "needs --sample: which samples",
    "interpolate pixelcnn-mnist --sample 1,2": "models that can: acgan-mnist, cgan-fashion-mnist",
    "traverse dcgan-mnist --dims 3": "two whole numbers like 3,7",
    "traverse dcgan-mnist --dims 3 7": "did you mean --dims 3,7?",
    "traverse dcgan-mnist --sample smile": "expected a list of samples",
    "traverse cyclegan-hair": "models that can: acgan-mnist, cgan-fashion-mnist",
    "traverse vae-mnist --dim 3,7": "did you mean --dims 3,7?",
    "truncate pixelcnn-mnist": "no truncation",
    "truncate dcgan-celeba --psi 0.7": "did you mean --values 0.7?",
    "truncate dcgan-celeba --values big": "truncations must be like 0.5,1,2,none",
    "truncate dcgan-celeba 0.7": "did you mean --values 0.7?",
    # neighbours, outliers, plot
    "neighbors dcgan-mnist": "genzoo neighbours",
    "neighbours dcgan-mnist -k 0": "-k must be at least 1, got 0",
    "neighbours dcgan-mnist --data": "needs a value: --data DATA",
    "neighbours dcgan-mnist --sample 3": "attend, interpolate, traverse and steer have it",
    "neighbours dcgan-mnist --top 5": "did you mean -k 5?",
    "neighbours dcgan-mnist --count 3": "did you mean --n 3?",
    "outliers dcgan-mnist --against fashion-mnist": "models that can: made-mnist, pixelcnn-mnist",
    "outlier vae-mnist": "did you mean outliers?",
    "outliers vae-mnist": "needs --against: the other images",
    "outliers vae-mnist fashion-mnist": "did you mean --against fashion-mnist?",
    "plot vae-mnist": "an installed model, whose run is not stored",
    "plot pictures": "a folder that a training run wrote",
    "plot my-vae": "a folder that a training run wrote",
    "plot old -o x.jpg": "no run in old",
    # translate
    "translate dcgan-celeba photo.png": "models that can: cyclegan-hair",
    "translate photo.png": "MODEL photo.png (one of cyclegan-hair, pix2pix-fashion-mnist)",
    "translate cyclegan-hair --image photo.png": "PHOTO is written without one",
    "translate cyclegan-hair photo.png blond": "did you mean --to blond?",
    "translate cyclegan-hair gone.jpg": "cannot read gone.jpg",
    "translate photo.png cyclegan-hair": "genzoo translate cyclegan-hair photo.png",
    # adopt
    "adopt": "needs FILE: weights",
    "adopt gone.pth": "cannot read gone.pth: No such file",
    "adopt netG.pth --arch dcgan": "did you mean --as dcgan?",
    "adopt netG.pth --family dcgan": "did you mean --as dcgan?",
    "import netG.pth": "genzoo adopt",
    # verify, upgrade, search, pull, push
    "verify": "give the names of models, or --all",
    "verify vae-mnist mnist": "mnist is a data set",
    "verify dcgan-mnst": "did you mean dcgan-mnist",
    "upgrade": "needs FOLDER: model folders",
    "upgrade vae-mnist": "no folder vae-mnist",
    "update ./mine": "genzoo upgrade",
    "search dcgan vae": "genzoo search 'dcgan vae'",
    "find dcgan": "genzoo search",
    "search --max 3": "--limit",
    "pull": "needs MODEL: owner/name",
    "pull vae-mnist": "vae-mnist is installed: type genzoo sample vae-mnist",
    "download owner/name": "genzoo pull",
    "pull owner/name --output here": "--out",
    "push dcgan-mnist": "needs REPOSITORY: owner/name",
    "push ./gone owner/name": "no folder gone",
    "upload ./mine": "genzoo push",
    # export
    "export vae-mnist --to tflite": "--to must be onnx, torch or page, got 'tflite'",
    "export vae-mnist --to torch -o vae.onnx": "expected a name ending in .pt2",
    "export vae-mnist --format onnx": "type -o NAME.onnx",
    "export vae-mnist onnx": "did you mean --to onnx?",
    "onnx vae-mnist": "genzoo export",
    # reference, cite, cache, env
    "reference minst": "did you mean mnist?",
    "reference fid": "genzoo reference DATA --metric fid",
    "reference mnist --metrics fd": "did you mean --metric fd?",
    "cite": "needs MODEL",
    "bibtex vae": "genzoo cite",
    "cite mnist": "mnist is a data set",
    "cite fid": "fid is a metric",
    "cite goodfellow": "genzoo list",
    "cache clear": "genzoo cache --clean",
    "cache --clear": "did you mean --clean?",
    "cache --limit ten": "a size like 10GB",
    "doctor": "genzoo env",
    "env --format json": "did you mean --json?",
    "env vae": "genzoo info vae",
    # genzoo itself
    "generate dcgan-mnist": "genzoo sample",
    "eval vae-mnist": "genzoo evaluate",
    "help train": "genzoo sample --help",
    "version": "genzoo --version",
    "-v": "did you mean --version?",
    "--verbose list": "GENZOO_DEBUG=1",
    "dcgan-celeba": "genzoo sample dcgan-celeba",
    "vae": "genzoo train vae",
}
# Words of Python or of its libraries, which have no place on a command line.
FOREIGN = r"\b(root|force|data|labels|seed|n|size|sample)=|\.open\(|genzoo\.\w|Input should"
FOREIGN += r"|No such option|Invalid value|\(in Python|Value error|Missing (argument|option)"


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """A cache with notes on all families, as after their first use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_HOME", str(tmp_path_factory.mktemp("home")))
        for name in families.names():
            families.facts_of(name)
        yield os.environ["GENZOO_HOME"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a picture, a folder of one and the folder of a model."""
    folder = tmp_path / "here"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "config.json").write_text("{}")
    (folder / "pictures").mkdir()
    for name in ("photo.png", "pictures/one.png"):
        Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / name)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("line", WRONG)
def test_wrong_words_find_the_right_ones(line, here, noted, capsys, monkeypatch):
    monkeypatch.setenv("GENZOO_HOME", noted)
    before = sorted(here.rglob("*"))
    assert run(line.split()) == 2
    out, err = capsys.readouterr()
    *_, message = err.splitlines()
    assert out == ""
    assert message.startswith("genzoo: ")
    assert WRONG[line] in message
    assert not re.search(FOREIGN, message)
    assert sorted(here.rglob("*")) == before


def test_each_command_is_mistyped_three_times():
    from typer.main import get_command

    from genzoo.cli.app import app

    short = {}
    for name in get_command(app).commands:
        short[name] = sum(line.split()[0] == name for line in WRONG)
    assert len(WRONG) >= 90
    # Of some, the wrong word is the command itself.
    others = {"upgrade": 2, "search": 2, "pull": 2, "push": 2, "cite": 2, "env": 2, "families": 1}
    assert {name: n for name, n in short.items() if n < others.get(name, 3)} == {}


def test_names_of_fields_are_those_of_families():
    """The table of synonyms names no field that no family has."""
    known = {*AdversarialOptions.model_fields, "size", "channels", "levels"}
    for name in families.names():
        family = families.get(name)
        for schema in (family.config, family.options, family.sampling):
            known |= {*schema.model_fields}
    assert {*OTHER_NAMES} <= known
    for others in OTHER_NAMES.values():
        assert all(word.isalnum() and word == word.lower() for word in others.split())


def test_a_field_is_known_by_the_name_of_other_frameworks():
    fields = ["lr", "latent_dim", "batch_size", "width"]
    other = ["learning_rate", "learningRate", "LR", "z-dim", "nz", "bs", "latentDim", "hidden_dim"]
    meant = ["lr", "lr", "lr", "latent_dim", "latent_dim", "batch_size", "latent_dim", "width"]
    assert [ours(name, fields) for name in other] == meant
    assert ours("learning_rate", ["width"]) == ""
    assert "did you mean lr?" in str(unknown_field("eta", fields, ""))
    assert "did you mean width?" in str(unknown_field("widht", fields, ""))


def test_a_family_is_known_after_its_first_command_and_the_words_are_the_same(
    here, capsys, monkeypatch
):
    """The first command loads the family, which notes its fields; the second loads nothing."""
    lines = ["train cgan --set widht=8", "train cgan --set code=8", "train cgan --set truncation=1"]
    lines += ["sample cgan-mnist --set lr=1"]

    def said():
        codes = [run(line.split()) for line in lines]
        assert codes == [2] * len(lines)
        return capsys.readouterr().err

    assert families.known_facts().get("cgan") is None
    first = said()
    facts = families.known_facts()["cgan"]
    assert "latent_dim" in facts.config
    assert "discriminator_lr" in facts.options
    assert facts.sampling == ("truncation", "temperature")
    assert facts.abilities == ("Latent", "Sampler", "Model")

    def loaded(name):
        raise AssertionError(f"{name} is loaded")

    monkeypatch.setattr(registry, "get", loaded)
    assert said() == first
    assert "the field 'code' of cgan is now called 'latent_dim'" in first
