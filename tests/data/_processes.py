"""What processes of their own do in test_workers.py."""

import json
import os
import signal
import threading
from pathlib import Path


def serve(address_to):
    """A tf.data service in this process: a dispatcher and two workers, until it is killed."""
    import tensorflow as tf

    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
    address = dispatcher.target.split("://")[1]
    config = service.WorkerConfig(dispatcher_address=address, port=0)
    workers = [service.WorkerServer(config) for _ in range(2)]
    address_to.send(dispatcher.target)
    threading.Event().wait()
    del workers


def worker(index, ports, path):
    """One of two workers: reports the rows that its steps saw, epoch by epoch, in both ways."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    task = {"type": "worker", "index": index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
    import keras
    import numpy as np
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    import tfimbalance as tfi

    x, y = np.arange(1000.0, dtype="float32"), np.repeat([0, 1], [940, 60])
    with strategy.scope():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)
        loss = tfi.losses.BinaryFocalLoss(from_logits=True, reduction=None)
    made = []

    def make(context):
        pipelines = context.num_input_pipelines
        made.append(
            tfi.data.balanced_batches(
                x, y, batch_size=20, num_shards=pipelines, shard_index=context.input_pipeline_id
            )
        )
        return made[-1]

    made.append(tfi.data.balanced_batches(x, y, batch_size=40))
    datasets = {
        "strategy": strategy.experimental_distribute_dataset(made[-1]),
        "shards": strategy.distribute_datasets_from_function(make),
    }

    def replica(rows, labels):
        with tf.GradientTape() as tape:
            logits = model(rows[:, None] / 1000.0)
            value = tf.reduce_sum(loss(labels[:, None], logits)) / 40.0
        optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
        return rows

    step = tf.function(lambda batch: strategy.run(replica, args=batch))
    report = {}
    for how, dataset in datasets.items():
        epochs = []
        for _ in range(2):
            iterator = iter(dataset)
            seen = [step(next(iterator)) for _ in range(25)]
            local = [strategy.experimental_local_results(rows)[0].numpy() for rows in seen]
            epochs.append(np.concatenate(local).astype(int).tolist())
        report[how] = {"rows": epochs, "weights": float(model.get_weights()[0][0, 0])}
    Path(path).write_text(json.dumps(report))


def killed(folder):
    """Read every dataset to the middle of its second epoch and save the iterators.

    Then train on them until killed in the middle of the third epoch.
    """
    import tensorflow as tf
    from data.rooms import DATASETS

    datasets = {name: make() for name, make in DATASETS.items()}
    for dataset in datasets.values():
        for _ in dataset:
            pass
    iterators = [iter(dataset) for dataset in datasets.values()]
    for iterator in iterators:
        for _ in range(7):
            next(iterator)
    objects = {f"d{i}": iterator for i, iterator in enumerate(iterators)}
    tf.train.Checkpoint(**objects).write(str(Path(folder) / "iterators"))
    for iterator in iterators:
        next(iterator)
    fit(folder, datasets, kill_at=20)


def restarted(folder):
    """In a new process: the batches that follow, as bytes, and the rest of the training."""
    import numpy as np
    import tensorflow as tf
    from data.rooms import DATASETS

    datasets = {name: make() for name, make in DATASETS.items()}
    iterators = {name: iter(dataset) for name, dataset in datasets.items()}
    objects = {f"d{i}": iterator for i, iterator in enumerate(iterators.values())}
    tf.train.Checkpoint(**objects).read(str(Path(folder) / "iterators")).assert_consumed()
    left = {name: [x.numpy() for x, _ in iterator] for name, iterator in iterators.items()}
    np.savez(Path(folder) / "rest.npz", **{name: np.stack(x) for name, x in left.items()})
    fit(folder, datasets)


def fit(folder, datasets, kill_at=0):
    """Train on all datasets at once; with ``kill_at``, be killed after so many batches."""
    import keras
    import tensorflow as tf

    import tfimbalance as tfi

    keras.utils.set_random_seed(0)
    joined = tf.data.Dataset.zip(tuple(datasets.values())).take(8)
    joined = joined.map(
        lambda *pairs: (
            tf.concat([x for x, _ in pairs], axis=0),
            tf.concat([tf.cast(y, tf.int32) for _, y in pairs], axis=0),
        )
    )
    layers = [keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    left = [kill_at]

    class Kill(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    callbacks = [
        keras.callbacks.BackupAndRestore(Path(folder) / "backup"),
        tfi.callbacks.DatasetEpochs(joined),
        Kill(),
    ]
    model.fit(joined, epochs=3, callbacks=callbacks, verbose=0)
    model.save_weights(Path(folder) / "last.weights.h5")
