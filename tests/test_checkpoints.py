"""Checkpoints, plans and logs: what is damaged or of another run is never used in silence."""

import json
import random
import re
import shutil
import zipfile

import pytest
import torch

from genzoo import cli
from genzoo.errors import BadInput, GenzooError, OperationFailed
from genzoo.files import locked
from genzoo.runs import checkpoints as module
from genzoo.runs import earlier, launch, plots
from genzoo.runs.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from genzoo.runs.plan import read_plan, write_plan

CPU = torch.device("cpu")
VALUES = {"shape": [1, 8, 8], "size": 8, "width": 4, "latent_dim": 2, "batch_size": 4}


def begin(folder, **more):
    asked = {"steps": 6, "checkpoint_every": 2, "grid_every": 6, "log_every": 1, "device": "cpu"}
    values = VALUES | more.pop("values", {})
    return launch.start("vae", "digits", folder, values=values, **asked | more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return begin(tmp_path_factory.mktemp("finished") / "run").go()


@pytest.fixture
def run(finished, tmp_path):
    """A run with the checkpoints of steps 4 and 6; its model is not written yet."""
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "README.md").unlink()
    return folder


def path_of(run, step):
    return run / "run" / "checkpoints" / f"{step:08}.pt"


def rewrite(run, change, step=6):
    """The checkpoint of ``step``, changed, with the hash that belongs to it."""
    path = path_of(run, step)
    old = read_checkpoint(path, CPU)
    values = dict(vars(old))
    change(values)
    path.unlink()
    with path.open("w+b") as file:
        torch.save({k: v for k, v in values.items() if k != "run"}, file)
        module._seal(file, values["run"])


# ------------------------------------------------------------------------------------------- when


def test_by_time_a_checkpoint_is_due_after_a_minute_or_twenty_times_its_own_time():
    now = [100.0]
    timetable = module.Timetable(None, lambda: now[0])
    dues = []
    for takes in (0.5, 6.0, 0.0):
        now[0] = timetable.due - 0.1
        assert not timetable.is_due(1000)
        now[0] += 0.1
        dues.append(now[0])
        assert timetable.is_due(7)
        with timetable.writing():
            now[0] += takes
    assert dues == pytest.approx([160, 160 + 0.5 + 60, 220.5 + 6 + 120])


def test_by_steps_no_clock_counts():
    timetable = module.Timetable(3, lambda: 0.0)
    assert [step for step in range(1, 10) if timetable.is_due(step)] == [3, 6, 9]


def test_when_checkpoints_are_written_changes_nothing_else(finished, tmp_path, monkeypatch):
    """By time: a short run writes only the last; where one is always due, each step writes one."""
    once = begin(tmp_path / "once", checkpoint_every=None).go()
    assert [p.stem for p in module.checkpoints(once)] == ["00000006"]
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    monkeypatch.setattr(module, "TIMES", 0)
    often = begin(tmp_path / "often", checkpoint_every=None).go()
    assert [p.stem for p in module.checkpoints(often)] == ["00000006", "00000005"]
    for name in ("model.safetensors", "run/log.jsonl", "run/grids/00000006.png"):
        assert (once / name).read_bytes() == (often / name).read_bytes()
        assert (once / name).read_bytes() == (finished / name).read_bytes()


# ---------------------------------------------------------------------------------- damaged files


def test_no_flipped_bit_is_loaded(tmp_path):
    """Each of them changes nothing, or is noticed."""
    parts = {"net": {"weight": torch.arange(6.0), "bias": torch.zeros(2)}}
    (tmp_path / "run").mkdir()
    write_checkpoint(tmp_path, Checkpoint(5, "0" * 64, 1.5, parts, None, "a" * 64))
    path = path_of(tmp_path, 5)
    good, noticed = path.read_bytes(), 0
    for case in range(300):
        content, r = bytearray(good), random.Random(case)
        content[r.randrange(len(content))] ^= 1 << r.randrange(8)
        path.write_bytes(content)
        try:
            read = read_checkpoint(path, CPU)
        except Exception:  # the caller goes on to the one before, whatever is raised
            noticed += 1
            continue
        assert module._is_same(vars(read)["parts"], parts), case
        assert (read.step, read.data, read.seconds) == (5, "0" * 64, 1.5), case
    assert noticed > 270  # the others are in what a zip says twice, or pads with


def set_to(name, value):
    return lambda values: values.update({name: value})


def part(change):
    return lambda values: values.update(parts=change(values["parts"]))


def tensors(change):
    """Every tensor of the model is changed."""
    return part(lambda p: {**p, "model": {k: change(v) for k, v in p["model"].items()}})


def moments(change):
    def optimizer(parts):
        (name,) = [name for name in parts if name.endswith(".optimizer")]
        old = parts[name]
        state = {i: {**s, "exp_avg": change(s["exp_avg"])} for i, s in old["state"].items()}
        return {**parts, name: {**old, "state": state}}

    return part(optimizer)


IMPOSSIBLE = {
    "of another step": (set_to("step", 10), "its content of step 10"),
    "a step that is no number": (set_to("step", "6"), "its step is of the type str"),
    "a step that is a truth": (set_to("step", True), "its step is of the type bool"),
    "on other data": (set_to("data", "1" * 64), "other data"),
    "of another run": (set_to("run", "1" * 64), "another run"),
    "seconds without end": (set_to("seconds", float("inf")), "inf seconds"),
    "parts in a list": (set_to("parts", []), "its parts is of the type list"),
    "no parts": (set_to("parts", {}), "KeyError"),
    "one part more": (part(lambda p: {**p, "judge": {}}), "judge"),
    "another shape": (tensors(lambda t: t[None]), "size mismatch|RuntimeError"),
    "another type": (tensors(lambda t: t.double()), "another shape or type"),
    "not finite": (tensors(lambda t: t / 0), "not finite"),
    "numbers for tensors": (tensors(lambda t: 1.0), "RuntimeError|TypeError|AttributeError"),
    "moments of another shape": (moments(lambda t: t[None]), "exp_avg of .* another shape"),
    "moments that are texts": (moments(lambda t: "x"), "TypeError|AttributeError|another"),
    "a monitor of texts": (set_to("monitor", {"seen": "x", "phase": ""}), "ValueError|KeyError"),
    "a monitor in a list": (set_to("monitor", [1]), "its monitor is of the type list"),
    "an unknown field": (set_to("more", 1), "TypeError"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_checkpoint_falls_back_to_the_one_before(case, run, finished, caplog):
    change, reason = IMPOSSIBLE[case]
    rewrite(run, change)
    resumed = launch.resume(run)
    assert resumed.start == 4
    (line,) = [text for text in caplog.messages if "cannot use" in text]
    assert "00000006.pt" in line
    assert re.search(reason, line), line
    assert line.endswith("trying the one before")
    assert "\n" not in line
    if case not in ("another type", "moments of another shape", "a monitor of texts"):
        return  # these three show that nothing of what was refused stays
    resumed.go()
    weights = [(folder / "model.safetensors").read_bytes() for folder in (run, finished)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("99999999", "of step 99999999, its content of step 6"), ("00000005", "of step 5")],
)
def test_a_misnamed_checkpoint_is_not_loaded(name, reason, run, caplog):
    path_of(run, 6).rename(path_of(run, 6).with_stem(name))
    resumed = launch.resume(run)
    assert resumed.start == 4
    assert reason in caplog.text
    resumed.go()
    kept = sorted(path.name for path in path_of(run, 6).parent.iterdir())
    assert kept == ["00000004.pt", "00000006.pt"] or name == "00000005"


def test_a_step_beyond_the_run_is_not_loaded(run, caplog):
    rewrite(run, set_to("step", 8))
    path_of(run, 6).rename(path_of(run, 8))
    assert launch.resume(run).start == 4
    assert "of step 8, the run has 6" in caplog.text


def test_the_checkpoint_of_another_run_is_not_loaded(run, tmp_path, caplog):
    """Of the same shape, on the same data: only its seed is another."""
    other = begin(tmp_path / "other", seed=1).go()
    shutil.copy(path_of(other, 6), path_of(run, 6))
    assert launch.resume(run).start == 4
    assert "another run" in caplog.text


def test_what_could_not_be_loaded_stays_until_the_run_ends(run, monkeypatch):
    """It may be good for somebody: a newer version's, another run's."""
    path_of(run, 6).rename(path_of(run, 9))
    resumed = launch.resume(run)
    resumed.checkpoint(5)
    assert path_of(run, 9).with_suffix(".pt.unusable").exists()
    resumed.go()
    assert not [*run.rglob("*.unusable")]


def test_without_any_good_one_it_says_that_it_starts_from_step_0(run, finished, caplog):
    for step in (4, 6):
        rewrite(run, tensors(lambda t: t.double()), step)
    resumed = launch.resume(run)
    assert resumed.start == 0
    assert caplog.messages[-1].endswith("starting from step 0")
    resumed.go()
    weights = [(folder / "model.safetensors").read_bytes() for folder in (run, finished)]
    assert weights[0] == weights[1]  # nothing of what was refused is in it


def test_a_checkpoint_that_memory_is_missing_for_is_not_passed_over(run, monkeypatch):
    def load(*args, **more):
        raise MemoryError

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(OperationFailed, match=r"00000006\.pt: MemoryError"):
        launch.resume(run)


# ------------------------------------------------------------------------------- earlier versions


def without_hash(path):
    """As versions before 0.3 wrote it."""
    content = path.read_bytes()[: -module._LENGTH]
    path.write_bytes(content[:-2] + b"\0\0")


def test_a_checkpoint_without_a_hash_is_read_with_a_note(run, caplog):
    without_hash(path_of(run, 6))
    assert launch.resume(run).start == 6
    assert [text for text in caplog.messages if "has no hash" in text]


def test_a_checkpoint_without_a_hash_has_checksums(run, caplog):
    without_hash(path_of(run, 6))
    content = bytearray(path_of(run, 6).read_bytes())
    with zipfile.ZipFile(path_of(run, 6)) as parts:
        largest = max(parts.infolist(), key=lambda part: part.file_size)
    content[largest.header_offset + 200] ^= 1
    path_of(run, 6).write_bytes(content)
    assert launch.resume(run).start == 4
    assert "is damaged" in caplog.text


def test_readers_without_the_hash_still_read_it(run):
    state = torch.load(path_of(run, 6), weights_only=True)
    assert {*state} == {"step", "data", "seconds", "parts", "monitor"}
    with zipfile.ZipFile(path_of(run, 6)) as parts:
        assert parts.testzip() is None
        assert parts.comment.startswith(b"genzoo run ")


# --------------------------------------------------------------------------------- plans and logs


def test_no_flipped_bit_of_a_plan_is_obeyed(run):
    path = run / "run" / "plan.json"
    good, plan = path.read_bytes(), read_plan(path)
    for case in range(300):
        content, r = bytearray(good), random.Random(case)
        content[r.randrange(len(content))] ^= 1 << r.randrange(8)
        path.write_bytes(content)
        try:
            read = read_plan(path)
        except GenzooError as error:
            text = str(error)
        else:
            assert read == plan, case
            continue
        assert text.isprintable(), case
        assert "plan.json" in text, case


def test_a_plan_that_was_changed_by_hand_says_what_to_do(run, monkeypatch, capsys):
    path = run / "run" / "plan.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "seed": 5}))
    assert cli.run(["train", "--resume", "--out", str(run)]) == 2
    err = capsys.readouterr().err
    assert "plan.json is damaged" in err
    assert "remove its line sha256" in err
    del values["sha256"]
    path.write_text(json.dumps(values))
    assert read_plan(path).seed == 0


def test_a_plan_is_written_and_read(run, tmp_path):
    plan = read_plan(run / "run" / "plan.json").model_copy(update={"steps": 40})
    write_plan(tmp_path / "plan.json", plan)
    assert read_plan(tmp_path / "plan.json") == plan


@pytest.mark.parametrize(
    "line",
    [
        '{"step": 2, "model/loss": "high"}',
        '{"step": 2, "model/loss": null}',
        '{"step": 2, "model/loss": [1]}',
        '{"step": 99999999999999999999999, "model/loss": 1.0}',
        '{"step": true, "model/loss": 1.0}',
        '{"step": 2, "finding": "x"}',
        '{"step": 2, "phase": {"a": 1}}',
        '{"step": -1e999}',
        "[" * 100_000,
    ],
)
def test_a_damaged_line_of_the_log_spoils_no_plot(line, run):
    whole = plots.read_run(run)
    with (run / "run" / "log.jsonl").open("a") as file:
        file.write(line + "\n")
    damaged = plots.read_run(run)
    assert damaged.curves.keys() == whole.curves.keys()
    assert all((damaged.curves[k][1] == whole.curves[k][1]).all() for k in whole.curves)
    assert json.dumps(damaged.record())


def test_a_damaged_grid_spoils_no_plot(run):
    grids = run / "run" / "grids"
    content = (grids / "00000006.png").read_bytes()
    (grids / "00000003.png").write_bytes(content[:60] + bytes(20) + content[80:])
    (grids / "0000000x.png").write_bytes(content)
    (grids / "00000004.png").mkdir()
    assert plots.read_run(run).steps == (0, 6)


# -------------------------------------------------------------------------- two at the same time


def test_nothing_is_read_without_the_lock(run, monkeypatch, capsys):
    monkeypatch.setattr(launch, "read_plan", lambda path: pytest.fail("it read the plan"))
    monkeypatch.setattr(earlier, "check_free", lambda path: pytest.fail("it read the folder"))
    with locked(run / "run" / "lock"):
        for more in (["--resume"], ["vae", "--force", "--set", "width=4"], ["vae", "--steps", "1"]):
            assert cli.run(["train", *more, "--out", str(run)]) == 2
            assert "another process is training in" in capsys.readouterr().err


def test_a_run_that_went_on_since_it_was_read_is_not_continued(run):
    path_of(run, 6).unlink()
    first, second = launch.resume(run), launch.resume(run)
    first.go()
    for late in (second, first):
        with pytest.raises(BadInput, match=r"gone on since .*resume=True"):
            late.go()
    assert launch.resume(run).go() == run


def test_a_run_that_was_replaced_since_it_was_read_is_not_continued(run):
    resumed = launch.resume(run)
    begin(run, force=True)
    with pytest.raises(BadInput, match="gone on since"):
        resumed.go()


def test_a_new_run_keeps_the_lock_file_it_holds(run):
    with locked(run / "run" / "lock", wait=False):
        pass
    lock = (run / "run" / "lock").stat().st_ino
    begin(run, force=True)
    assert (run / "run" / "lock").stat().st_ino == lock


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md"])
def test_a_finished_run_whose_model_is_damaged_writes_it_again(name, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    good = (finished / "model.safetensors").read_bytes()
    (folder / name).unlink()
    if name != "README.md":
        (folder / name).write_bytes(b"x")
    launch.resume(folder).go()
    assert (folder / "model.safetensors").read_bytes() == good
    assert (folder / "README.md").exists()


# ------------------------------------------------------------------- what a new run may remove


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "name",
    ["thesis.txt", "data/thesis.txt", "plan.json", "log.jsonl", "checkpoints/00000001.pt"],
)
def test_a_folder_named_run_that_is_somebody_s_is_not_touched(name, force, tmp_path):
    mine = tmp_path / "out" / "run" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"steps": ["mine"]}')
    first = tmp_path / "out" / "run" / name.partition("/")[0]
    shown = mine if first.name == "checkpoints" else first
    with pytest.raises(BadInput, match=rf"{re.escape(str(shown))} is not a file of a run"):
        begin(tmp_path / "out", force=force)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == '{"steps": ["mine"]}'


@pytest.mark.parametrize("name", ["notes.txt", "grids/best.png", "checkpoints/mine.pt"])
def test_force_removes_no_file_beside_those_of_a_run(name, run):
    (run / "run" / name).write_text("mine")
    before = sorted(run.rglob("*"))
    with pytest.raises(BadInput, match=f"{name} is not a file of a run"):
        begin(run, force=True)
    assert sorted(run.rglob("*")) == before
    (run / "run" / name).rename(run / "run" / ".hidden")
    (run / "run" / "board").mkdir()
    (run / "run" / "board" / "events.out.tfevents.1.host.2.0").touch()
    begin(run, force=True)
    left = {path.name for path in (run / "run").iterdir()} - {"lock"}
    assert left == {".hidden", "plan.json"}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["run", "run/checkpoints", "run/plan.json"])
def test_nothing_behind_a_link_is_removed(name, force, run, tmp_path):
    (run / name).rename(tmp_path / "important")
    (run / name).symlink_to(tmp_path / "important")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=r"is a link|is not a file of a run"):
        begin(run, force=force)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_named_run_is_named(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(BadInput, match=rf"{tmp_path}/run is a file, not a folder"):
        begin(tmp_path)
    (tmp_path / "run").unlink()
    (tmp_path / "run").symlink_to("nowhere")
    with pytest.raises(BadInput, match="is a link"):
        begin(tmp_path)
