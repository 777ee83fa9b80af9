"""Workers of other processes, strategies, and processes that are killed."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from data.rooms import BATCH, DATASETS, rows

import tfimbalance as tfi

PROCESSES = str(Path(__file__).parent / "_processes.py")
each_dataset = pytest.mark.parametrize("name", DATASETS)


def start(*arguments):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    return subprocess.Popen(
        [sys.executable, PROCESSES, *map(str, arguments)],
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


# --- A process that is killed ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def after_restart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    finish(start("batches", folder), code=-signal.SIGKILL)
    finish(start("rest", folder))
    return dict(np.load(folder / "rest.npz"))


@each_dataset
def test_after_a_kill_the_same_batches_follow(name, after_restart):
    """The second epoch from its eighth batch on, byte for byte as in a process that lives on."""
    dataset = DATASETS[name]()
    batches_of(dataset)
    expected = batches_of(dataset)[7:]
    assert after_restart[name].tobytes() == expected.tobytes()


def test_after_a_kill_training_ends_with_the_same_weights(tmp_path):
    """BackupAndRestore, killed in the middle of the third epoch, on all datasets at once."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
    finish(start("fit", killed, 45), code=-signal.SIGKILL)
    finish(start("fit", killed, 0))
    finish(start("fit", whole, 0))
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]
    )
    weights = []
    for folder in (killed, whole):
        model.load_weights(folder / "last.weights.h5", skip_mismatch=False)
        weights.append([w.copy() for w in model.get_weights()])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@each_dataset
def test_a_later_epoch_without_the_ones_before(name):
    dataset = DATASETS[name]()
    first, second = batches_of(dataset), batches_of(dataset)
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


@each_dataset
def test_fit_under_mirrored_strategy(name):
    """Two replicas take the same steps as one, and each gets its part of every quota."""
    history = []
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        keras.utils.set_random_seed(0)
        with tf.distribute.MirroredStrategy(devices).scope():
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="out")])
            model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
        model.fit(DATASETS[name](), epochs=2, verbose=0)
        history.append(model.get_layer("out").get_weights())
    for one, two in zip(*history, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_each_replica_has_its_quota():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for name in ("balanced_batches", "balanced_stream", "smote_batches"):
        dataset = strategy.experimental_distribute_dataset(DATASETS[name]())
        for _, labels in dataset:
            for part in strategy.experimental_local_results(labels):
                assert len(part) == BATCH // 2
                assert tf.reduce_sum(part) == BATCH // 4


@pytest.mark.parametrize("how", ["strategy", "shards"])
def test_two_workers(how):
    """MultiWorkerMirroredStrategy in two processes.

    Once with one dataset, of which TensorFlow gives each worker its half of every batch, and once
    with a shard made by each worker.
    """
    ports = ",".join(map(str, free_ports(2)))
    workers = [start("worker", i, ports, how) for i in (0, 1)]
    reports = [json.loads(finish(worker).splitlines()[-1]) for worker in workers]
    assert reports[0]["weights"] == reports[1]["weights"]
    whole = tfi.data.balanced_batches(np.arange(1000), np.repeat([0, 1], [940, 60]), batch_size=40)
    drawn = np.zeros(1000, int)
    for epoch in (0, 1):
        parts = [np.array(report["rows"][epoch]) for report in reports]
        for part in parts:
            assert ((part.reshape(25, 20) >= 940).sum(axis=1) == 10).all()
        # The union is the whole quota of the epoch.
        together = np.concatenate(parts)
        np.testing.assert_array_equal(np.sort(together), np.sort(batches_of(whole), axis=None))
        np.add.at(drawn, together, 1)
    # No row twice before all of its class have come.
    for of_class in (drawn[:940], drawn[940:]):
        assert of_class.max() - of_class.min() <= 1


# --- A tf.data service ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service():
    process = start("serve")
    yield process.stdout.readline().strip()
    finish(process)


def through(dataset, target):
    policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    return dataset.apply(tf.data.experimental.service.distribute(policy, target))


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


def test_endless_through_a_service_into_fit(service):
    x, y = rows()
    sent = tfi.data.balanced_batches(x, y, batch_size=BATCH, in_graph=True)
    assert int(sent.cardinality()) == tf.data.INFINITE_CARDINALITY
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit(through(sent, service), steps_per_epoch=10, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_streams_and_stages_through_a_service(service):
    x, y = rows()
    source = tf.data.Dataset.from_tensor_slices((x, y))
    stream = tfi.data.balanced_stream(source.repeat(5), batch_size=BATCH, in_graph=True)
    mixed = tfi.data.smote_mixup(stream, in_graph=True)
    batches = [labels.numpy() for _, labels in through(mixed, service)]
    assert all(labels.sum() == BATCH // 2 for labels in batches)
    assert len(batches) >= 5 * len(x) // BATCH - 2
