"""Runs: what stops one costs the steps since its last checkpoint, and not a bit more."""

import dataclasses
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import genzoo
from genzoo import cli, data, families, files
from genzoo.cli import run as command
from genzoo.errors import BadInput, OperationFailed, UnknownName
from genzoo.families import registry
from genzoo.files import locked
from genzoo.models import shared_samples
from genzoo.runs import launch
from genzoo.runs import run as run_folder
from genzoo.runs.loader import Loader
from genzoo.runs.plan import make_plan, plan
from genzoo.schemas import assignments
from genzoo.training import Diverged, Player, parallel
from genzoo.zoo import card
from genzoo.zoo import folder as folders
from genzoo.zoo import manifest as manifests

# Families of linear layers: one with dropout, and a game that several processes can share.
TOYS = """
import math
import torch
from torch import nn
import genzoo
from genzoo.models.networks import kind_of
from genzoo.options import AdversarialOptions, Options
from genzoo.schemas import Schema, Shape

class Config(Schema):
    shape: Shape = (1, 16, 16)

class Toy(genzoo.Latent):
    value_range, latent_dim = (0.0, 1.0), 4

    def __init__(self, config):
        super().__init__(config)
        self.shape, pixels = config.shape, math.prod(config.shape)
        self.kind = kind_of(config.shape)
        self.first = nn.Sequential(nn.Linear(pixels, 4), nn.Tanh(), nn.Dropout(0.5))
        self.last = nn.Sequential(nn.Linear(4, pixels), nn.Unflatten(1, config.shape))

    def decode(self, code, labels=None, noise=None):
        return self.last(code).sigmoid()

    def loss(self, batch):
        made = self.last(self.first(batch.x.flatten(1)) + batch.noise("noise").normal(4))
        return (made - batch.x).square().mean(), {}

class Judge(genzoo.Discriminator):
    def __init__(self, config):
        super().__init__()
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(config.shape), 4), nn.Tanh())
        self.last = nn.Linear(4, 1)

    def features(self, x):
        return [self.first(x)]

    def forward(self, x, labels=None):
        return self.last(self.first(x)).flatten()

def family(trainer, options, **more):
    return genzoo.Family(
        config=Config, options=options, model=Toy, trainer=trainer, tiny=Config(), paper="none",
        api=2, **more,
    )

@genzoo.hookimpl
def genzoo_family(name):
    if name == "drop":
        return family(lambda m, o: genzoo.LossTrainer(m, m.loss, o), Options)
    play = lambda m, o: genzoo.Adversarial(m, Judge(m.config), o)
    return family(play, AdversarialOptions, discriminator=Judge)
"""

# Imports torch once, then forks a process for each job: {"calls": [arguments, ...], ...}.
WORKSHOP = """
import json, os, signal, sys, threading, time
import torch
import torch._dynamo  # the optimisers ask for it
from genzoo import cli
from genzoo.models.samples import Images
from genzoo.runs.run import Run

def work(job, rank):
    os.environ.update(job["environment"], RANK=str(rank), LOCAL_RANK=str(rank))
    os.chdir(job["folder"])
    said = os.open(f"said.{rank}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(said, 1), os.dup2(said, 2)
    torch.set_num_threads(1)
    go, save, encode = Run.go, torch.save, Images.file_of_one
    def dying(self, report=None):
        def told(progress):
            if progress.step == job["kill_at"] and job["rank"] in (None, rank):
                time.sleep(job["sleep"])
                os.kill(os.getpid(), signal.SIGKILL)
        return go(self, told)
    def tearing(state, file, **more):
        if job["tear_at"] is not None and state["step"] == job["tear_at"]:
            file.write(b"PK half of it")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(state, file, **more)
    def encoding(self, metadata):
        if self.seeds[0][1] == job["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(self, metadata)
    Run.go, torch.save, Images.file_of_one = dying, tearing, encoding
    if job["kill_after"] is not None:
        threading.Timer(job["kill_after"], os.kill, (os.getpid(), signal.SIGKILL)).start()
    code = cli.run(job["arguments"])
    sys.stdout.flush()
    return code

for line in sys.stdin:
    job, children = json.loads(line), []
    for rank in range(job["processes"]):
        children.append(os.fork())
        if not children[-1]:
            try:
                code = work(job, rank)
            finally:
                os._exit(code if "code" in dir() else 99)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(json.dumps(codes), flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """The toys' distribution, for this process; the folder is for others' PYTHONPATH."""
    site = tmp_path_factory.mktemp("site")
    (site / "runs_toys.py").write_text(TOYS)
    info = site / "runs_toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: runs-toys\nVersion: 1.0\n")
    doors = "[genzoo.families]\ndrop = runs_toys\nduel = runs_toys\n"
    (info / "entry_points.txt").write_text(doors)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield site
    registry._load.cache_clear()
    sys.modules.pop("runs_toys", None)


@pytest.fixture(scope="module")
def workshop(toys):
    """``forked(arguments, folder)``: run a command in a process of its own, or in several."""
    path = os.pathsep.join([str(toys), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [sys.executable, "-c", WORKSHOP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    ) as process:

        def forked(
            arguments,
            folder,
            *,
            kill_at=None,
            tear_at=None,
            kill_after=None,
            processes=1,
            rank=None,
            sleep=0,
            **environment,
        ):
            environment["GENZOO_HOME"] = os.environ["GENZOO_HOME"]
            if processes > 1:
                environment |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1"}
            job = {"arguments": arguments, "folder": str(folder), "environment": environment}
            job |= {"kill_at": kill_at, "tear_at": tear_at, "kill_after": kill_after}
            job |= {"processes": processes, "rank": rank, "sleep": sleep}
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            codes = json.loads(process.stdout.readline())
            said = "".join((Path(folder) / f"said.{r}").read_text() for r in range(processes))
            return codes if processes > 1 else codes[0], said

        yield forked
        process.stdin.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of 40 made pictures, no two alike and none its own mirror image."""
    folder = tmp_path_factory.mktemp("data") / "made"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(40):
        pixels = random.integers(0, 256, (16, 16), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, toys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["genzoo", "test"])
    return tmp_path


# Each with what could go wrong when it goes on: averages, fading noise, dropout, flips, schedules.
RECIPES = {
    "dcgan": "width=4 latent_dim=4 batch_size=4 ema_decay=0.9 horizontal_flip=true "
    "instance_noise=0.1 "
    "discriminator_steps=2 lr_decay_start=0.5",
    "vae": "width=8 latent_dim=2 batch_size=8 ema_decay=0.9 horizontal_flip=true warmup=0.5",
    "drop": "batch_size=8 lr=0.01 optimizer=sgd momentum=0.9 lr_decay_start=0.2",
    "duel": "batch_size=4 penalty=gradient penalty_interval=3 generator_steps=2 "
    "augment=geometric augment_target=0.3",
}
STEPS = 40


def words(family, made, out, **more):
    """The arguments that train ``family`` as its recipe says."""
    settings = [w for pair in RECIPES[family].split() for w in ("--set", pair)]
    line = ["train", family, "--data", str(made), "--out", str(out), *settings]
    options = {"steps": STEPS, "checkpoint_every": 7, "seed": 3, "threads": 1, **more}
    for name, value in {**options, "device": "cpu"}.items():
        line += [f"--{name.replace('_', '-')}", str(value)]
    return line


def resume(out):
    return command(["train", "--resume", "--out", str(out), "--threads", "1"])


def begun(family, made, out="out", **more):
    """A run by the Python API."""
    values = assignments(RECIPES[family].split()) | more.pop("values", {})
    asked = {"steps": STEPS, "seed": 3, "checkpoint_every": 7, "grid_every": 20, "device": "cpu"}
    asked |= more
    return launch.start(family, made, Path(out), values=values, **asked)


def flat(state, name=""):
    """Every tensor and number of a checkpoint, by its path."""
    if isinstance(state, dict):
        return {k: v for key in state for k, v in flat(state[key], f"{name}/{key}").items()}
    if isinstance(state, list | tuple):
        return flat(dict(enumerate(state)), name)
    return {name: state}


def checkpoints(out):
    return sorted(p.name for p in (Path(out) / "run/checkpoints").iterdir())


def assert_same_run(one, two):
    """Bit for bit: the last checkpoint, the weights, the log and every picture."""
    assert checkpoints(one) == checkpoints(two)
    states = [
        flat(torch.load(Path(out) / f"run/checkpoints/{STEPS:08}.pt", weights_only=True))
        for out in (one, two)
    ]
    assert states[0].keys() == states[1].keys()
    assert sum(isinstance(v, torch.Tensor) for v in states[0].values()) > 5
    for name, value in states[0].items():
        other = states[1][name]
        if isinstance(value, torch.Tensor):
            assert value.dtype == other.dtype
            assert torch.equal(value, other), name
        elif name != "/seconds":
            assert value == other, name
    files = [manifests.WEIGHTS, "samples.png", "run/log.jsonl"]
    files += [manifests.DISCRIMINATOR] * (Path(one) / manifests.DISCRIMINATOR).exists()
    grids = [{p.name for p in (Path(out) / "run/grids").iterdir()} for out in (one, two)]
    assert {"00000000.png", "00000020.png", "00000040.png"} <= grids[0] & grids[1]
    files += [f"run/grids/{name}" for name in grids[0] & grids[1]]
    for file in files:
        assert _content(Path(one) / file) == _content(Path(two) / file), file


def _content(path):
    if path.suffix != ".png" or path.parent.name == "grids":
        return path.read_bytes()
    with Image.open(path) as picture:  # its text holds the model's name
        return picture.tobytes()


@pytest.fixture(scope="module")
def straight(made, toys, tmp_path_factory):
    """The folder of each recipe's run, which nothing interrupted."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(sys, "argv", ["genzoo", "test"])

        def run(family):
            if family not in found:
                out = tmp_path_factory.mktemp("straight") / family
                assert command(words(family, made, out)) == 0
                found[family] = out
            return found[family]

        yield run


# ----------------------------------------------------------------------------- stopped and resumed


@pytest.mark.parametrize("family", RECIPES)
def test_killed_and_resumed_is_never_stopped(family, here, made, straight, workshop):
    """SIGKILL at a step that is no multiple of anything; then, here, on to the end."""
    code, _ = workshop(words(family, made, here / "out"), here, kill_at=17)
    assert code == -signal.SIGKILL
    assert checkpoints("out") == ["00000007.pt", "00000014.pt"]
    assert not Path("out/config.json").exists()
    assert resume("out") == 0
    assert_same_run(straight(family), "out")


def test_killed_while_it_writes_a_checkpoint(here, made, straight, workshop):
    """... and then killed again while it repeats what it lost, in a process of its own."""
    arguments = words("vae", made, here / "out")
    assert workshop(arguments, here, tear_at=21)[0] == -signal.SIGKILL
    assert checkpoints("out")[-2:] == ["00000007.pt", "00000014.pt"]
    again = ["train", "--resume", "--out", "out", "--threads", "1"]
    assert workshop(again, here, kill_at=33)[0] == -signal.SIGKILL
    assert checkpoints("out")[-2:] == ["00000021.pt", "00000028.pt"]
    assert workshop(again, here) == (0, "out\n")
    assert_same_run(straight("vae"), "out")


def test_killed_at_random_instants(here, made, straight, workshop):
    """Wherever it is: before the first step, in a save, while it writes the model."""
    straight("drop")
    began, arguments = time.monotonic(), words("drop", made, here / "out")
    assert workshop(arguments, here)[0] == 0
    lasted, instants, kills = time.monotonic() - began, random.Random(1), 0
    while kills < 3:
        shutil.rmtree("out")
        code, _ = workshop(arguments, here, kill_after=instants.uniform(0, lasted))
        kills += code == -signal.SIGKILL
        assert resume("out") == 0 if Path("out/run/plan.json").exists() else command(arguments) == 0
        assert_same_run(straight("drop"), "out")
        assert not [*Path("out").rglob(".*")]


def test_a_process_that_goes_on_twice_sweeps_twice(here, made, straight, workshop):
    with files.whole(here / "own") as aside:  # its name is given back by this very process
        aside.write_bytes(b"")
    for _ in range(2):
        shutil.rmtree("out", ignore_errors=True)
        assert workshop(words("drop", made, here / "out"), here, kill_at=25)[0] == -signal.SIGKILL
        Path("out/run/grids", aside.name).write_bytes(b"half of a grid")
        Path("out", aside.name).write_bytes(b"half of a card")
        assert resume("out") == 0
        assert_same_run(straight("drop"), "out")
        assert not [*Path("out").rglob(".*")]


def test_ctrl_c_stops_between_two_steps(here, made, straight):
    run = begun("dcgan", made)

    def press(progress):
        if progress.step == 17:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(run_folder.Interrupted, match=r"step 17.*resume=True"):
        run.go(press)
    assert signal.getsignal(signal.SIGINT) is before
    assert checkpoints("out")[-1] == "00000017.pt"
    assert resume("out") == 0
    assert_same_run(straight("dcgan"), "out")


def test_ctrl_c_twice_stops_at_once(here, made):
    run = begun("drop", made)

    def press(progress):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run.go(press)
    assert not Path("out/run/checkpoints").exists()


def test_a_run_needs_no_main_thread(here, made, straight):
    run = begun("drop", made)

    def work():
        torch.set_num_threads(1)
        run.go()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert_same_run(straight("drop"), "out")


def stopped(family, made, out="out", at=33):
    """A run that an exception threw out of its loop after step ``at``."""
    run = begun(family, made, out)

    def stop(progress):
        if progress.step == at:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        run.go(stop)
    return Path(out)


@pytest.mark.parametrize("damage", ["half", "empty", "text", "code", "folder"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(damage, here, made, straight, caplog):
    out = stopped("drop", made)
    newest = out / "run/checkpoints/00000028.pt"
    content = newest.read_bytes()
    newest.unlink()
    if damage == "folder":
        newest.mkdir()
    elif damage == "code":
        torch.save({"step": 28, "parts": Bomb()}, newest)
    else:
        parts = {"half": content[: len(content) // 2], "empty": b"", "text": b"checkpoint"}
        newest.write_bytes(parts[damage])
    run = launch.resume(out)
    assert run.start == 21
    assert "00000028.pt" in caplog.text
    assert not Path("boom").exists(), "a checkpoint ran code"
    if damage == "folder":
        newest.rmdir()
    run.go()
    assert_same_run(straight("drop"), out)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("boom",)


def test_without_a_whole_checkpoint_it_begins_again(here, made, straight):
    out = stopped("drop", made)
    for path in (out / "run/checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    assert resume(out) == 0
    assert_same_run(straight("drop"), out)


def test_a_torn_log_is_mended(here, made, straight):
    """Lines after the checkpoint are written again; one cut off by the crash is dropped."""
    out = stopped("drop", made)
    log = out / "run/log.jsonl"
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [10, 20, 30]
    with log.open("ab") as file:
        file.write(b'{"step": 4, "mo')
    assert resume(out) == 0
    assert_same_run(straight("drop"), out)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20, 30, 40]
    assert all(row["model/loss"] > 0 for row in rows)


def test_a_log_with_a_hole_of_zeros_is_mended(here, made, straight):
    """What some file systems leave after a power cut."""
    out = stopped("drop", made)
    with (out / "run/log.jsonl").open("ab") as file:
        file.write(b"\0" * 512 + b"\xff\xfe")
    assert resume(out) == 0
    assert_same_run(straight("drop"), out)


def test_resuming_a_finished_run_harms_nothing(here, made, straight):
    out = shutil.copytree(straight("vae"), here / "vae")
    card.add_scores(out, [{"name": "fd", "value": 1.5, "protocol": {"n": 10}}])
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert resume(out) == 0
    assert_same_run(straight("vae"), out)
    assert card.read_metrics(out)["scores"][0]["value"] == 1.5
    manifest = json.loads(before[out / "config.json"])
    again = json.loads((out / "config.json").read_text())
    for kept in (manifest, again):
        kept["recipe"].pop("seconds")
    assert manifest == again
    assert {p for p in out.rglob("*") if p.is_file()} == {*before}


def test_a_run_goes_on_from_elsewhere(here, made, straight, monkeypatch):
    """The data's folder was named from where the run began."""
    shutil.copytree(made, "made")
    line = words("drop", "./made", "out")
    assert command(line) == 0
    shutil.rmtree("out/run/checkpoints")
    (here / "below").mkdir()
    monkeypatch.chdir("below")
    assert resume("../out") == 0
    assert_same_run(straight("drop"), "../out")


# ------------------------------------------------------------------------------ what is refused


def test_changed_data_end_a_run(here, made):
    shutil.copytree(made, "made")
    run = begun("drop", here / "made")
    first = next(p for p in Path("made").iterdir())
    launch.resume(Path("out"))
    with Image.open(first) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(first)
    with pytest.raises(BadInput, match=r"made .*out"):
        launch.resume(Path("out"))
    assert run.plan.data_sha256 == data.open(made).sha256


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not valid JSON"),
        ("[]", "plan.json"),
        ('{"steps": 0}', "plan.json"),
        ("more", "more"),
        ("steps", "steps must be at most 1000000000"),
        ("family", "no family is called 'gone'"),
    ],
)
def test_a_plan_is_read_strictly(text, told, here, made):
    begun("drop", made)
    path = Path("out/run/plan.json")
    plan = json.loads(path.read_text())
    del plan["sha256"]
    changed = {"more": {"more": 1}, "steps": {"steps": 10**12}, "family": {"family": "gone"}}
    path.write_text(json.dumps({**plan, **changed[text]}) if text in changed else text)
    with pytest.raises((BadInput, UnknownName), match=told):
        launch.resume(Path("out"))


def test_a_folder_is_used_once(here, made):
    run = begun("drop", made)
    run.checkpoint(1)
    with pytest.raises(BadInput, match=r"out .*resume=True.* force=True"):
        begun("drop", made)
    toy = families.get("drop")
    genzoo.save(toy.model(toy.tiny), here / "model", family="drop")
    for name in ("README.md", "metrics.json"):  # perhaps somebody's, and it would be replaced
        (here / name[:6]).mkdir()
        (here / name[:6] / name).write_text("mine")
    for name, what in {"model": "config", "README": "README", "metric": "metrics"}.items():
        with pytest.raises(BadInput, match=rf"{name} .*{what}\.\w+: .*force=True"):
            begun("drop", made, name)
    assert Path("README/README.md").read_text() == "mine"
    with pytest.raises(BadInput, match="no run in"):
        launch.resume(here / "model")


def test_a_run_that_has_no_checkpoint_is_begun_anew(here, made):
    """One that failed at its first step leaves nothing to lose, and stands in nobody's way."""
    begun("drop", made, steps=3)
    assert begun("drop", made, steps=1).go() == Path("out")
    assert checkpoints("out") == ["00000001.pt"]


def test_force_spares_what_is_not_the_runs(here, made):
    begun("drop", made).go()
    Path("out/notes.txt").write_text("mine")
    run = begun("drop", made, force=True, steps=1)
    assert Path("out/notes.txt").read_text() == "mine"
    assert not Path("out/config.json").exists()
    assert not Path("out/run/log.jsonl").exists()
    run.go()
    assert checkpoints("out") == ["00000001.pt"]


def test_training_again_into_a_model_is_its_next_version(here, made):
    """A run that was stopped before it wrote that version has not used the number up."""
    assert begun("drop", made, steps=1).plan.version == 1
    begun("drop", made, steps=1).go()
    assert [begun("drop", made, steps=1, force=True).plan.version for _ in range(2)] == [2, 2]
    assert not Path("out/config.json").exists()
    assert resume("out") == 0
    assert folders.version_of(Path("out")) == 2
    assert genzoo.load("./out", device="cpu").origin.version == 2
    again = words("drop", made, "out", steps=1, **{"model-version": 7})
    assert command([*again, "--force"]) == 0
    assert folders.version_of(Path("out")) == 7
    assert command([*again, "--resume", "--model-version", "8"]) == 2


def test_two_processes_do_not_train_in_one_folder(here, made):
    """Each would take the other's newer checkpoints for broken ones."""
    run = begun("drop", made)
    second = launch.resume(Path("out"))
    with locked(Path("out/run/lock")) as held:
        assert held
        for attempt in (run.go, second.go, lambda: begun("drop", made, force=True)):
            with pytest.raises(BadInput, match="another process is training in out"):
                attempt()
    assert not Path("out/config.json").exists()
    second.go()
    assert Path("out/config.json").exists()


# --------------------------------------------------------------------------- disks, and divergence


def test_a_full_disk_keeps_the_earlier_checkpoints(here, made, straight):
    run = begun("drop", made)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(progress):
        if progress.step == 21:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OperationFailed, match="step 21"):
            run.go(fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert checkpoints("out") == ["00000007.pt", "00000014.pt"]
    assert resume("out") == 0
    assert_same_run(straight("drop"), "out")


def test_a_run_that_diverges_says_where_and_what_is_left(here, made):
    values = {"lr": 10.0, "optimizer": "sgd", "ema_decay": 0.0, "warmup": 0.0}
    run = begun("vae", made, values=values, steps=300, checkpoint_every=1)
    with pytest.raises(Diverged) as caught:
        run.go()
    (*_, last) = kept = checkpoints("out")
    step = int(last.removesuffix(".pt"))
    text = str(caught.value)
    # The step after the checkpoint is the one that could not be learnt; steps count from 0.
    assert f"model at step {step}: loss " in text
    assert "inf" in text or "nan" in text
    assert str(Path("out/run/checkpoints") / last) in text
    assert "'lr': 5.0" in text
    assert "\n" not in text
    assert len(kept) == 2
    for name in kept:
        state = flat(torch.load(Path("out/run/checkpoints") / name, weights_only=True))
        tensors = [v for v in state.values() if isinstance(v, torch.Tensor)]
        assert tensors
        assert all(t.isfinite().all() for t in tensors)
    assert not Path("out/config.json").exists()
    assert caught.value.exit_code == 1


def test_no_checkpoint_holds_what_is_not_finite(here, made):
    """A statistic can overflow while the loss is a number."""
    run = begun("dcgan", made, values={"ema_decay": 0.0})

    def overflow(progress):
        if progress.step == 10:
            next(run.trainer.model.buffers()).fill_(float("inf"))

    with pytest.raises(Diverged, match=r"after step 14, generator\..*finite.*00000007.pt"):
        run.go(overflow)
    assert checkpoints("out") == ["00000007.pt"]


def test_divergence_before_any_checkpoint(here, made):
    run = begun("drop", made)
    with torch.no_grad():
        run.trainer.model.first[0].weight.fill_(float("nan"))
    with pytest.raises(Diverged, match=r"step 0: loss nan"):
        run.go()


# -------------------------------------------------------------------------------------- batches


def rows(run, steps, start=0):
    """Which pictures the steps' batches hold, and which of them are mirrored."""
    whole = run.dataset.batch(np.arange(len(run.dataset)))
    low, high = run.trainer.model.value_range
    known = {}
    for mirrored, x in ((False, whole), (True, whole.flip(-1))):
        known |= {(row * (high - low) + low).numpy().tobytes(): i for i, row in enumerate(x)}
        if not mirrored:
            upright = {*known}
    found = []
    for _, batch in zip(range(steps), run.loader.batches(start), strict=False):
        keys = [row.contiguous().numpy().tobytes() for row in batch.x]
        found.append([(known[key], key not in upright) for key in keys])
    return found


@pytest.mark.parametrize("size", [4, 7, 30, 100])
def test_every_picture_comes_once_an_epoch(size, here, made):
    run = begun("drop", made, values={"batch_size": size})
    n = len(run.dataset)
    seen = [i for batch in rows(run, 1 + 3 * n // size) for i, _ in batch]
    epochs = [seen[i : i + n] for i in range(0, 3 * n, n)]
    for epoch in epochs:
        assert sorted(epoch) == [*range(n)]
    assert len({*map(tuple, epochs)}) == 3, "every epoch has the same order"
    assert [*range(n)] not in epochs


def test_order_is_a_function_of_seed_and_step(here, made):
    settings = {"batch_size": 7, "horizontal_flip": True}
    run = begun("drop", made, "a", values=settings)
    whole = rows(run, 20)
    assert rows(begun("drop", made, "b", values=settings), 20) == whole
    assert rows(run, 9, start=11) == whole[11:]
    assert rows(begun("drop", made, "c", values=settings, seed=4), 20) != whole
    # Neither the global generators nor how long the run is have a say in it.
    torch.manual_seed(1)
    np.random.seed(1)
    assert rows(begun("drop", made, "d", values=settings, steps=77), 20) == whole


def test_about_half_are_mirrored(here, made):
    run = begun("drop", made, values={"horizontal_flip": True, "batch_size": 36})
    n = len(run.dataset)
    found = [pair for batch in rows(run, 10 * n // 36) for pair in batch]
    share = sum(mirrored for _, mirrored in found) / len(found)
    assert 0.4 < share < 0.6
    turns = {i: {m for j, m in found if j == i} for i in range(n)}
    assert sum(len(t) == 2 for t in turns.values()) > 0.9 * n, "a picture is always turned alike"
    still = begun("drop", made, "still", values={"horizontal_flip": False})
    assert not any(m for batch in rows(still, 10) for _, m in batch)


def test_two_domains_have_orders_of_their_own(here, made):
    """With one order, unpaired images would come in pairs: here each beside itself."""
    run = begun("drop", made)
    run.loader.dataset = data.paired(run.dataset, run.dataset)
    batches = [batch for _, batch in zip(range(10), run.loader.batches(), strict=False)]
    pairs = [pair for b in batches for pair in zip(b.x, b.second_domain, strict=True)]
    assert len(pairs) == 80
    assert sum(torch.equal(one, other) for one, other in pairs) < 10


def test_pairs_stay_together_and_are_mirrored_together(here, made):
    run = begun("drop", made, values={"horizontal_flip": True})
    dark = dataclasses.replace(run.dataset, array=255 - run.dataset.array)
    run.loader.dataset = data.paired(run.dataset, dark, aligned=True)
    batches = [batch for _, batch in zip(range(10), run.loader.batches(), strict=False)]
    for batch in batches:
        assert torch.allclose(batch.x, 1 - batch.second_domain, atol=1e-6)


# Which data set a kind of data refuses, and why.
REFUSED = [
    ("images", "ring8", "drop learns from images, ring8 holds points"),
    ("points", "digits", "drop learns from points, digits holds images"),
    ("signals", "digits", "drop learns from signals, digits holds images"),
    ("labelled", "digits:3", "learns from labelled data, and digits:3 has no classes: choose"),
    ("paired", "digits", "expected pairs in two folders A,B"),
    ("paired", "digits:3,digits:8", "expected pairs in two folders A,B"),
    ("unpaired", "digits", "expected two domains A,B"),
]


@pytest.fixture
def learner(monkeypatch, toys):
    """``learner(kind)``: the name of a toy family that learns from this kind of data."""

    def changed(kind):
        family, get = dataclasses.replace(families.get("drop"), data=kind), families.get
        monkeypatch.setattr(families, "get", lambda name: family if name == "drop" else get(name))
        return "drop"

    return changed


@pytest.mark.parametrize(("kind", "name", "says"), REFUSED)
def test_a_kind_of_data_refuses_another(learner, kind, name, says):
    with pytest.raises(BadInput, match=says):
        plan(learner(kind), name)


@pytest.mark.parametrize(
    ("kind", "name", "gives"),
    [
        ("any", "ring8", ()),
        ("any", "digits", ()),
        ("images", "digits", ()),
        ("labelled", "digits", ("labels",)),
        ("points", "ring8", ()),
        ("unpaired", "digits:3,digits:8", ("second_domain",)),
        ("unpaired", "digits@edges", ("second_domain",)),
        ("paired", "digits@edges", ("second_domain",)),
    ],
)
def test_a_kind_of_data_gives_what_the_table_says(learner, here, kind, name, gives):
    family = learner(kind)
    setup = plan(family, name)
    record = make_plan(family, name, setup, steps=1, device="cpu")
    run = run_folder.Run(record, setup.dataset, here / "run")
    batch = next(run.loader.batches())
    assert {f for f in ("labels", "second_domain") if getattr(batch, f) is not None} == {*gives}
    if kind == "paired":
        assert setup.dataset.domains == ("edges", "digits")
        rows = [setup.dataset.array, setup.dataset.second_domain.array]
        whole = {one.tobytes(): two.tobytes() for one, two in zip(*rows, strict=True)}
        for x, y in zip(batch.x, batch.second_domain, strict=True):
            one, two = (t.mul(255).round().byte().numpy().tobytes() for t in (x, y))
            assert whole[one] == two


def test_an_unknown_kind_of_data_is_refused():
    with pytest.raises(BadInput, match=r"data must be one of any, images, .* got 'photos'"):
        dataclasses.replace(families.get("vae"), data="photos")


def test_batches_carry_where_they_stand(here, made):
    run = begun("duel", made, values={"discriminator_steps": 3}, steps=20)
    batches = run.loader.batches(5)
    first, second = next(batches), next(batches)
    assert [(b.step, b.progress, b.seed) for b in (first, second)] == [(5, 0.25, 3), (6, 0.3, 3)]
    assert len(first) == 12, "a batch for each of the discriminator's steps"
    assert first.indices == tuple(range(12))
    assert first.labels is None
    low, high = first.x.min(), first.x.max()
    assert (low >= 0) & (high <= 1)
    assert high > 0.9
    signed = next(begun("dcgan", made, "signed").loader.batches())
    assert signed.x.min() < -0.9


def test_shares_of_processes_make_up_the_whole(here, made, monkeypatch):
    """For each of a step's updates: then gradients, averaged, are those of one process."""
    run = begun("duel", made, values={"discriminator_steps": 3, "batch_size": 8})
    whole = [
        part for _, b in zip(range(12), run.loader.batches(), strict=False) for part in b.split(3)
    ]
    for size in (2, 4):
        monkeypatch.setattr(parallel, "size", lambda size=size: size)
        shares = []
        for rank in range(size):
            monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
            each = zip(range(12), run.loader.batches(), strict=False)
            shares.append([part for _, b in each for part in b.split(3)])
        for one, *parts in zip(whole, *shares, strict=True):
            assert torch.equal(torch.cat([p.x for p in parts]), one.x)
            assert sum((p.indices for p in parts), ()) == one.indices
            assert {len(p) for p in parts} == {8 // size}


# ------------------------------------------------------------------------------- several processes


def weights(out, name=manifests.WEIGHTS):
    return load_file(Path(out) / name)


@pytest.mark.parametrize("family", ["vae", "duel"])
def test_two_processes_are_one(family, here, made, workshop):
    recipe = {"steps": 12, "checkpoint_every": 5}
    if family == "duel":  # no dropout in what it runs, no batch statistics
        recipe["set"] = "discriminator_steps=2"
    assert command(words(family, made, "one", **recipe)) == 0
    codes, said = workshop(
        words(family, made, here / "two", **recipe), here, processes=2, MASTER_PORT=_port()
    )
    assert codes == [0, 0], said
    names = [manifests.WEIGHTS] + [manifests.DISCRIMINATOR] * (family == "duel")
    for file in names:
        one, two = weights("one", file), weights("two", file)
        assert one.keys() == two.keys()
        for name, tensor in one.items():
            assert torch.allclose(tensor, two[name], rtol=0, atol=1e-5), name
    logs = [
        [json.loads(line) for line in Path(out, "run/log.jsonl").read_text().splitlines()]
        for out in ("one", "two")
    ]
    assert [row["step"] for row in logs[0]] == [row["step"] for row in logs[1]] == [10]
    assert json.loads(Path("two/run/plan.json").read_text())["processes"] == 2
    assert checkpoints("two") == checkpoints("one")


def _port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _without_torchs(said):
    """What was said without torch's own warnings, such as that this machine's name is unknown."""
    return re.sub(r"(?m)^\[W\d.*\n", "", said)


@pytest.mark.parametrize(
    ("wait", "sleep", "says"), [(60, 0, "has ended"), (4, 6, "does not answer for 4 seconds")]
)
def test_a_process_that_is_gone_ends_the_others(wait, sleep, says, here, made, workshop):
    job = words("drop", made, here / "run", steps=9, checkpoint_every=2)
    at = {"kill_at": 5, "rank": 1, "sleep": sleep, "GENZOO_PROCESS_TIMEOUT": str(wait)}
    codes, said = workshop(job, here, processes=2, MASTER_PORT=_port(), **at)
    assert codes == [1, -9], said
    assert _without_torchs(said).count("\n") == 1
    assert f"genzoo: process 0 of 2 stops: another one {says}" in said
    assert checkpoints("run")[-1] == "00000004.pt"


def test_two_processes_go_on_bit_for_bit(here, made, workshop):
    """What they keep beside weights, too: the statistics of norms, averages, moments."""
    two = {"processes": 2, "MASTER_PORT": _port()}
    for out, kill_at in (("straight", None), ("stopped", 3)):
        job = words("dcgan", made, here / out, steps=6, checkpoint_every=2)
        codes, said = workshop(job, here, kill_at=kill_at, **two)
        assert codes == ([-9, -9] if kill_at else [0, 0]), said
    again = ["train", "--resume", "--out", str(here / "stopped"), "--threads", "1"]
    codes, said = workshop(again, here, **two)
    assert codes == [0, 0], said
    one, other = weights("straight"), weights("stopped")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_two_processes_draw_what_one_draws(here, made, workshop, capsys):
    """To the last byte, and the first one says so. One more batch than they have rounds. If the
    second one dies between two files, none is left.
    """
    assert command(words("drop", made, "run", steps=1)) == 0
    draw = ["sample", "./run", "-n", "137", "--batch-size", "8", "--seed", "4", "-o"]
    measure = f"evaluate ./run --data {made} --metrics sharpness -n 400".split()
    assert command([*draw, "one"]) == command([*draw, "one.npy"]) == 0
    capsys.readouterr()
    assert command(measure) == 0
    scores = capsys.readouterr().out
    for out in ("two", "two.npy", "lost"):
        two = {"processes": 2, "MASTER_PORT": _port(), "kill_at": 12 if out == "lost" else None}
        codes, said = workshop([*draw, out], here, **two)
        if out == "lost":
            end = "genzoo: process 0 of 2 stops: another one has ended, and says why if it can\n"
            assert (codes, _without_torchs(said)) == ([1, -9], end)
            assert not [*here.glob("*lost*"), *here.glob(".*")]
        else:
            assert (codes, _without_torchs(said)) == ([0, 0], f"{out}\n")
    codes, said = workshop(measure, here, processes=2, MASTER_PORT=_port())
    assert (codes, _without_torchs(said)) == ([0, 0], scores)
    assert Path("one.npy").read_bytes() == Path("two.npy").read_bytes()
    one, two = ({f.name: f.read_bytes() for f in Path(out).iterdir()} for out in ("one", "two"))
    assert one == two
    assert len(one) == 138


def test_all_processes_see_the_folder_that_they_fill(here, monkeypatch):
    def gather(values, own):
        values[:] = [own, False]

    monkeypatch.setattr(shared_samples, "size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", lambda values: None)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    says = "process 1 of 2 does not see the folder of x: choose one on a disk that all machines"
    with pytest.raises(OperationFailed, match=says), shared_samples.common_folder(Path("x")):
        pass
    assert not [*here.iterdir()]


def test_a_process_whose_folder_another_one_removed_says_so(here, monkeypatch):
    """The other one failed, and knows why."""
    monkeypatch.setattr(shared_samples, "size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", lambda values: None)
    monkeypatch.setattr(torch.distributed, "all_gather_object", lambda values, own: values.clear())
    says = "process 0 of 2 stops: another one has ended"

    def fill():
        with shared_samples.common_folder(here / "x") as aside:
            aside.rmdir()
            (aside / "0.png").write_bytes(b"")

    with pytest.raises(OperationFailed, match=says):
        fill()


def test_processes_that_differ_do_not_begin(monkeypatch):
    def gather(values, own):
        values[:] = [own, "step 7"]

    monkeypatch.setattr(parallel, "size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    parallel.agree("states", "step 7")
    with pytest.raises(OperationFailed, match=r"states \(process 0: step 5, process 1: step 7\)"):
        parallel.agree("states", "step 5")


def test_the_time_to_wait_is_a_number(monkeypatch):
    monkeypatch.setenv("GENZOO_PROCESS_TIMEOUT", "soon")
    with pytest.raises(BadInput, match="number of seconds above 0, got 'soon'"):
        parallel.timeout()


@pytest.mark.slow
def test_torchrun(here, made):
    """As people start it."""
    assert command(words("vae", made, "one", steps=12)) == 0
    Path("script.py").write_text("import genzoo.cli\ngenzoo.cli.main()\n")
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, "script.py", *words("vae", made, "two", steps=12)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = weights("one"), weights("two")
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], rtol=0, atol=1e-5), name


# --------------------------------------------------------------------------- plans and estimates


def test_minutes_become_steps(here, made, monkeypatch):
    def estimate(plan, dataset):
        return launch.Estimate({}, 0, 50.0, plan.steps, 0)

    monkeypatch.setattr(launch, "estimate", estimate)
    plan = begun("drop", made, steps=None, minutes=2, checkpoint_every=300).plan
    assert plan.steps == 6000
    plan = launch.start("drop", made, here / "b", minutes=2, device="cpu").plan
    assert (plan.steps, plan.checkpoint_every, plan.grid_every) == (6000, None, 300)


def test_too_few_steps_for_the_minutes_are_said(here, made, monkeypatch, caplog):
    """By a run that starts, and by one that is only estimated."""
    rates = iter([2.0, 2.6, 2.0])
    one = lambda plan, dataset: launch.Estimate({}, 0, next(rates), plan.steps, 0)  # noqa: E731
    monkeypatch.setattr(launch, "estimate", one)
    says = "only 240 steps fit into 2 minutes, too few to learn from: give %s or more"
    assert begun("drop", made, steps=None, minutes=2).plan.steps == 240
    assert says % "minutes=3" in caplog.text
    caplog.clear()
    assert launch.start("drop", made, here / "b", minutes=2, device="cpu").plan.steps == 312
    assert "too few" not in caplog.text
    assert cli.run(["train", "vae", "--data", "digits", "--minutes", "2", "--dry-run"]) == 0
    assert says % "--minutes 3" in caplog.text


def test_an_estimate_trains_nothing_that_is_kept(here, made):
    setup = plan("vae", made, {"width": 8})
    record = make_plan("vae", made, setup, steps=7, device="cpu")
    found = launch.estimate(record, setup.dataset)
    parts = families.get("vae")
    model = parts.model(parts.config(shape=(1, 16, 16), width=8))
    assert found.parameters == {"model": sum(p.numel() for p in model.parameters())}
    assert found.rate > 0
    assert (found.steps, found.seconds) == (7, pytest.approx(7 / found.rate))
    assert found.memory > 1 << 20
    assert [p.name for p in here.iterdir()] == ["home"]


def test_an_estimate_goes_no_further_than_the_run(here, made, monkeypatch):
    """Beyond the end of a schedule, rates would be negative, and the trial climb."""
    rates, schedule = [], Player.schedule

    def watched(self, *place):
        schedule(self, *place)
        rates.append(self.optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(Player, "schedule", watched)
    setup = plan("drop", made, {"optimizer": "sgd", "lr": 0.01, "lr_decay_start": 0.5})
    record = make_plan("drop", made, setup, steps=1, device="cpu")
    assert launch.estimate(record, setup.dataset).rate > 0
    assert len(rates) > 3
    assert min(rates) >= 0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 10**10}, "steps"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"precision": "fp8"}, "precision.*fp8"),
        ({"micro_batches": 3}, "batch_size 8 .*3"),
        ({"micro_batches": 0}, "micro_batches"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"device": "tpu"}, "'tpu'"),
        ({"values": {"batch_siez": 3}}, "did you mean batch_size"),
        ({"values": {"shape": [2, 8, 9]}}, "channels"),
        ({"no_such_setting": 1}, "no_such_setting"),
    ],
)
def test_a_wrong_request_leaves_nothing(asked, told, here, made):
    with pytest.raises((BadInput, UnknownName), match=told) as caught:
        begun("drop", made, **asked)
    assert "\n" not in str(caught.value)
    assert not Path("out").exists()


def test_what_a_finished_run_leaves(here, made):
    out = begun("dcgan", made, steps=20, checkpoint_every=6, grid_every=10).go()
    model = genzoo.load(out)
    assert not model.training
    manifest = manifests.read_manifest(out)
    recipe = manifest.recipe
    assert (manifest.family, manifest.data, manifest.name) == ("dcgan", "made", "out")
    assert (recipe.steps, recipe.seed) == (20, 3)
    assert recipe.data_sha256 == data.open(made).sha256
    assert recipe.config["size"] == 16
    assert recipe.options["instance_noise"] == 0.1
    assert recipe.versions["torch"] in torch.__version__
    assert checkpoints(out) == ["00000018.pt", "00000020.pt"]
    grids = sorted(p.name for p in (out / "run/grids").iterdir())
    assert grids == ["00000000.png", "00000010.png", "00000020.png"]
    assert sum(p.numel() for p in folders.load_discriminator(out).parameters()) > 0
    state = torch.load(out / "run/checkpoints/00000020.pt", weights_only=True)["parts"]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state["average"][name]), "not the averaged weights"


@pytest.mark.parametrize("family", ["vae", "dcgan"])
def test_a_recipe_makes_the_same_model_again(family, here, made, straight):
    """From the model's folder alone, wherever its data lie now."""
    out = straight(family)
    again = ["train", "--recipe", str(out), "--data", str(made), "--out", "again", "--device"]
    assert command([*again, "cpu"]) == 0
    one, other = manifests.read_manifest(out), manifests.read_manifest(Path("again"))
    assert one.weights_sha256 == other.weights_sha256
    assert one.discriminator_sha256 == other.discriminator_sha256
    told = [m.recipe.model_dump(exclude={"seconds", "command"}) for m in (one, other)]
    assert told[0] == told[1]


def test_a_recipe_can_be_changed(here, made, straight):
    out = straight("vae")
    words = ["train", "--recipe", str(out), "--data", str(made), "--out", "changed"]
    assert command([*words, "--steps", "3", "--seed", "9", "--set", "width=4"]) == 0
    recipe = manifests.read_manifest(Path("changed")).recipe
    assert (recipe.steps, recipe.seed, recipe.config["width"]) == (3, 9, 4)
    assert recipe.options["warmup"] == 0.5


def test_a_recipe_says_the_family_itself(here, made, straight, capsys):
    out = straight("vae")
    assert command(["train", "dcgan", "--recipe", str(out)]) == 2
    assert "leave dcgan out" in capsys.readouterr().err
    genzoo.save(genzoo.load(out), "bare")
    assert command(["train", "--recipe", "./bare"]) == 2
    assert "has no recipe" in capsys.readouterr().err


def test_what_is_fitted_afterwards_is_in_the_model_alone(straight):
    """A checkpoint is from before that, or going on from it would differ."""
    out = straight("vae")
    state = torch.load(out / f"run/checkpoints/{STEPS:08}.pt", weights_only=True)["parts"]
    assert not state["average"]["prior_mean"].any()
    model = weights(out)
    assert model["prior_mean"].all()
    assert not torch.equal(model["prior_scale"], torch.eye(2))


def test_what_is_fitted_afterwards_sees_random_samples():
    """The first ones of a folder are of its first classes."""
    setup, some = plan("vae", "digits", {}), {}
    model = SimpleNamespace(public_range=(0.0, 1.0), value_range=(0.0, 1.0))
    rest = setup.dataset, SimpleNamespace(model=model), setup.options, torch.device("cpu")
    for seed in (3, 4):
        loader = Loader(make_plan("vae", "digits", setup, steps=1, seed=seed), *rest)
        batches = [*loader.some(20, 8)]
        assert [len(x) for x in batches] == [8, 8, 4]
        some[seed] = torch.cat(batches)
        assert torch.equal(torch.cat([*loader.some(20)]), some[seed])
    everything = torch.cat([*loader.some(len(setup.dataset))])
    assert torch.equal(everything, setup.dataset.batch(range(len(setup.dataset))))
    places = [(everything == x).flatten(1).all(1).nonzero()[0].item() for x in some[3]]
    assert places == sorted({*places})
    assert places[-1] > 500
    assert not torch.equal(some[3], some[4])


def test_progress_says_how_long(here, made):
    seen = []
    begun("drop", made, steps=5).go(seen.append)
    assert [(p.step, p.steps) for p in seen] == [(i, 5) for i in range(1, 6)]
    assert seen[-1].left == 0
    assert seen[1].left == pytest.approx(3 / seen[1].rate)
    assert seen[0].logs["model/loss"].isfinite()


def test_the_rate_is_of_the_steps_since_the_start(here, made, monkeypatch):
    """A run that goes on after 5 of 8 steps, on a clock by which each takes two seconds."""
    seen, clock = [], SimpleNamespace(monotonic=partial(next, count(step=2.0)))
    run = begun("drop", made, steps=8)
    run.start = 5
    monkeypatch.setattr(run_folder, "time", clock)
    run.go(seen.append)
    assert [p.rate for p in seen] == [0.5, 0.5, 0.5]
    assert [p.left for p in seen] == [4, 2, 0]
