"""Workers of other processes, strategies, and processes that are killed."""

import functools
import json
import multiprocessing
import signal
import socket

import keras
import numpy as np
import pytest
import tensorflow as tf
from data import _processes
from data.rooms import BATCH, DATASETS, rows
from processes import finish, start

import tfimbalance as tfi

pytestmark = pytest.mark.slow

each_dataset = pytest.mark.parametrize("name", DATASETS)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def batches_of(dataset):
    return np.stack([x.numpy() for x, _ in dataset])


@functools.cache
def two_epochs(name):
    dataset = DATASETS[name]()
    return batches_of(dataset), batches_of(dataset)


# --- A process that is killed ---------------------------------------------------------------------


@pytest.mark.slow
def test_after_a_kill_all_goes_on_as_in_a_process_that_lives_on(tmp_path):
    """The second epoch from its eighth batch on, byte for byte, and weights at the end of training.

    BackupAndRestore, killed in the middle of the third epoch, on all datasets at once.
    """
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    for each in (folder, whole):
        each.mkdir()
    # This process, which lives on, works while the other one does.
    process = start(tmp_path / "killed.log", _processes.killed, folder)
    _processes.fit(whole, {name: make() for name, make in DATASETS.items()})
    finish(process, code=-signal.SIGKILL)
    process = start(tmp_path / "restarted.log", _processes.restarted, folder)
    expected = {name: two_epochs(name)[1][7:] for name in DATASETS}
    finish(process)
    after_restart = np.load(folder / "rest.npz")
    for name, batches in expected.items():
        assert after_restart[name].tobytes() == batches.tobytes(), name
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]
    )
    weights = []
    for each in (folder, whole):
        model.load_weights(each / "last.weights.h5", skip_mismatch=False)
        weights.append([w.copy() for w in model.get_weights()])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@each_dataset
def test_a_later_epoch_without_the_ones_before(name):
    first, second = two_epochs(name)
    assert (first != second).any()
    np.testing.assert_array_equal(batches_of(DATASETS[name](initial_epoch=1)), second)
    again = DATASETS[name]()
    tfi.callbacks.DatasetEpochs(again.prefetch(1)).on_epoch_begin(1)
    np.testing.assert_array_equal(batches_of(again), second)


def test_any_epoch_is_reached_from_any_other():
    make = DATASETS["balanced_batches"]
    dataset = make()
    for epoch in (3, 0, 2):
        tfi.callbacks.DatasetEpochs(dataset).on_epoch_begin(epoch)
        np.testing.assert_array_equal(batches_of(dataset), batches_of(make(initial_epoch=epoch)))


def test_dataset_epochs_wants_a_dataset_of_ours():
    for wrong in (tf.data.Dataset.range(3), rows(), DATASETS["balanced_batches"](in_graph=True)):
        with pytest.raises(ValueError, match=r"tfimbalance\.data"):
            tfi.callbacks.DatasetEpochs(wrong)


def test_epochs_that_are_not_those_of_fit_are_refused():
    x, y = rows()
    dataset = tfi.data.balanced_batches(x, y, batch_size=BATCH)
    with pytest.raises(ValueError, match="without end"):
        tfi.callbacks.DatasetEpochs(dataset.repeat())
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    callback = tfi.callbacks.DatasetEpochs(dataset)
    arguments = {"steps_per_epoch": 3 * len(dataset), "epochs": 2, "callbacks": [callback]}
    with pytest.raises(ValueError, match="one in epoch 3"):
        model.fit(dataset.repeat(), **arguments, verbose=0)


# --- Strategies -----------------------------------------------------------------------------------


def side_by_side(names):
    """One dataset of several: a column each of their rows and of their labels."""
    zipped = tf.data.Dataset.zip(tuple(DATASETS[name]() for name in names))
    return zipped.map(
        lambda *pairs: (
            tf.stack([x for x, _ in pairs], axis=1),
            tf.stack([tf.cast(y, tf.float32) for _, y in pairs], axis=1),
        )
    )


@pytest.mark.slow
def test_fit_under_mirrored_strategy():
    """Two replicas take the same steps as one, on all datasets at once."""
    weights = []
    two_replicas = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    n = len(DATASETS)
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            # A model of its own for each dataset, written as one.
            models = keras.layers.EinsumDense("bnf,nf->bn", (n,), bias_axes="n")
            model = keras.Sequential([keras.Input((n, 3)), models])
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            model.compile(keras.optimizers.SGD(0.01 * n), loss)
        at_start = models.kernel.numpy()
        model.fit(side_by_side(DATASETS), epochs=2, verbose=0)
        weights.append(model.get_weights())
    assert (np.abs(weights[0][0] - at_start).max(axis=1) > 1e-3).all()
    for one, two in zip(*weights, strict=True):
        for i, name in enumerate(DATASETS):
            np.testing.assert_allclose(one[i], two[i], rtol=1e-4, atol=1e-5, err_msg=name)


def test_each_replica_has_its_quota():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    names = ("balanced_batches", "balanced_stream", "smote_batches")
    for _, labels in strategy.experimental_distribute_dataset(side_by_side(names)):
        for part in strategy.experimental_local_results(labels):
            assert part.shape == (BATCH // 2, len(names))
            np.testing.assert_array_equal(tf.reduce_sum(part, axis=0), BATCH // 4)


@pytest.mark.slow
def test_two_workers(tmp_path):
    """MultiWorkerMirroredStrategy in two processes.

    Once with one dataset, of which TensorFlow gives each worker its half of every batch, and once
    with a shard made by each worker.
    """
    ports, paths = free_ports(2), [tmp_path / "0.json", tmp_path / "1.json"]
    workers = [
        start(tmp_path / f"{i}.log", _processes.worker, i, ports, path)
        for i, path in enumerate(paths)
    ]
    for worker in workers:
        finish(worker)
    reports = [json.loads(path.read_text()) for path in paths]
    whole = tfi.data.balanced_batches(np.arange(1000), np.repeat([0, 1], [940, 60]), batch_size=40)
    expected = [np.sort(batches_of(whole), axis=None) for _ in (0, 1)]
    for how in ("strategy", "shards"):
        one, other = (report[how] for report in reports)
        assert one["weights"] == other["weights"]
        drawn = np.zeros(1000, int)
        for epoch in (0, 1):
            parts = [np.array(part["rows"][epoch]) for part in (one, other)]
            for part in parts:
                assert ((part.reshape(25, 20) >= 940).sum(axis=1) == 10).all()
            # The union is the whole quota of the epoch.
            together = np.concatenate(parts)
            np.testing.assert_array_equal(np.sort(together), expected[epoch])
            np.add.at(drawn, together, 1)
        # No row twice before all of its class have come.
        for of_class in (drawn[:940], drawn[940:]):
            assert of_class.max() - of_class.min() <= 1


# --- A tf.data service ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    address, address_to = multiprocessing.Pipe(duplex=False)
    log = tmp_path_factory.mktemp("service") / "log"
    process = start(log, _processes.serve, address_to)
    assert address.poll(300), log.read_text()
    yield address.recv()
    process.kill()
    process.join()


def through(dataset, target):
    policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    return dataset.apply(tf.data.experimental.service.distribute(policy, target))


@pytest.mark.slow
@pytest.mark.parametrize("shares", ["balanced", {1: 0.3}, "natural"])
def test_through_a_service(service, shares):
    x, y = np.arange(1000), np.repeat([0, 1], [940, 60])
    arguments = {"batch_size": 40, "class_shares": shares, "steps_per_epoch": 47}
    here = batches_of(tfi.data.balanced_batches(x, y, **arguments))
    sent = tfi.data.balanced_batches(x, y, **arguments, in_graph=True)
    np.testing.assert_array_equal(batches_of(sent), here)
    there = batches_of(through(sent, service))
    # Workers hand batches over as they are ready: the same ones, in any order.
    assert sorted(map(tuple, there)) == sorted(map(tuple, here))


@pytest.mark.slow
def test_endless_through_a_service_into_fit(service):
    x, y = rows()
    sent = tfi.data.balanced_batches(x, y, batch_size=BATCH, in_graph=True)
    assert int(sent.cardinality()) == tf.data.INFINITE_CARDINALITY
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit(through(sent, service), steps_per_epoch=10, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.slow
def test_streams_and_stages_through_a_service(service):
    x, y = rows()
    source = tf.data.Dataset.from_tensor_slices((x, y))
    stream = tfi.data.balanced_stream(source.repeat(5), batch_size=BATCH, in_graph=True)
    mixed = tfi.data.smote_mixup(stream, in_graph=True)
    batches = [labels.numpy() for _, labels in through(mixed, service)]
    assert all(labels.sum() == BATCH // 2 for labels in batches)
    assert len(batches) >= 5 * len(x) // BATCH - 2
