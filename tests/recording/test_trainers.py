"""Trainers of other libraries leave the record of a run; where they are not installed, skipped."""

import importlib
import importlib.util
import sys

import pytest
import torch
from torch import nn

import gradus

ABSENT = "is not installed here: pip install {}"


def has(*names):
    return any(importlib.util.find_spec(name) is not None for name in names)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr("gradus.recording.recorder.write_curve", lambda folder, run: None)


@pytest.mark.skipif(
    not has("lightning", "pytorch_lightning"), reason=ABSENT.format("pytorch-lightning")
)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("fails", "accumulate"), [(False, 1), (True, 1), (False, 2)])
def test_lightning(tmp_path, fails, accumulate):
    from gradus.recording.lightning import Record, lightning

    class Module(lightning.LightningModule):
        def __init__(self, width=3):
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Linear(width, 1)

        def training_step(self, batch, index):
            if fails and self.current_epoch == 1:
                raise RuntimeError("out of memory")
            return (self.net(batch[0]) - batch[1]).square().mean()

        def validation_step(self, batch, index):
            loss = (self.net(batch[0]) - batch[1]).square().mean()
            self.log_dict({"val_loss": loss, "val_acc": 0.5, "own": 3.0})

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    data = torch.utils.data.TensorDataset(torch.randn(32, 3), torch.randn(32, 1))
    loader = torch.utils.data.DataLoader(data, 16)
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[Record(tmp_path / "run")],
        accumulate_grad_batches=accumulate,
    )  # fmt: skip
    module = Module()
    if fails:
        with pytest.raises(RuntimeError, match="out of memory"):
            trainer.fit(module, loader, loader)
    else:
        trainer.fit(module, loader, loader)
    run = gradus.open_run(tmp_path / "run")
    steps = [0, 0, 1, 1] if accumulate == 2 else list(range(2 if fails else 4))
    assert run.history["step"].to_pylist() == steps
    assert run.summary["steps"] == steps[-1] + 1
    assert run.history["samples"].to_pylist()[:2] == [16, 32]
    assert run.summary["loop"]["config"] == {"width": 3}
    if fails:
        assert (run.status, run.summary["error"]["kind"]) == ("failed", "RuntimeError")
        return
    assert run.status == "finished"
    assert run.history["lr"].to_pylist() == [0.1, 0.1, 0.05, 0.05]
    assert run.evaluation["epoch"].to_pylist() == [1, 2]
    assert run.evaluation["validation_accuracy"].to_pylist() == [0.5, 0.5]
    assert run.evaluation["own"].to_pylist() == [3.0, 3.0]
    other = Module()
    run.load_into(other)
    assert torch.equal(other.net.weight, module.net.weight)


@pytest.mark.skipif(not has("transformers"), reason=ABSENT.format("transformers accelerate"))
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("evaluates", ["epoch", "no"])
def test_transformers(tmp_path, evaluates):
    from transformers import Trainer, TrainingArguments

    from gradus.recording.transformers import Record

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(3, 1)

        def forward(self, x, labels):
            outputs = self.net(x)[:, 0]
            return {"loss": (outputs - labels).square().mean(), "logits": outputs}

    data = [{"x": torch.randn(3), "labels": torch.tensor(1.0)} for _ in range(32)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), per_device_train_batch_size=16, num_train_epochs=2,
        logging_steps=1, eval_strategy=evaluates, save_strategy="no", report_to=[], use_cpu=True,
        learning_rate=0.1, lr_scheduler_type="linear", disable_tqdm=True,
    )  # fmt: skip
    Trainer(
        Net(),
        arguments,
        train_dataset=data,
        eval_dataset=data,
        callbacks=[Record(tmp_path / "run")],
    ).train()
    run = gradus.open_run(tmp_path / "run")
    assert run.status == "finished"
    assert run.history["step"].to_pylist() == [0, 1, 2, 3]
    assert run.history["samples"].to_pylist() == [16, 32, 48, 64]
    assert run.history["epoch"].to_pylist() == [1, 1, 2, 2]
    assert run.history["lr"].to_pylist() == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert run.evaluation["epoch"].to_pylist() == [1, 2]
    assert (run.evaluation["validation_loss"].null_count == 0) == (evaluates == "epoch")
    assert run.summary["loop"]["config"]["learning_rate"] == 0.1
    assert run.title.startswith("Optimizer-AdamW lr-0.1")


@pytest.mark.parametrize(
    ("module", "names", "package"),
    [
        ("lightning", ("lightning", "pytorch_lightning"), "lightning"),
        ("transformers", ("transformers",), "transformers"),
    ],
)
def test_an_absent_library_is_one_line(monkeypatch, module, names, package):
    for name in (*names, "lightning.pytorch"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"gradus.recording.{module}", raising=False)
    with pytest.raises(gradus.InputError, match=f"not installed; pip install {package}"):
        importlib.import_module(f"gradus.recording.{module}")
