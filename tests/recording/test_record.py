"""A loop that is not Gradus's leaves the record of a run."""

import re
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import gradus
from gradus import InputError
from gradus.cli import main
from gradus.recording import recorder
from gradus.recording.losses import Rows
from gradus.runs.files import read_json
from gradus.runs.journal import joined

EXAMPLES, BATCH = 48, 16


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    """The picture takes longer than all else; where a test is of it, it is drawn."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(recorder, "write_curve", lambda folder, run: None)


@pytest.fixture
def drawn():
    """The picture is drawn."""


def parts(method=torch.optim.AdamW, **options):
    """A small model with dropout, an optimizer of it, and a scheduler of that."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 1))
    optimizer = method(model.parameters(), **({"lr": 0.1} | options))
    return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)


def epochs(run, model, optimizer, scheduler, last, *, before=False, fails=None):
    """Train to an epoch; what ``fails`` is raised after its epoch."""
    x = torch.linspace(-1, 1, 3 * EXAMPLES).reshape(EXAMPLES, 3)
    y = x.sum(1, keepdim=True)
    for epoch in range(run.epoch, last + 1):
        for batch in torch.randperm(EXAMPLES).split(BATCH):
            loss = nn.functional.mse_loss(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            if before:
                run.log(loss, batch=x[batch])
            optimizer.step()
            if not before:
                run.log(loss, batch=BATCH)
        run.evaluate(epoch, test_loss=loss.detach(), accuracy=0.25 * epoch, bleu=epoch)
        scheduler.step()
        run.keep()
        if fails is not None and epoch == fails[0]:
            raise fails[1]


def recorded(folder, last=3, *, method=torch.optim.AdamW, before=False, fails=None, **given):
    model, optimizer, scheduler = parts(method)
    with gradus.record(folder, optimizer, model, scheduler=scheduler, **given) as run:
        epochs(run, model, optimizer, scheduler, last, before=before, fails=fails)
    return model


def rows(run):
    """All of a record but its seconds."""
    return (
        run.history.drop_columns(["seconds"]).to_pydict(),
        run.evaluation.drop_columns(["seconds"]).to_pydict(),
    )


@pytest.mark.parametrize("before", [False, True])
def test_a_row_is_the_batch_before_its_step(tmp_path, before):
    recorded(tmp_path / "run", 2, before=before)
    run = gradus.open_run(tmp_path / "run")
    history = run.history
    assert history["step"].to_pylist() == [0, 1, 2, 3, 4, 5]
    assert history["samples"].to_pylist() == [16, 32, 48, 64, 80, 96]
    assert history["epoch"].to_pylist() == [1, 1, 1, 2, 2, 2]
    assert history["lr"].to_pylist() == [0.1] * 3 + [0.05] * 3
    running = run.evaluation["running_train_loss"].to_pylist()
    assert running == pytest.approx(history["loss"].to_numpy().reshape(2, 3).mean(1).tolist())
    assert run.evaluation["bleu"].to_pylist() == [1, 2]
    assert run.summary["final"]["test_accuracy"] == 0.5
    assert run.status == "finished"
    assert (run.title, run.summary["steps"]) == ("Optimizer-AdamW lr-0.1 bs-16", 6)


@pytest.mark.parametrize("after", [False, True, None])
def test_a_row_of_several_mini_batches_a_step_has_that_step(tmp_path, after):
    model, optimizer, _ = parts()
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with gradus.record(tmp_path / "run", optimizer, model) as run:

        def log(at):
            run.log(float(at), batch=8, after=after)

        for at in range(9):
            model(torch.ones(8, 3)).sum().backward()
            if after is False:
                log(at)
            if (at + 1) % 4 == 0:
                optimizer.step()
                scheduler.step()
            if after:
                log(at)
            elif after is None and at == 6:
                with pytest.warns(UserWarning, match="3 rows came .* and 4 before .*after=True"):
                    log(at)
            elif after is None:
                log(at)
    opened = gradus.open_run(tmp_path / "run")
    assert opened.summary["steps"] == 2
    if after is not None:
        assert opened.history["step"].to_pylist() == [0] * 4 + [1] * 4 + [2]
        assert opened.history["lr"].to_pylist() == [0.1] * 4 + [0.05] * 4 + [0.025]


def test_what_it_was_stands_in_the_record(tmp_path):
    recorded(tmp_path / "run", 1, method=torch.optim.SGD, config={"width": 4, "augment": "flip"})
    loop = read_json(tmp_path / "run/run.json")["loop"]
    assert loop["optimizer"]["class"] == "torch.optim.sgd.SGD"
    assert loop["optimizer"]["groups"][0]["lr"] == 0.1
    assert loop["model"]["class"] == "torch.nn.modules.container.Sequential"
    assert loop["model"]["parameters"] == 21
    assert loop["config"] == {"width": 4, "augment": "flip"}
    assert loop["code"]["function"] == "recorded"
    assert loop["code"]["file"] == "test_record.py"


def test_a_loop_without_an_optimizer_counts_its_rows(tmp_path):
    with gradus.record(tmp_path / "run", None, nn.Linear(1, 1)) as run:
        for _ in range(3):
            run.log(0.5, batch=[1, 2])
    run = gradus.open_run(tmp_path / "run")
    assert run.history["step"].to_pylist() == [0, 1, 2]
    assert run.history["lr"].null_count == 3
    assert run.evaluation["running_train_loss"].to_pylist() == [0.5]
    assert run.title == "Model-Linear bs-2"


def test_the_parameters_are_those_of_the_end(tmp_path):
    model = recorded(tmp_path / "run", 1)
    other = parts()[0]
    gradus.open_run(tmp_path / "run").load_into(other)
    assert all(map(torch.equal, model.parameters(), other.parameters()))
    for given in (parts()[0], lambda: parts()[0]):
        found = gradus.open_run(tmp_path / "run", model=given).model
        assert found is not given
        assert not found.training
        assert all(map(torch.equal, model.parameters(), found.parameters()))
    with pytest.raises(InputError, match="whose model has no name; give the module"):
        gradus.open_run(tmp_path / "run", model="mynet:make")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (OSError("gone"), "failed", "OSError"),
    ],
)
def test_a_block_left_by_an_error_is_recorded_and_raises_it(tmp_path, error, status, kind):
    with pytest.raises(type(error)):
        recorded(tmp_path / "run", fails=(1, error))
    run = gradus.open_run(tmp_path / "run")
    assert (run.status, run.summary["error"]["kind"], run.history.num_rows) == (status, kind, 3)


def test_a_last_loss_that_is_not_finite_has_diverged(tmp_path):
    model, optimizer, _ = parts()
    with gradus.record(tmp_path / "run", optimizer, model) as run:
        for loss in (1.0, float("inf"), 2.0, float("nan"), float("inf")):
            run.log(loss, batch=1)
    run = gradus.open_run(tmp_path / "run")
    assert run.status == "diverged"
    assert run.summary["divergence"]["samples"] == 4
    assert run.summary["divergence"]["last_finite_loss"] == 2.0
    assert run.curve.diverged_at == 4


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("method", [torch.optim.AdamW, torch.optim.NAdam, gradus.optim.Adagrad])
def test_a_resumed_loop_is_one_that_was_not_broken_off(tmp_path, method, before):
    """Parameters, order, dropout, learning rates and rows, to the bit."""
    whole = recorded(tmp_path / "whole", method=method, before=before)
    with pytest.raises(KeyboardInterrupt):
        recorded(tmp_path / "part", method=method, before=before, fails=(2, KeyboardInterrupt()))
    part = recorded(tmp_path / "part", method=method, before=before, resume=True)
    assert all(map(torch.equal, whole.parameters(), part.parameters()))
    assert rows(gradus.open_run(tmp_path / "part")) == rows(gradus.open_run(tmp_path / "whole"))


def test_a_loop_that_ended_goes_on_with_more_epochs(tmp_path):
    recorded(tmp_path / "whole", 4)
    recorded(tmp_path / "part", 1, resume=True)  # there is nothing to go on with: it begins
    recorded(tmp_path / "part", 4, resume=True)
    assert rows(gradus.open_run(tmp_path / "part")) == rows(gradus.open_run(tmp_path / "whole"))


def test_a_killed_process_leaves_what_it_wrote_down(tmp_path):
    """The folder as it stands amid the loop, and with a line that was not written to its end."""
    model, optimizer, scheduler = parts()
    with gradus.record(tmp_path / "run", optimizer, model, scheduler=scheduler) as run:
        epochs(run, model, optimizer, scheduler, 2)
        run.log(9.0, batch=1)
        for name in ("whole", "torn"):
            shutil.copytree(tmp_path / "run", tmp_path / name)
    journal = tmp_path / "torn/points/journal"
    journal.write_bytes(journal.read_bytes()[:-7])
    whole, torn = gradus.open_run(tmp_path / "whole"), gradus.open_run(tmp_path / "torn")
    assert (whole.status, whole.history.num_rows, whole.evaluation.num_rows) == (
        "interrupted",
        6,
        2,
    )
    assert (torn.history.num_rows, torn.evaluation.num_rows) == (6, 1)
    assert whole.summary["final"]["bleu"] == 2
    for name in ("whole", "torn"):
        recorded(tmp_path / name, 3, resume=True)
    recorded(tmp_path / "three", 3)
    assert rows(gradus.open_run(tmp_path / "whole")) == rows(gradus.open_run(tmp_path / "three"))


def test_what_was_overwritten_is_gone(tmp_path, drawn):
    gradus.train(gradus.RunSpec(model="linear", epochs=1), out=tmp_path / "run")
    recorded(tmp_path / "run", 1, overwrite=True)
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {
        *("run.json", "history.parquet", "evaluation.parquet", "model.safetensors"),
        *("loss.png", "loss.svg", "points"),
    }


def test_going_back_within_the_block(tmp_path):
    """What came after the resume point is undone: it comes again as it came first."""
    model, optimizer, scheduler = parts()
    with gradus.record(tmp_path / "run", optimizer, model, scheduler=scheduler) as run:
        with pytest.raises(InputError, match="no resume point was kept"):
            run.resume()
        epochs(run, model, optimizer, scheduler, 1)
        assert not run.keep(minutes=10)
        run.log(7.0, batch=1)
        nn.init.zeros_(model[0].weight)
        run.resume()
        epochs(run, model, optimizer, scheduler, 3)
    recorded(tmp_path / "whole", 3)
    assert rows(gradus.open_run(tmp_path / "run")) == rows(gradus.open_run(tmp_path / "whole"))


def test_a_generator_is_kept(tmp_path):
    generator = torch.Generator().manual_seed(3)
    with gradus.record(tmp_path / "run", None, nn.Linear(1, 1), order=generator) as run:
        run.keep()
        drawn = torch.rand(3, generator=generator)
        run.resume()
        assert torch.equal(torch.rand(3, generator=generator), drawn)


def test_losses_are_read_in_blocks():
    """What lies on a device is copied there; here one is played by a tensor that is not asked."""
    rows = Rows(joined([]))
    for at in range(3):
        rows.pending.append((at, at + 1, 1, torch.tensor(float(at)), torch.tensor(0.5), 0.0))
    rows.pending.append((3, 4, 1, 2.5, 0.25, 0.0))
    assert rows.read()["loss"].tolist() == [0, 1, 2, 2.5]
    assert rows.columns["lr"].tolist() == [0.5, 0.5, 0.5, 0.25]
    assert rows.read() is None


def begin(folder, **given):
    model, optimizer, _ = parts()
    return gradus.record(folder, optimizer, model, **given)


WITHIN = {
    "loss: must be one number, not a tensor of shape (2,)": lambda run: run.log(
        torch.zeros(2), batch=2
    ),
    "batch: is missing; say how many examples": lambda run: run.log(0.5),
    "batch: how many examples it has": lambda run: run.log(0.5, batch=(1, 2)),
    "epoch True: epochs are counted from 1": lambda run: run.evaluate(True),
    "epoch 0: epochs are counted from 1": lambda run: run.evaluate(0),
    "accuracy: of which part?": lambda run: run.evaluate(1, accuracy=0.5),
    "samples is a column of its own": lambda run: run.evaluate(1, samples=3),
    "test_loss: must be a number": lambda run: run.evaluate(1, test_loss="low"),
}


def test_numbers_of_numpy_count_and_a_late_row_is_no_end_of_the_record(tmp_path):
    with begin(tmp_path / "run") as run:
        run.evaluate(np.int64(3), test_loss=0.5)
        run.log(0.5, batch=np.int64(4), epoch=2)
    rows = gradus.open_run(tmp_path / "run").evaluation
    assert (rows["epoch"].to_pylist(), rows["samples"].to_pylist()) == ([3, 3], [0, 4])


@pytest.mark.parametrize("message", WITHIN)
def test_what_is_wrong_within_the_block_is_one_line(tmp_path, message):
    with pytest.raises(InputError, match=re.escape(message)), begin(tmp_path / "run") as run:
        WITHIN[message](run)
    assert gradus.open_run(tmp_path / "run").status == "failed"


def test_what_is_wrong_at_the_beginning_is_one_line(tmp_path):
    model, optimizer, _ = parts()
    for given, message in (
        ((model, optimizer), "the optimizer comes before the model"),
        ((optimizer, "model"), "and a torch.nn.Module"),
    ):
        with pytest.raises(InputError, match=message):
            gradus.record(tmp_path / "run", *given)
    for given, message in (
        ({"sampler": 3}, "sampler: a int has no state_dict"),
        ({"config": 3}, "config 3: give a dict of numbers and texts by name"),
        ({"config": {"net": model}}, "config net: .* is no number and no text"),
        ({"overwrite": True, "resume": True}, "give one"),
    ):
        with pytest.raises(InputError, match=message):
            begin(tmp_path / "run", **given)
    with pytest.raises(InputError, match="is written within its block"):
        begin(tmp_path / "run").keep()
    with pytest.raises(InputError, match="is written within its block"):
        begin(tmp_path / "run").log(1.0, batch=1)
    assert not (tmp_path / "run").exists()


def test_what_stands_in_a_folder_is_not_replaced_unasked(tmp_path):
    recorded(tmp_path / "own", 1)
    (tmp_path / "gradus").mkdir()
    (tmp_path / "gradus/run.json").write_text("{}")
    (tmp_path / "file").write_text("")
    for name, given, message in (
        ("own", {}, "holds a run already; give another folder, overwrite=True"),
        ("gradus", {}, "holds a run already"),
        ("gradus", {"resume": True}, "holds a run of Gradus, not of this loop"),
        ("file", {"overwrite": True}, "it is a file"),
    ):
        with pytest.raises(InputError, match=message), begin(tmp_path / name, **given):
            pass
    with begin(tmp_path / "open"), pytest.raises(InputError, match=r"process .* is working there"):
        begin(tmp_path / "open", overwrite=True).__enter__()


def test_a_resume_point_of_another_loop_is_refused(tmp_path):
    recorded(tmp_path / "run", 1)
    model, optimizer, scheduler = parts()
    other = nn.Linear(2, 2)
    for given, message in (
        ((optimizer, model, {}), "keeps the states of model, optimizer, scheduler, and was given"),
        (
            (torch.optim.SGD(model.parameters(), 0.1), model, {"scheduler": scheduler}),
            r"resume: the optimizer of .* is a torch.*AdamW, and a torch.*SGD was given; give one",
        ),
        ((optimizer, other, {"scheduler": scheduler}), "what is kept of model is that of another"),
    ):
        *objects, others = given
        with (
            pytest.raises(InputError, match=message),
            gradus.record(tmp_path / "run", *objects, resume=True, **others),
        ):
            pass
    assert gradus.open_run(tmp_path / "run").status == "finished"


def test_a_damaged_resume_point_is_not_begun_over(tmp_path):
    recorded(tmp_path / "run", 1)
    (point,) = (tmp_path / "run/points").glob("*.safetensors")
    point.write_bytes(point.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"checkpoint is damaged .* begin anew with overwrite"):
        recorded(tmp_path / "run", 2, resume=True)
    assert gradus.open_run(tmp_path / "run").history.num_rows == 3


def test_what_spreads_a_model_over_devices_is_kept_as_the_model_within(tmp_path):
    model, optimizer, _ = parts()
    with gradus.record(tmp_path / "run", optimizer, nn.DataParallel(model)) as run:
        run.keep()
    other, again, _ = parts()
    with gradus.record(tmp_path / "run", again, other, resume=True) as run:
        assert run.resumed
    assert "Sequential" in gradus.open_run(tmp_path / "run").summary["loop"]["model"]["class"]


def test_what_a_record_of_a_loop_cannot_say_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorded("mine", 2)
    (tmp_path / "new.csv").write_text("a\n1\n")
    run = gradus.open_run("mine")
    for ask in (
        lambda: run.spec,
        lambda: run.model,
        lambda: run.predict({"a": [1]}),
        lambda: run.curve_against("work"),
    ):
        with pytest.raises(InputError, match=r"mine.* loop of one's own"):
            ask()
    for command in (
        "predict mine new.csv", "export mine --to onnx", "landscape mine", "train --from mine",
        "train --spec mine/run.json",
    ):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(command.split())
        assert ended.value.code == 2, command
        told = capsys.readouterr().err
        assert told.count("\n") == 1, told
        assert "loop of one's own" in told, told


def test_other_programs_read_it(tmp_path):
    recorded(tmp_path / "mine", 1)
    run = gradus.open_run(tmp_path / "mine")
    gradus.export(run, "csv", tmp_path / "mine.csv")
    gradus.export(run, "json", tmp_path / "mine.json")
    content = read_json(tmp_path / "mine.json")
    assert content["history"]["loss"] == run.history["loss"].to_pylist()
    assert content["summary"]["loop"]["model"]["parameters"] == 21
    lines = (tmp_path / "mine-history.csv").read_text().splitlines()
    assert len(lines) == 1 + run.history.num_rows


def test_report_reads_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError):
        recorded("mine", 2, fails=(2, RuntimeError("out <of> memory")), config={"width": 4})
    with pytest.raises(SystemExit) as ended:
        main(["report", "mine", "--against", "seconds"])
    assert not ended.value.code
    content = (tmp_path / "mine/report.html").read_text()
    for said in ("failed by RuntimeError: out &lt;of&gt; memory", "bleu", "AdamW", "50.00 %"):
        assert said in content, said
