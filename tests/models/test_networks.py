"""The models: the subject's, and the user's own."""

import pytest
import torch
from torch import nn

from gradus import InputError
from gradus.models.networks import build


def test_the_mlp_is_the_plain_script_to_the_bit():
    torch.manual_seed(3)
    ours = build("mlp", (1, 28, 28), 10, hidden=(512, 512))
    torch.manual_seed(3)
    plain = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    )
    assert ours.state_dict().keys() == plain.state_dict().keys()
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True)
    )


def test_linear_is_one_layer():
    x = torch.randn(5, 3, 4)
    model = build("linear", (3, 4), 2)
    layer = model[1]
    assert torch.allclose(model(x), x.reshape(5, 12) @ layer.weight.T + layer.bias)


def test_log_probabilities_sum_to_one():
    model = build("mlp", (6,), 4, hidden=(5,), log_probabilities=True)
    assert torch.allclose(model(torch.randn(7, 6)).exp().sum(1), torch.ones(7))


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_network.py").write_text(
        "from torch import nn\n"
        "def sized(outputs, input_shape):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[-1], outputs))\n"
        "def fixed():\n"
        "    return nn.Linear(3, 2)\n"
        "def number():\n"
        "    return 3\n"
        "def failing():\n"
        "    raise RuntimeError('no weights here\\nsecond line')\n"
    )
    (tmp_path / "broken_network.py").write_text("import no_such_package_anywhere\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("own_module")
def test_a_factory_is_called_with_the_keywords_it_has():
    assert build("own_network:sized", (3,), 5)[1].out_features == 5
    assert build("own_network:fixed", (3,), 5).out_features == 2


@pytest.mark.usefixtures("own_module")
def test_a_name_that_is_no_function_is_not_proposed():
    with pytest.raises(InputError, match=r"own_network has no function 'nn'$"):
        build("own_network:nn", (3,), 2)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "--model resnet: unknown; choose linear | mlp"),
        ("lineer", "did you mean linear?"),
        ("absent_network:make", "no module absent_network"),
        ("own_network:size", "has no function 'size' (did you mean sized?)"),
        ("own_network:number", "gave a int, not a torch.nn.Module"),
        ("own_network:failing", "the factory failed: RuntimeError: no weights here"),
        ("broken_network:make", "could not be imported: No module named"),
    ],
)
def test_models_that_cannot_be_had(name, message):
    with pytest.raises(InputError) as caught:
        build(name, (3,), 2)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
