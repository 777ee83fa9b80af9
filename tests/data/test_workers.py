"""Workers of other processes, strategies, and processes that are killed."""

import functools
import json
import os
import signal
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from data import _processes
from data.rooms import BATCH, DATASETS, rows

import tfimbalance as tfi

pytestmark = pytest.mark.slow

each_dataset = pytest.mark.parametrize("name", DATASETS)


def start(*arguments):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    return subprocess.Popen(
        [sys.executable, _processes.__file__, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process, code=0):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors[-3000:]
    return output


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
    process = start("killed", folder)
    _processes.fit(whole, {name: make() for name, make in DATASETS.items()})
    finish(process, code=-signal.SIGKILL)
    process = start("restarted", folder)
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
    """One dataset of batches of several, by name."""
    zipped = tf.data.Dataset.zip({name: DATASETS[name]() for name in names})
    return zipped.map(lambda pairs: tuple({k: v[i] for k, v in pairs.items()} for i in (0, 1)))


@pytest.mark.slow
def test_fit_under_mirrored_strategy():
    """Two replicas take the same steps as one, on all datasets at once."""
    weights = []
    two_replicas = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            inputs = {name: keras.Input((3,), name=name) for name in DATASETS}
            dense = {name: keras.layers.Dense(1) for name in DATASETS}
            model = keras.Model(inputs, {name: dense[name](inputs[name]) for name in DATASETS})
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            model.compile("sgd", dict.fromkeys(DATASETS, loss))
        model.fit(side_by_side(DATASETS), epochs=2, verbose=0)
        weights.append({name: layer.get_weights() for name, layer in dense.items()})
    for name in DATASETS:
        for one, two in zip(weights[0][name], weights[1][name], strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5, err_msg=name)


def test_each_replica_has_its_quota():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    names = ("balanced_batches", "balanced_stream", "smote_batches")
    for _, labels in strategy.experimental_distribute_dataset(side_by_side(names)):
        for name in names:
            for part in strategy.experimental_local_results(labels[name]):
                assert len(part) == BATCH // 2
                assert tf.reduce_sum(part) == BATCH // 4


@pytest.mark.slow
def test_two_workers():
    """MultiWorkerMirroredStrategy in two processes.

    Once with one dataset, of which TensorFlow gives each worker its half of every batch, and once
    with a shard made by each worker.
    """
    ports = ",".join(map(str, free_ports(2)))
    workers = [start("worker", i, ports) for i in (0, 1)]
    reports = [json.loads(finish(worker).splitlines()[-1]) for worker in workers]
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
def service():
    process = start("serve")
    yield process.stdout.readline().strip()
    process.kill()
    process.communicate()


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
