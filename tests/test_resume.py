"""A resumed run obeys each option, or refuses it by name; a run begins with a model's weights."""

import json
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from safetensors.torch import load_file

import genzoo
from genzoo import cli, families
from genzoo.cli.app import app
from genzoo.errors import BadInput, UnknownName, on_the_command_line
from genzoo.runs import changes, launch, lock
from genzoo.runs.plan import read_plan, write_plan
from genzoo.training import Diverged, Phase, freeze
from genzoo.zoo import manifest as manifests
from genzoo.zoo.manifest import Stage

WORDS = (
    "train vae --data faces --steps 4 --checkpoint-every 2 --grid-every 4 --threads 1 --seed 3 "
    "--device cpu --set size=8 --set channels=1 --set width=4 --set latent_dim=2 "
    "--set batch_size=4 --out run"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Twelve images, a run of four steps that stopped after two, and a finished one."""
    home = tmp_path_factory.mktemp("resume")
    noise = np.random.default_rng(0).integers(0, 256, (24, 16, 16), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        folder = home / ("faces" if number < 12 else "others")
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_HOME", str(home / "cache"))
        patch.chdir(home)
        assert cli.run(words()) == 0
        shutil.move("run", "whole")
        stop(start("faces", "run"), 3)
    return home


@pytest.fixture
def here(home, tmp_path, monkeypatch):
    """A copy of them, to work in."""
    shutil.copytree(home, tmp_path / "here", ignore=shutil.ignore_patterns("cache"))
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("GENZOO_HOME", str(home / "cache"))
    moved = stored().model_copy(update={"data": str(tmp_path / "here/faces")})
    write_plan(Path("run/run/plan.json"), moved)
    return tmp_path / "here"


def words(more="", line=WORDS):
    """The command, in which ./ stands before the folder of images."""
    return [w if w != "faces" else "./faces" for w in shlex.split(f"{line} {more}")]


def start(data, out, **more):
    values = {"size": 8, "channels": 1, "width": 4, "latent_dim": 2, "batch_size": 4}
    settings = {"steps": 4, "checkpoint_every": 2, "grid_every": 4, "threads": 1, "seed": 3}
    settings |= {"values": values | more.pop("values", {}), "device": "cpu", **more}
    return launch.start("vae", Path(data), Path(out), **settings)


def stop(run, at):
    def report(status):
        if status.step == at:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        run.go(report)
    return run.folder


def resumed(more="", out="run"):
    return cli.run(shlex.split(f"train --resume --out {out} {more}"))


def stored(out="run"):
    return read_plan(Path(out, "run/plan.json"))


def content(folder):
    return {p: p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def error(capsys):
    err = capsys.readouterr().err.splitlines()
    assert "Traceback" not in str(err)
    return err[-1]


# -------------------------------------------------------------------------- the same command again


def test_the_same_command_with_resume_goes_on(here, caplog):
    assert cli.run(words("--resume")) == 0
    assert (
        Path("run/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    )
    assert "bit for bit" not in caplog.text
    assert stored().stages == ()
    assert "stages" not in json.loads(Path("run/config.json").read_text())["recipe"]


@pytest.mark.parametrize(
    "more",
    [
        "--set size=8",
        "--set channels=1",
        "--set shape=[1,8,8]",
        "--set latent_dim=2 --set beta=1",
        "--set lr=1e-3",
        "--data ./faces",
        "--data ././faces",
        "--device auto" if not torch.cuda.is_available() else "--device cpu",
        "--precision fp32 --micro-batches 1 --store-as float32 --license unknown",
        "--model-version 1 --seed 3 --steps 4 --threads 1",
    ],
)
def test_what_means_the_same_goes_on(here, more, caplog):
    run = resume_of(more)
    assert (run.start, run.plan) == (2, stored())
    assert "bit for bit" not in caplog.text


def resume_of(more):
    """The run that the command resumes, which is not trained further."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genzoo.runs.train._go", lambda run, *rest, **more: found.append(run) or run)
        assert resumed(more) == 0
    return found[0]


def test_without_out_resume_takes_the_folder_that_the_start_takes(here, monkeypatch):
    shutil.move("run", "vae-faces")
    line = words("--resume", WORDS.removesuffix(" --out run"))
    assert cli.run(line) == 0
    assert Path("vae-faces/README.md").exists()


def test_minutes_that_became_steps_agree(here, monkeypatch, capsys):
    told = launch.Estimate({}, 0, 4 / 60, 1, 15.0)
    monkeypatch.setattr(launch, "estimate", lambda *args: told)
    run = start("faces", "timed", steps=None, minutes=1.0)
    assert (run.plan.steps, run.plan.minutes) == (4, 1)
    run.checkpoint(0)
    assert launch.resume(Path("timed"), minutes=1.0).plan == run.plan
    assert resumed("--minutes 2", "timed") == 2
    assert "4 steps, got --minutes 2" in error(capsys)
    assert launch.resume(Path("timed"), steps=6).plan.minutes is None


def test_a_recipe_that_was_repeated_agrees(here, capsys):
    again = "train --recipe ./whole --data ./faces --out again --checkpoint-every 2"
    run = "genzoo.runs.run.Run.go"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, lambda self, report: stop(self, 3) if report is None else self.folder)
        assert cli.run(shlex.split(again)) == 0
    assert cli.run(shlex.split(f"{again} --resume")) == 0
    weights = [Path(out, "model.safetensors").read_bytes() for out in ("whole", "again")]
    assert weights[0] == weights[1]
    assert cli.run(shlex.split("train --recipe ./whole --resume --out run --data ./faces")) == 0


# ------------------------------------------------------------------ every option, obeyed or refused

# Of each option of the command: words that differ from the run's, and what refuses them by name, or
# what the plan then holds.
REFUSED = {
    "family": ("dcgan", "family"),
    "data": ("--data ./others", "--data"),
    "seed": ("--seed 4", "--seed"),
    "minutes": ("--minutes 1", "--minutes"),
    "recipe": ("--recipe vae-mnist --data ./faces", "leave .* out"),
    "start_from": ("--from vae-mnist", "--from"),
    "settings": ("--set width=5", "--set width="),
    "force": ("--force", "--force"),
}
OBEYED = {
    "steps": ("--steps 6", {"steps": 6}),
    "precision": ("--precision bf16", {"precision": "bf16"}),
    "micro_batches": ("--micro-batches 2", {"micro_batches": 2}),
    "compile": ("--compile", {"compile": True}),
    "threads": ("--threads 2", {"threads": 2}),
    "checkpoint_every": ("--checkpoint-every 3", {"checkpoint_every": 3}),
    "grid_every": ("--grid-every 3", {"grid_every": 3}),
    "store_as": ("--store-as float16", {"dtype": "float16"}),
    "license": ("--license MIT", {"license": "MIT"}),
    "version": ("--model-version 5", {"version": 5}),
}
# These have tests of their own.
OTHERS = {"device", "dry_run", "board", "json", "root", "resume", "out"}
FREE = {"checkpoint_every", "grid_every", "store_as", "license", "version"}


def test_each_option_of_train_is_here():
    command = typer.main.get_command(app).commands["train"]
    names = {p.name for p in command.params} - {"help"}
    assert names == {*REFUSED, *OBEYED, *OTHERS}


def test_each_argument_of_a_start_has_a_rule():
    fields = {*launch.Plan.model_fields} - {"format", "kind", "config", "options", "revision"}
    fields -= {"data_sha256", "processes", "versions", "command", "summary", "run", "stages"}
    fields -= {"form"}  # of the values
    assert fields <= {*changes.RULES}


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_agree_is_refused_by_name(here, capsys, name):
    before, (more, option) = content("run"), REFUSED[name]
    assert resumed(more) == 2
    message = error(capsys)
    assert re.search(option, message), message
    assert content("run") == before


@pytest.mark.parametrize(
    "words", ["--data mnist", "--recipe vae-mnist --seed 3", "--data mnist:3@edges"]
)
def test_another_named_set_is_refused_before_it_is_downloaded(here, capsys, monkeypatch, words):
    monkeypatch.setattr(changes, "_open", None)
    named = stored().model_copy(update={"data": "digits"})
    write_plan(Path("run/run/plan.json"), named)
    assert cli.run(shlex.split(f"train --resume --out run {words}")) == 2
    assert "mnist" in (message := error(capsys))
    assert "does not hold the data of the run" in message


def test_compiling_may_end(here, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: None)  # takes 10 seconds
    write_plan(Path("run/run/plan.json"), stored().model_copy(update={"compile": True}))
    assert resume_of("").plan.compile
    assert not resume_of("--no-compile").plan.compile


def test_a_recipe_says_whether_it_was_compiled(here, caplog, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: None)  # takes 10 seconds
    write_plan(Path("run/run/plan.json"), stored().model_copy(update={"compile": True}))
    resume_of("").go()
    assert manifests.read_manifest(Path("run")).recipe.compile
    again = "train --recipe ./run --data ./faces --threads 1 --device cpu --out"
    assert cli.run(shlex.split(f"{again} same")) == 0
    assert read_plan(Path("same/run/plan.json")).compile
    caplog.clear()
    assert cli.run(shlex.split(f"{again} other --no-compile")) == 0
    assert not read_plan(Path("other/run/plan.json")).compile
    assert "compile=False in place of True (--compile)" in caplog.text


@pytest.mark.parametrize("name", OBEYED)
def test_what_may_change_is_obeyed_and_recorded(here, caplog, monkeypatch, name):
    more, fields = OBEYED[name]
    before, threads = stored(), torch.get_num_threads()
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: None)  # takes 10 seconds
    run = resume_of(more)
    torch.set_num_threads(threads)
    ((key, new),) = fields.items()
    assert getattr(run.plan, key) == new
    if name in FREE:
        assert run.plan.stages == ()
        assert "bit for bit" not in caplog.text
    else:
        told = f"{key} {getattr(before, key)} -> {new}"
        assert f"run goes on after step 2, not bit for bit: {told}" in caplog.text
        rest = run.plan.steps - 2
        changed = {key: (getattr(before, key), new)}
        assert run.plan.stages == (Stage(steps=2), Stage(steps=rest, changes=changed))
    assert stored() == before, "written before it trains"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("--set size=16", "size 8, got 16"),
        ("--set channels=3", "channels 1, got 3"),
        ("--set shape=[1,16,16]", "shape"),
        ("--set beta=2", "beta 1.0, got 2.0"),
        ("--set batch_size=8", "batch_size 4, got 8: leave --set batch_size= out"),
        ("--set widht=3", "did you mean width"),
        ("--steps 1", "has done 2 steps, got --steps 1"),
        ("--steps 0", "--steps"),
        ("--device nosuch", "'nosuch'"),
        ("--device cuda --precision bf16" if not torch.cuda.is_available() else "--device no", "'"),
        ("--precision fp8", "precision"),
        ("--micro-batches 3", "batch_size 4 is not divisible by 3"),
        ("--store-as int8", "int8"),
        ("--data ring8", "ring8 does not hold the data of the run in run"),
        ("--data ./nowhere", "nowhere"),
        ("--steps 3 --minutes 1", "exclude"),
        ("--recipe ./whole vae", "leave vae out"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_changes(here, capsys, more, says):
    before = content("run")
    assert resumed(more) == 2
    assert says in error(capsys)
    assert content("run") == before


def test_a_dry_run_estimates_the_rest(here, capsys):
    before = content("run")
    assert resumed("--dry-run --json --steps 12") == 0
    estimate = json.loads(capsys.readouterr().out)
    assert estimate["steps"] == 10
    assert estimate["seconds"] == pytest.approx(10 / estimate["rate"])
    assert content("run") == before
    assert resumed("--dry-run --set width=5") == 2


def test_a_board_and_a_root_of_data_are_obeyed(here, capsys):
    pytest.importorskip("tensorboard")
    assert resumed("--data-root ./nowhere") == 2
    assert "root 'nowhere' is not a folder" in error(capsys)
    assert resumed("--board --json") == 0
    assert Path("run/run/board").is_dir()
    assert json.loads(capsys.readouterr().out) == {"folder": "run", "steps": 4}


def test_another_device_is_taken_as_it_is_named(here, monkeypatch, caplog):
    monkeypatch.setattr(changes.devices, "device", lambda name: torch.device("meta"))
    record = read_plan(Path("run/run/plan.json"))
    change = changes.change(record, Path("run"), None, {"device": "auto"})
    assert change.stage == {"device": ("cpu", "meta")}
    assert change.plan.device == "meta"


def test_an_unknown_setting_is_refused(here):
    with pytest.raises(UnknownName, match=r"stepz.*did you mean steps"):
        launch.resume(Path("run"), stepz=3)


# ------------------------------------------------------------------------------- a stage at a time


def test_a_finished_run_says_so(here, caplog, capsys):
    before = content("whole")
    assert resumed(out="whole") == 0
    assert "the run in whole is finished: all 4 steps are done; --steps" in caplog.text
    assert capsys.readouterr().out == "whole\n"
    for more in ("--precision bf16", "--store-as float16", "--set lr=0.5", "--grid-every 1"):
        assert resumed(more, "whole") == 2
        assert f"finished: {more.split('=')[0].rsplit(' ', 1)[0]}" in error(capsys)
    assert resumed("--dry-run", "whole") == 0
    assert content("whole") == before


def test_more_steps_train_a_finished_run_further(here, caplog):
    card = genzoo.zoo.card
    card.add_scores(Path("whole"), [{"name": "fd", "value": 1.5, "protocol": {"n": 10}}])
    assert resumed("--steps 8 --set lr=0.0005 --license MIT", "whole") == 0
    assert "step 4 is 50% of the run in place of 100%" in caplog.text
    manifest = manifests.read_manifest(Path("whole"))
    assert (manifest.version, manifest.license, manifest.recipe.steps) == (2, "MIT", 8)
    assert manifest.recipe.options["lr"] == 0.0005
    changed = {"steps": (4, 8), "lr": (0.001, 0.0005)}
    assert manifest.recipe.stages == (Stage(steps=4), Stage(steps=4, changes=changed))
    assert card.read_metrics(Path("whole"))["scores"] == [], "of other weights"
    readme = Path("whole/README.md").read_text()
    assert "| stages | 4 steps; 4 steps with steps 4 -> 8, lr 0.001 -> 0.0005 |" in readme
    assert resumed(out="whole") == 0, "and is finished again"
    again = "train --recipe ./whole --data ./faces --out again --dry-run"
    assert cli.run(shlex.split(again)) == 0
    told = "whole: its training was changed on the way (lr, steps); the recipe repeats the last"
    assert told in caplog.text


def test_a_lower_rate_is_one_command_after_a_divergence(here, capsys):
    values = {"lr": 10.0, "optimizer": "sgd", "warmup": 0.0}
    run = start("faces", "wild", values=values, steps=300, checkpoint_every=1)
    with pytest.raises(Diverged) as caught, on_the_command_line():
        run.go()
    command = str(caught.value).partition("Try: genzoo ")[2]
    assert command.endswith("--resume --set lr=5")
    line = command.replace("lr=5", "lr=1e-6") + " --grid-every 300 --dry-run"
    assert cli.run(shlex.split(line)) == 0
    done = launch.resume(Path("wild"), values={"lr": 1e-6})
    assert done.options.lr == done.trainer.players["model"].lr == 1e-6
    assert done.plan.stages[-1].changes == {"lr": (10.0, 1e-6)}


def test_a_renamed_folder_of_the_same_content_is_the_same(here, capsys, monkeypatch):
    shutil.move("faces", "people")
    monkeypatch.setattr(changes.register, "find", lambda sha256: None)
    assert resumed() == 2
    assert "new name or place, give it with --data" in error(capsys)
    assert resumed("--data ./people") == 0
    assert stored().data == str(here / "people")
    assert stored().stages == ()
    assert (
        Path("run/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    )


def test_a_renamed_folder_that_this_machine_knows_is_found(here, monkeypatch, caplog):
    monkeypatch.setenv("GENZOO_HOME", str(here / "cache"))
    shutil.move("faces", "people")
    start("people", "other")
    assert resume_of("").plan.data == str(here / "faces"), "as its plan says"
    assert "people holds the same data" in caplog.text


def test_a_folder_of_other_content_is_not(here, capsys):
    shutil.copytree("faces", "people")
    Image.new("L", (16, 16), 3).save("people/07.png")
    assert resumed("--data ./people") == 2
    assert "people does not hold the data of the run in run" in error(capsys)


@pytest.mark.parametrize(
    ("stages", "steps", "at", "new", "changed", "result"),
    [
        ([], 4, 2, 4, {}, []),
        ([], 4, 2, 6, {"steps": (4, 6)}, [(2, {}), (4, {"steps": (4, 6)})]),
        ([], 4, 0, 4, {"lr": (1, 2)}, []),
        ([(2, {}), (2, {"lr": (1, 2)})], 4, 3, 4, {}, [(2, {}), (2, {"lr": (1, 2)})]),
        # The checkpoint of step 2 was lost: the settings stay, and begin earlier.
        ([(2, {}), (2, {"lr": (1, 2)})], 4, 1, 4, {}, [(1, {}), (3, {"lr": (1, 2)})]),
        ([(2, {}), (2, {"lr": (1, 2)})], 4, 2, 4, {"lr": (2, 3)}, [(2, {}), (2, {"lr": (1, 3)})]),
        ([(2, {}), (2, {"lr": (1, 2)})], 4, 2, 4, {"lr": (2, 1)}, []),
        (
            [(2, {}), (2, {"lr": (1, 2)})], 4, 3, 3, {"steps": (4, 3)},
            [(2, {}), (1, {"lr": (1, 2)}), (0, {"steps": (4, 3)})],
        ),
    ],
)  # fmt: skip
def test_stages_are_what_was_done(here, stages, steps, at, new, changed, result):
    made = tuple(Stage(steps=n, changes=c) for n, c in stages)
    record = stored().model_copy(update={"steps": steps, "stages": made})
    after = record.model_copy(update={"steps": new})
    found = changes.stages(record, after, at, changed)
    assert [(s.steps, s.changes) for s in found] == result


def test_another_number_of_steps_leaves_the_phase_that_has_begun():
    phases = [Phase("first", 0.5), Phase("second", 0.5)]
    run = SimpleNamespace(
        trainer=SimpleNamespace(phases=phases), start=6, folder="run",
        plan=SimpleNamespace(steps=12),
    )  # fmt: skip
    launch._check_phases(run, SimpleNamespace(steps=11))
    with pytest.raises(BadInput, match="phase second after step 6; of 12 steps"):
        launch._check_phases(run, SimpleNamespace(steps=8))


# --------------------------------------------------------------------------- from a model's weights

GAN = {"width": 4, "latent_dim": 3, "batch_size": 4, "size": 8, "channels": 1, "dense_units": [6]}


@pytest.fixture(scope="module")
def parent(home):
    """A small GAN with its discriminator, of averaged weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENZOO_HOME", str(home / "cache"))
        values = {**GAN, "ema_decay": 0.5}
        settings = {"steps": 2, "values": values, "device": "cpu"}
        return launch.start("dcgan", home / "faces", home / "parent", **settings).go()


def child(here, out="child", **more):
    more = {"start_from": here / "parent", "steps": 1, "device": "cpu", **more}
    more["values"] = {"batch_size": 4, **more.get("values", {})}
    return launch.start("dcgan", here / "faces", Path(out), **more)


@pytest.fixture
def born(parent, here):
    if not (here / "parent").exists():
        shutil.copytree(parent, here / "parent")
    return here


def test_a_run_begins_with_the_weights_and_the_discriminator(born, caplog):
    run = child(born)
    for name, file in {"generator": "model", "discriminator": "discriminator"}.items():
        old, new = load_file(f"parent/{file}.safetensors"), run.trainer.networks()[name]
        for key, tensor in new.state_dict().items():
            assert torch.equal(tensor, old[key]), key
    assert run.plan.config == manifests.read_manifest(Path("parent")).config
    assert "averaged weights (ema_decay 0.5) and its discriminator; all optimisers" in caplog.text
    first = launch.resume(Path("child"))
    assert first.start == 0
    shutil.rmtree("parent")
    for one, two in zip(
        run.trainer.model.parameters(), first.trainer.model.parameters(), strict=True
    ):
        assert torch.equal(one, two), "a resumed run needs no parent"


def test_the_average_begins_with_them_too(born):
    run = child(born, values={"ema_decay": 0.9})
    old = load_file("parent/model.safetensors")
    assert all(torch.equal(t, old[k]) for k, t in run.trainer.model.state_dict().items())


def test_the_recipe_lists_the_stages_and_is_repeated(born, capsys, caplog):
    child(born).go()
    own, old = (manifests.read_manifest(Path(n)) for n in ("child", "parent"))
    from_parent = Stage(
        steps=2, model="parent", version=1, weights_sha256=old.weights_sha256,
        discriminator_sha256=old.discriminator_sha256, data="faces",
    )  # fmt: skip
    assert own.recipe.stages == (from_parent, Stage(steps=1))
    assert own.recipe.parent == from_parent
    readme = Path("child/README.md").read_text()
    assert "Trained for 1 steps on faces, from the weights of parent." in readme
    assert f"parent version 1: 2 steps on faces, weights {old.weights_sha256}; 1 steps" in readme
    again = ["train", "--recipe", "./child", "--data", "./faces", "--out", "again", "--device"]
    assert cli.run([*again, "cpu"]) == 2
    assert f"weights of parent ({old.weights_sha256}): give this model with --from" in error(capsys)
    assert cli.run([*again, "cpu", "--from", "./parent"]) == 0
    assert manifests.read_manifest(Path("again")).weights_sha256 == own.weights_sha256
    assert cli.run([*again, "cpu", "--resume", "--from", "./parent"]) == 0
    assert cli.run([*again, "cpu", "--resume", "--from", "./child"]) == 2
    assert "began with the weights of parent, got --from ./child" in error(capsys)
    grandchild = child(born, "third", start_from=born / "child")
    assert [s.model for s in grandchild.plan.stages] == ["parent", "child", ""]


def test_a_recipe_takes_a_parent_that_is_installed(born, monkeypatch):
    """Where its name means a model with the same weights."""
    from genzoo.runs import request
    from genzoo.zoo import names

    _, manifest = names.resolve("vae-mnist")
    stage = Stage(model="vae-mnist", weights_sha256=manifest.weights_sha256)
    assert request._parent_of("./child", stage) == "vae-mnist"
    other = stage.model_copy(update={"weights_sha256": "0" * 64})
    with pytest.raises(BadInput, match="vae-mnist here has others"):
        request._parent_of("./child", other)
    folder = stage.model_copy(update={"model": "/"})
    with pytest.raises(BadInput, match=r"give this model with start_from=$"):
        request._parent_of("./child", folder)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"values": {"width": 5}}, r"parent do not fit this run \(width 4, here 5\): layers"),
        ({"values": {"size": 16}}, r"\(size 8, here 16\): .* here "),
        (
            {"values": {"latent_dim": 7}},
            r"latent_dim 3, here 7\): layers\.0\.weight is \(3, 6, 1, 1\)",
        ),
    ],
)
def test_other_tensors_are_refused_by_name(born, more, says):
    with pytest.raises(BadInput, match=says):
        child(born, **more)
    assert not Path("child").exists()


def test_a_part_that_the_parent_lacks_begins_anew(born, caplog):
    family = families.get("vae")
    tiny = family.tiny.model_copy(update={"shape": (1, 8, 8), "levels": 17})
    genzoo.save(family.model(tiny), "plain", family="vae")
    more = {"start_from": "./plain", "steps": 4, "device": "cpu", "values": {"couplings": 2}}
    run = launch.start("vae", "digits", Path("child"), **more)
    assert "plain has no flow: that begins anew" in caplog.text
    kept, new = genzoo.load("./plain").state_dict(), run.trainer.model.state_dict()
    assert all(torch.equal(tensor, new[name]) for name, tensor in kept.items())
    assert {*new} - {*kept} == {name for name in new if name.startswith("flow.")} != set()


def test_another_family_is_refused(born, capsys):
    assert cli.run(["train", "vae", "--from", "./parent", "--steps", "1"]) == 2
    assert "./parent is a model of dcgan" in error(capsys)


def test_a_parent_without_a_discriminator_is_told(born, caplog):
    folder = genzoo.save(genzoo.load(born / "parent"), born / "bare")
    run = child(born, start_from=folder)
    assert "bare: its weights; the discriminator and all optimisers begin anew" in caplog.text
    assert run.plan.stages[0].steps is None


def test_from_names_the_family_itself(born):
    line = "train --from ./parent --data ./faces --steps 1 --device cpu --out named"
    assert cli.run([*shlex.split(line), "--set", "batch_size=4"]) == 0
    assert manifests.read_manifest(Path("named")).family == "dcgan"
    assert cli.run([*shlex.split(line), "--set", "batch_size=4", "--dry-run"]) == 0


def test_without_a_checkpoint_it_does_not_begin_with_other_weights(born):
    child(born)
    for path in Path("child/run/checkpoints").iterdir():
        path.write_bytes(b"")
    with pytest.raises(BadInput, match=r"began with the weights of parent: .*start_from="):
        launch.resume(Path("child"))


# --------------------------------------------------------------------------------- frozen layers


def test_frozen_layers_stay_bit_for_bit(born):
    frozen = {"generator": ("layers.1", "layers.3"), "discriminator": ("blocks.0",)}
    names = "layers.1,layers.3,discriminator.blocks.0"
    run = child(born, steps=2, values={"freeze": names, "ema_decay": 0.5})
    run.go()
    for player, layers in frozen.items():
        file = "model" if player == "generator" else player
        old, new = (load_file(f"{out}/{file}.safetensors") for out in ("parent", "child"))
        still = {key for key in old if torch.equal(old[key], new[key])}
        mine = {key for key in old if key.startswith(tuple(f"{layer}." for layer in layers))}
        assert mine
        assert mine <= still
        part = run.trainer.players[player]
        learned = {n for n, p in part.network.named_parameters() if p in part.optimizer.state}
        assert learned == {n for n, _ in part.network.named_parameters()} - mine
        assert learned
        assert not learned & still
    assert launch.resume(Path("child")).options.freeze == names


def test_weights_that_are_clipped_stay_too(born):
    run = child(born, values={"freeze": "discriminator.blocks.0", "weight_clip": 1e-4})
    before = {k: v.clone() for k, v in run.trainer.networks()["discriminator"].state_dict().items()}
    run.go()
    after = load_file("child/discriminator.safetensors")
    frozen = [k for k in before if k.startswith("blocks.0.")]
    assert frozen
    assert all(torch.equal(before[k], after[k]) for k in frozen)
    assert after["head.weight"].abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("layer.0", "no layer is called 'layer.0': did you mean layers.0"),
        ("layers.0,nothing", "no layer is called 'nothing': available: discriminator.blocks, "),
        ("layers.0.weigh", "did you mean"),
        ("layers", "freeze=layers leaves nothing of the generator to learn"),
        ("discriminator", "freeze=discriminator leaves nothing of the discriminator to learn"),
    ],
)
def test_a_wrong_name_to_freeze_is_refused(born, names, says):
    with pytest.raises((BadInput, UnknownName), match=says):
        child(born, values={"freeze": names})
    assert not Path("child").exists()


def test_a_frozen_layer_computes_as_in_evaluation(born):
    run = child(born, values={"freeze": " layers.1 , "})
    modes = {n: m.training for n, m in run.trainer.model.named_modules()}
    assert not modes["layers.1"]
    assert modes["layers.0"]
    freeze(run.trainer, "")
    assert modes == {n: m.training for n, m in run.trainer.model.named_modules()}


# ------------------------------------------------------------------------- other words for the same


@pytest.mark.parametrize("given", ["encoder.1,encoder.0", " encoder.1 , encoder.0", "encoder.0"])
def test_frozen_layers_have_no_order(here, given):
    record = stored()
    frozen = record.options | {"freeze": "encoder.0,encoder.1"}
    record = record.model_copy(update={"options": frozen})
    if given == "encoder.0":
        with pytest.raises(BadInput, match=r"has freeze 'encoder\.0,encoder\.1'"):
            changes.change(record, Path("run"), None, {"values": {"freeze": given}})
        return
    change = changes.change(record, Path("run"), None, {"values": {"freeze": given}})
    assert change.plan.options == record.options
    assert not change.stage


def test_cpu_0_is_cpu(here, caplog):
    assert str(genzoo.devices.device("cpu:0")) == "cpu"
    write_plan(Path("run/run/plan.json"), stored().model_copy(update={"device": "cpu:0"}))
    assert resumed("--device cpu:0") == 0
    assert stored().device == "cpu"
    assert "cannot use" not in caplog.text
    assert "not bit for bit" not in caplog.text
    assert not stored().stages


@pytest.mark.parametrize(("own", "new"), [("cuda", "cuda:0"), ("cuda:0", "cuda"), ("cuda:1",) * 2])
def test_cuda_0_is_cuda(here, monkeypatch, own, new):
    monkeypatch.setattr(changes.devices, "device", torch.device)
    record = stored().model_copy(update={"device": own})
    assert not changes.change(record, Path("run"), None, {"device": new}).stage
    assert changes.change(record, Path("run"), None, {"device": "cuda:2"}).stage


@pytest.mark.parametrize("out", ["run", "whole"])
def test_an_estimate_needs_no_lock(here, out, monkeypatch, capsys):
    monkeypatch.setattr(lock, "locked", lambda *_, **__: pytest.fail("it took the lock"))
    before = content(out)
    assert resumed("--dry-run --json", out) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == (2 if out == "run" else 0)
    assert content(out) == before


def test_home_is_not_a_folder_named_tilde(here, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(here / "home"))
    (here / "home").mkdir()
    shutil.move("run", "home/run")
    before = sorted(here.glob("*"))
    begin = "train vae --data ./faces --steps 1 --set size=8 --set channels=1 --set width=4 --out"
    assert cli.run([*shlex.split(begin), "~/zz"]) == 0
    assert cli.run(["train", "--resume", "--out=~/run", "--dry-run"]) == 0
    assert cli.run(["plot", "~/zz", "-o", "~/zz.html"]) == 0
    assert {p.name for p in (here / "home").glob("[!.]*")} == {"run", "zz", "zz.html"}
    assert sorted(here.glob("*")) == before


@pytest.mark.parametrize("license", ["", " "])
def test_an_empty_license_is_refused(here, license):
    for given in ({"license": license}, {"license": license, "steps": 6}):
        with pytest.raises(BadInput, match="license is empty"):
            launch.resume(Path("run"), **given)
    with pytest.raises(BadInput, match="license is empty"):
        start("faces", "new", license=license)
    assert not Path("new").exists()


# ---------------------------------------------------------------- a model that is not the run's


def another_model(kind):
    """Put a model into the folder of the finished run that this has not written."""
    if kind == "float16":
        model = genzoo.load("./whole", device="cpu")
        genzoo.save(model, "whole", dtype="float16", force=True)
    else:
        more = {"seed": 4} if kind == "seed" else {"values": {"latent_dim": 3}}
        start("faces", "other", **more).go()
        for path in [path for path in Path("other").iterdir() if path.is_file()]:
            shutil.copy(path, "whole")


@pytest.mark.parametrize("more", ["", "--steps 6", "--dry-run"])
@pytest.mark.parametrize("kind", ["float16", "seed", "config"])
def test_a_model_of_another_is_not_replaced(here, kind, more, capsys):
    another_model(kind)
    before = content("whole")
    assert resumed(more, "whole") == 2
    assert "whole holds a model that its run did not write (vae, version" in error(capsys)
    assert content("whole") == before


def test_a_model_of_its_own_is(here):
    genzoo.save(genzoo.load("./whole", device="cpu"), "whole", force=True)
    assert resumed(out="whole") == 0
    (Path("whole") / "README.md").unlink()
    assert resumed("--steps 6 --set lr=0.0005", "whole") == 0
    assert resumed("--steps 7", "whole") == 0
