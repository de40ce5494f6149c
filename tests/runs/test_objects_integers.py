"""Arrays of integers: numbers of words for a model that takes such, else numbers."""

import numpy as np
import pytest
import torch
from torch import nn

import gradus
from gradus import InputError, open_run, train

RANDOM = np.random.default_rng(0)
TEXTS = RANDOM.integers(0, 20, (120, 6))
Y = (TEXTS.mean(1) > 9.5).astype(np.int64)
QUICK = {"epochs": 2, "lr": 0.5}


class Bag(nn.Module):
    """The mean of the vectors of words."""

    def __init__(self, outputs=2):
        super().__init__()
        self.words, self.last = nn.Embedding(20, 8), nn.Linear(8, outputs)

    def forward(self, x):
        return self.last(self.words(x).mean(1))


@pytest.mark.parametrize(
    ("model", "options", "holds"),
    [
        (Bag(), {}, "integers"),
        (lambda: Bag(), {}, "integers"),
        (lambda input_shape, outputs: Bag(outputs), {}, "integers"),
        (nn.Linear(6, 2), {}, "numbers"),
        (nn.Linear(6, 2), {"standardize": True}, "numbers"),
        ("mlp", {}, "numbers"),
    ],
)
@pytest.mark.parametrize("kind", [np.int64, np.int16, torch.int32])
def test_the_model_says_what_integers_are(model, options, holds, kind):
    x = torch.tensor(TEXTS, dtype=kind) if isinstance(kind, torch.dtype) else TEXTS.astype(kind)
    run = train((x, Y), model=model, **options, **QUICK)
    assert run.preparation.holds == holds
    assert run.predict(TEXTS[:5]).num_rows == 5


def test_they_are_the_same_as_in_a_dataset_and_a_record_has_them(tmp_path):
    torch.manual_seed(0)
    model = Bag()
    test = {"test": (TEXTS[:20], Y[:20]), "validation_fraction": 0}
    run = train((TEXTS, Y), model=model, out=tmp_path / "run", **test, **QUICK)
    data = gradus.data.Dataset(torch.tensor(TEXTS), torch.tensor(Y))
    theirs = train(data, model=model, **{**test, "test": data.subset(slice(0, 20))}, **QUICK)
    assert run.history.equals(theirs.history)
    opened = open_run(tmp_path / "run", model=model)
    assert opened.predict(TEXTS[:20]).equals(run.predict(TEXTS[:20]))
    with pytest.raises(InputError, match="holds float64, and the model was trained on integers"):
        opened.predict(TEXTS[:5].astype(float))


def test_a_word_that_is_not_known_is_told():
    with pytest.raises(InputError, match=r"Bag: fails on a batch of shape .* index out of range"):
        train((TEXTS + 20, Y), model=Bag(), **QUICK)
