"""Whatever stops a process: nothing is lost but the steps since the last checkpoint, nothing left.

The test of 30 random instants is slow; test_runs.py has a sample of it.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genzoo
from genzoo import cli, families, files
from genzoo.cli import commands, entry, help
from genzoo.errors import BadInput, Stopped
from genzoo.families import registry
from genzoo.files import locked, sweep, whole, whole_folder
from genzoo.runs.run import Run
from genzoo.zoo import card
from genzoo.zoo import folder as folders

# Imports torch once, then forks a process for each line: its arguments. Prints its number, and at
# its end its exit code.
WORKSHOP = """
import json, os, sys
import torch
import torch._dynamo  # the optimisers ask for it
from genzoo.cli import entry

for line in sys.stdin:
    child = os.fork()
    if not child:
        said = os.open(os.devnull, os.O_WRONLY)
        os.dup2(said, 1), os.dup2(said, 2)
        torch.set_num_threads(1)
        try:
            entry.main(json.loads(line))
        except SystemExit as end:
            os._exit(end.code)
        os._exit(99)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""
# Each with what could go wrong when it goes on: averages, fading noise, flips, schedules.
RECIPES = {
    "vae": "--data ./one --set width=8 --set latent_dim=2 --set ema_decay=0.9 --set warmup=0.5 "
    "--set horizontal_flip=true",
    "gan": "--data ./one --set latent_dim=4 --set generator_units=8 "
    "--set discriminator_units=8 --set maxout_pieces=2 --set lr_decay_start=0.5",
    "pixelcnn": "--data ./one --set size=6 --set layers=2 --set width=6",
    "cyclegan": "--data ./one,./two --set width=4 --set residual_blocks=1 "
    "--set discriminator_layers=1",
    "wgan-gp": "--data ./one --set size=8 --set latent_dim=4 --set width=4 --set ema_decay=0.9",
}
STEPS = 24


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """``forked(arguments, kill_after)``: run a command in a process of its own; its exit code."""
    place = tmp_path_factory.mktemp("kill")
    random_pixels = np.random.default_rng(0)
    for name in ("one", "two"):
        (place / name).mkdir()
        for i in range(20):
            pixels = random_pixels.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(pixels).save(place / name / f"{i:02}.png")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GENZOO_HOME": str(place / "home")}
    with subprocess.Popen(
        [sys.executable, "-c", WORKSHOP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=place,
        env=environment,
    ) as process:

        def forked(arguments, kill_after=None, number=signal.SIGKILL):
            process.stdin.write(json.dumps(arguments) + "\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            timer = threading.Timer(kill_after or 0, os.kill, (child, number))
            if kill_after is not None:
                timer.start()
            code = int(process.stdout.readline())
            timer.cancel()
            return code

        forked.place = place
        yield forked
        process.stdin.close()


def train(family, out):
    words = f"train {family} --steps {STEPS} --seed 3 --batch --device cpu --threads 1 --out {out}"
    words = words.replace(" --batch", " --set batch_size=4")
    return [
        *words.split(),
        "--checkpoint-every",
        "3",
        "--grid-every",
        "8",
        *RECIPES[family].split(),
    ]


def resume(out):
    return ["train", "--resume", "--out", str(out), "--threads", "1"]


def result(out):
    """What a run leaves, but for times: every file, and of a checkpoint every tensor's bits."""
    found = {}
    for path in (p for p in out.rglob("*") if p.is_file() and p.name not in ("lock", "README.md")):
        name = str(path.relative_to(out))
        if path.suffix == ".pt":
            state = torch.load(path, weights_only=True)
            found[name] = flat({k: v for k, v in state.items() if k != "seconds"})
        elif path.suffix == ".png":
            found[name] = Image.open(path).tobytes()
        elif path.suffix == ".json":
            found[name] = timeless(json.loads(path.read_text()))
        else:
            found[name] = path.read_bytes()
    return found


def timeless(value):
    if isinstance(value, dict):
        left_out = ("seconds", "speed", "command", "sha256")
        return {k: timeless(v) for k, v in value.items() if k not in left_out}
    return value


def flat(state):
    if isinstance(state, dict):
        return {k: flat(v) for k, v in state.items()}
    if isinstance(state, list | tuple):
        return [flat(v) for v in state]
    return (str(state.dtype), state.numpy().tobytes()) if isinstance(state, torch.Tensor) else state


def kill_at_random(workshop, family, instants, seed):
    """Kill a run at each of so many random instants, and what goes on from it; compare the end."""
    place = workshop.place
    straight = place / "straight" / family
    began = time.monotonic()
    assert workshop(train(family, straight)) == 0
    lasted, wanted = time.monotonic() - began, result(straight)
    assert {"model.safetensors", "run/log.jsonl", "run/checkpoints/00000024.pt"} <= wanted.keys()
    r, kills = random.Random(seed), 0
    while kills < instants:
        out = place / family
        code = workshop(train(family, out), kill_after=r.uniform(0, lasted))
        while code == -signal.SIGKILL:
            kills += 1
            again = resume(out) if (out / "run/plan.json").exists() else train(family, out)
            code = workshop(again, kill_after=r.uniform(0, lasted) if r.random() < 0.4 else None)
        assert code == 0
        assert result(out) == wanted
        assert not [path for path in place.rglob(".*") if not path.is_relative_to(place / "home")]
        shutil.rmtree(out)
    return kills


@pytest.mark.slow
@pytest.mark.parametrize("family", RECIPES)
def test_killed_at_six_random_instants(family, workshop):
    """Thirty, of five families."""
    print(family, kill_at_random(workshop, family, 6, seed=family), "kills")


# ------------------------------------------------------------------------------ signals to stop

SIGNALLED = [*RECIPES["vae"].replace("./one", "digits").split(), "--set", "size=8"]


def toy(out, steps=6):
    words = f"train vae --steps {steps} --device cpu --threads 1 --out {out} --checkpoint-every 99"
    return [*words.split(), *SIGNALLED]


@pytest.fixture
def signalled(monkeypatch):
    """``signalled(*numbers)``: the next run gets these signals after its third step."""
    go = Run.go

    def set_up(*numbers):
        def receiving(run, report=None):
            def send(status):
                if status.step == 3:
                    for number in numbers:
                        signal.raise_signal(number)

            return go(run, send)

        monkeypatch.setattr(Run, "go", receiving)

    return set_up


STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP]


@pytest.mark.parametrize("number", [*STOPS, signal.SIGXCPU])
def test_a_signal_to_stop_saves(number, signalled, tmp_path, capsys):
    """Each as Ctrl-C does; the exit code is the shell's, 128 + the signal's number."""
    signalled(number)
    before = signal.getsignal(number)
    assert cli.run(toy(tmp_path / "run")) == 128 + number
    assert signal.getsignal(number) is before
    assert [p.name for p in (tmp_path / "run/run/checkpoints").iterdir()] == ["00000003.pt"]
    err = capsys.readouterr().err
    assert err.count("stopped after step 3; continue it with --resume\n") == 1
    assert (number == signal.SIGINT) != (number.name in err)


def test_a_scheduler_may_send_its_signal_twice(signalled, tmp_path):
    """To the process and to its group: the second must not cut off the save."""
    signalled(signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1)
    assert cli.run(toy(tmp_path / "run")) == 143
    assert [p.name for p in (tmp_path / "run/run/checkpoints").iterdir()] == ["00000003.pt"]


def test_ctrl_c_stops_at_once_what_is_stopping(signalled, tmp_path):
    signalled(signal.SIGTERM, signal.SIGINT)
    assert cli.run(toy(tmp_path / "run")) == 130
    assert not (tmp_path / "run/run/checkpoints").exists()


def test_a_signal_that_nohup_ignores_stays_ignored(signalled, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signalled(signal.SIGHUP)
        assert cli.run(toy(tmp_path / "run")) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_system_without_some_signals(signalled, tmp_path, monkeypatch):
    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"):  # as on Windows
        monkeypatch.delattr(signal, name)
    signalled(signal.SIGTERM)
    assert cli.run(toy(tmp_path / "run")) == 143


def test_several_processes_stop_after_the_same_step(monkeypatch):
    """The signal may reach only one of them."""
    from genzoo.training import parallel

    monkeypatch.setattr(parallel, "size", lambda: 2)
    sent = []

    def all_reduce(tensor, operation):
        sent.append((int(tensor), operation))
        tensor.fill_(max(int(tensor), signal.SIGUSR1))

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    assert parallel.highest(0, torch.device("cpu")) == signal.SIGUSR1
    assert sent == [(0, torch.distributed.ReduceOp.MAX)]


def stopping(number):
    def command():
        signal.raise_signal(number)
        raise AssertionError("not stopped")

    return command


@pytest.mark.parametrize("number", STOPS)
def test_every_command_stops_by_a_signal_in_one_line(number, monkeypatch, capsys):
    monkeypatch.setattr(registry, "list_families", stopping(number))
    ends_in_one_line(["families"], number, capsys)


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_command_whose_file_is_being_imported_stops_in_one_line(name, monkeypatch, capsys):
    wanted = f"genzoo.cli.{commands.COMMANDS[name].module}"

    class Finder:
        @staticmethod
        def find_spec(fullname, path=None, target=None):
            if fullname == wanted:
                stopping(signal.SIGTERM)()

    monkeypatch.delitem(sys.modules, wanted, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    ends_in_one_line([name, "--help"], signal.SIGTERM, capsys)


@pytest.mark.parametrize("number", STOPS)
def test_the_help_of_genzoo_stops_by_a_signal_in_one_line(number, monkeypatch, capsys):
    """Typer prints it before it invokes a command."""
    monkeypatch.setattr(help, "group_page", lambda *_: stopping(number)())
    ends_in_one_line(["--help"], number, capsys)


def ends_in_one_line(arguments, number, capsys):
    with pytest.raises(SystemExit) as end:
        entry.main(arguments)
    assert end.value.code == 128 + number
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert ("interrupted" if number == signal.SIGINT else number.name) in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("exists", [False, True])
def test_a_signal_leaves_nothing_half_written(number, exists, tmp_path):
    if exists:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "old").write_text("old")
        (tmp_path / "file").write_text("old")
    before = content(tmp_path)

    def write():
        with whole(tmp_path / "file") as one, whole_folder(tmp_path / "folder") as two:
            one.write_text("half")
            (two / "new").write_text("half")
            signal.raise_signal(number)

    with pytest.raises(Stopped), files.raised_signals():
        write()
    assert content(tmp_path) == before


def test_a_signal_between_two_renames_puts_the_old_folder_back(tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").write_text("old")
    before, rename = content(tmp_path), Path.rename

    def signalled(path, target):
        if target == tmp_path / "x" and (path / "new").exists():
            signal.raise_signal(signal.SIGTERM)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", signalled)
    with pytest.raises(Stopped), files.raised_signals(), whole_folder(tmp_path / "x") as aside:
        (aside / "new").write_text("new")
    assert content(tmp_path) == before


# ----------------------------------------------------------------------- leftovers of the killed


def content(folder):
    return {str(p.relative_to(folder)): p.is_file() and p.read_text() for p in folder.rglob("*")}


# Writes a file and a folder, and is killed in the middle of both, or between two renames.
KILLED = """
import os, signal, sys
from pathlib import Path
from genzoo.files import whole, whole_folder
here, between = Path(sys.argv[1]), sys.argv[2] == "between"
if between:
    rename = Path.rename
    def dying(path, target):
        rename(path, target)
        os.kill(os.getpid(), signal.SIGKILL)
    Path.rename = dying
    with whole_folder(here / "folder") as aside:
        (aside / "new").write_text("new")
with whole(here / "file") as one, whole_folder(here / "folder") as two:
    one.write_text("half")
    (two / "inner").mkdir()
    (two / "inner" / "new").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder, when="middle"):
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), when], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("when", ["middle", "between"])
def test_leftovers_of_the_killed_go_at_the_next_write(when, tmp_path):
    """And a folder that was moved away for one that never came is back."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")
    (tmp_path / "file").write_text("old")
    before = content(tmp_path)
    killed(tmp_path, when)
    assert len([*tmp_path.glob(".*")]) == 2
    assert (tmp_path / "folder").exists() == (when == "middle")
    files.write_whole(tmp_path / "another", b"x")
    assert content(tmp_path) == {**before, "another": "x"}


def named(name, process, machine=None):
    return f".{name}.{process}-{machine or files._machine()}01234567"


@pytest.fixture
def dead():
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_is_not_surely_a_leftover_stays(tmp_path, dead):
    with whole_folder(tmp_path / "mine") as aside:
        others = [
            named("x", os.getppid()),  # of a process that lives
            named("x", dead, "0" * 8),  # of another machine, where it may live
            f".x.{dead}-01234567",  # as versions before 0.3 named them: of any machine
            f".x.{dead}-{files._machine()}0123456",
            f"x.{dead}-{files._machine()}01234567",
            ".hidden",
        ]
        for name in others:
            (tmp_path / name).write_text("x")
        (tmp_path / named("x", dead)).write_text("x")
        (tmp_path / named("y", dead)).mkdir()
        files._swept.clear()
        sweep(tmp_path)
        assert aside.is_dir()
        assert {p.name for p in tmp_path.iterdir()} == {*others, aside.name}


def test_a_link_among_the_leftovers_is_removed_alone(tmp_path, dead):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "x").write_text("x")
    (tmp_path / named("x", dead)).symlink_to(tmp_path / "precious")
    sweep(tmp_path)
    assert content(tmp_path) == {"precious": False, "precious/x": "x"}


def test_a_number_that_was_given_again_is_no_excuse(tmp_path):
    """In a container every process may have the number of the one that was killed."""
    (tmp_path / named("x", os.getpid())).write_text("x")
    sweep(tmp_path)
    assert content(tmp_path) == {}


def test_a_folder_is_swept_once(tmp_path, monkeypatch):
    """It may hold a hundred thousand pictures, of which each is written whole."""
    looked, iterdir = [], Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: looked.append(path) or iterdir(path))
    for name in ("a", "b", "c"):
        files.write_whole(tmp_path / name, b"x")
    assert looked == [tmp_path]


def test_a_folder_is_swept_again_below_a_name(tmp_path, dead, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run/grids").mkdir(parents=True)
    for again in (False, True):
        sweep(Path("run/grids"))
        Path("run/grids", named("x", dead)).write_text("x")
        if again:
            files.sweep_again(Path("run"))
        sweep(tmp_path / "run" / "grids")
        assert content(Path("run/grids")) == {} if again else {named("x", dead): "x"}


# ------------------------------------------------------------------------ two at the same time


@pytest.fixture
def model(tmp_path):
    vae = families.get("vae")
    model = vae.model(vae.tiny)
    genzoo.save(model, tmp_path / "model", family="vae")
    card.complete(tmp_path / "model")
    return tmp_path / "model"


def score(name, value=1.0):
    return {"name": name, "value": value, "protocol": {"n": 10}}


def test_scores_of_several_at_once_are_all_written(model):
    start = threading.Barrier(6)

    def write(number):
        start.wait()
        card.add_scores(model, [score(f"metric{number}")])

    threads = [threading.Thread(target=write, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {s["name"] for s in card.read_metrics(model)["scores"]}
    assert names == {f"metric{number}" for number in range(6)}
    assert not [*model.glob(".*")]


def test_scores_of_a_model_that_was_replaced_are_not_written(model):
    old = folders.load_folder(model, "cpu").origin.weights_sha256
    vae = families.get("vae")
    other = vae.model(vae.tiny)
    genzoo.save(other, model, family="vae", force=True)
    card.complete(model)
    with pytest.raises(BadInput, match="was replaced while another was measured"):
        card.add_scores(model, [score("fd")], old)
    assert card.read_metrics(model)["scores"] == []


def test_a_lock_file_that_its_holder_removed_is_made_again(tmp_path):
    """Else two would hold two files of one name."""
    order, path = [], tmp_path / ".lock"

    def second():
        with locked(path, remove=True):
            order.append(path.exists())

    with locked(path, remove=True):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        assert order == []
    thread.join()
    assert order == [True]
    assert not path.exists()
