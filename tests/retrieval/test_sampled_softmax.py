"""What batches of embeddings are to the loss: candidates, ids, masks, weights, replicas."""

import keras
import numpy as np
import pytest
from backend import DTYPES, NAME, array, at_once, compiled, tensor, value_and_gradient
from scipy.special import logsumexp

import tfimbalance as tfi

pytestmark = pytest.mark.any_backend(jax_every=4)
FORMS = ["nce", "importance"]
each_form = pytest.mark.parametrize("form", FORMS)
ROWS, DIM, MORE = 6, 4, 3
RNG = np.random.default_rng(0)
QUERY, ITEM = RNG.normal(size=(2, ROWS, DIM)).astype("float32")
LOG_Q = np.log([0.3, 0.2, 0.1, 0.2, 0.05, 0.15])
IDS = np.array([1, 2, 3, 2, 5, 6], "int32")  # Rows 1 and 3 have the same item.
SHARED = RNG.normal(size=(MORE, DIM)).astype("float32")
OWN = RNG.normal(size=(ROWS, MORE, DIM)).astype("float32")


def oracle(scores, log_q, ids, form, tau=1.0, real=None):
    """The loss of each row, candidate by candidate; row i's positive is column i."""
    values = np.zeros(len(scores))
    for row, s in enumerate(np.asarray(scores, np.float64)):
        q, names = (
            np.broadcast_to(log_q, scores.shape)[row],
            np.broadcast_to(ids, scores.shape)[row],
        )
        columns = [j for j in range(len(s)) if real is None or real[j]]
        if form == "nce":
            z = {j: s[j] - tau * q[j] for j in columns}
        else:
            left = [j for j in columns if names[j] != names[row]]
            rest = 1 - np.exp(q[row])
            z = {j: s[j] - np.log(len(left) * np.exp(q[j]) / rest) for j in left} | {row: s[row]}
        if row in columns:
            values[row] = logsumexp([*z.values()]) - z[row]
    return values


def negatives(kind):
    """Arguments for more negatives, and the matrices of all scores, log Q and ids."""
    in_batch = QUERY @ ITEM.T
    if kind == "none":
        return {}, in_batch, LOG_Q, IDS
    log_q, ids = np.log([0.02, 0.3, 0.1]), np.array([9, 2, 5], "int32")
    if kind == "shared":
        more = {"negatives": SHARED, "negatives_log_q": log_q, "negatives_ids": ids}
        scores = np.concatenate([in_batch, QUERY @ SHARED.T], axis=1)
        return more, scores, np.r_[LOG_Q, log_q], np.r_[IDS, ids]
    log_q, ids = log_q + np.linspace(-1, 0, ROWS)[:, None], (ids + np.arange(ROWS)[:, None]) % 7
    more = {"negatives": OWN, "negatives_log_q": log_q, "negatives_ids": ids.astype("int32")}
    scores = np.concatenate([in_batch, np.einsum("bd,bmd->bm", QUERY, OWN)], axis=1)
    rows = [np.tile(x, (ROWS, 1)) for x in (LOG_Q, IDS)]
    return more, scores, np.c_[rows[0], log_q], np.c_[rows[1], ids]


def loss_of(form="nce", **arguments):
    """The class as a function of two embeddings."""
    call = {"log_q": LOG_Q, "ids": IDS}
    call |= {k: arguments.pop(k) for k in [*arguments] if k in CALL}
    loss = tfi.retrieval.SampledSoftmaxLoss(form, **arguments)

    def compute(query, item):
        return loss(query, item, **call)

    return compiled(compute) if NAME == "jax" else compute  # It compiles each operation else.


CALL = ("log_q", "ids", "mask", "sample_weight", "negatives", "negatives_log_q", "negatives_ids")


@each_form
@pytest.mark.parametrize("kind", ["none", "shared", "of rows"])
def test_batches_and_matrices_are_one_formula(form, kind):
    more, scores, log_q, ids = negatives(kind)
    wanted = oracle(scores / 0.5, log_q, ids, form)
    found = loss_of(form, temperature=0.5, reduction=None, **more)(QUERY, ITEM)
    np.testing.assert_allclose(array(found), wanted, rtol=2e-5, atol=1e-5)
    of_matrix = at_once(
        lambda z: tfi.retrieval.sampled_softmax_loss(z, log_q, form=form, ids=ids), scores / 0.5
    )
    np.testing.assert_allclose(array(of_matrix), wanted, rtol=2e-5, atol=1e-5)
    if form == "nce":
        half = loss_of(tau=0.5, **more)(QUERY, ITEM)
        wanted = oracle(scores, log_q, ids, form, tau=0.5).mean()
        assert float(half) == pytest.approx(wanted, rel=2e-5)


def test_positives_may_stand_in_any_column():
    _, scores, log_q, ids = negatives("shared")
    order = np.random.default_rng(1).permutation(ROWS + MORE)
    columns = np.argsort(order)[:ROWS]
    for form in FORMS:
        found = tfi.retrieval.sampled_softmax_loss(
            scores[:, order], log_q[order], positive=columns, form=form, ids=ids[order]
        )
        np.testing.assert_allclose(
            array(found), oracle(scores, log_q, ids, form), rtol=2e-5, atol=1e-6
        )


def test_without_correction_no_log_q_is_needed():
    found = loss_of(tau=0.0, log_q=None)(QUERY, ITEM)
    wanted = oracle(QUERY @ ITEM.T, LOG_Q, IDS, "nce", tau=0.0).mean()
    assert float(found) == pytest.approx(wanted, rel=1e-5)


@each_form
@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param(
            (2**33 + 1, 2**33 + 2),
            marks=pytest.mark.only_on("tensorflow", "torch", why="JAX has 32-bit integers"),
        ),
        (16_777_216, 16_777_217),  # One number in float32.
        pytest.param(
            np.array([2**64 - 1, 2**64 - 2], "uint64"),  # As hashes of pandas are.
            marks=pytest.mark.only_on("tensorflow", why="others have fewer integers"),
        ),
    ],
)
def test_neighbouring_ids_are_never_the_same(form, pairs):
    ids = np.repeat(pairs, ROWS // 2)
    scores = QUERY @ ITEM.T
    apart = loss_of(form, ids=ids, reduction=None)(QUERY, ITEM)
    np.testing.assert_allclose(array(apart), oracle(scores, LOG_Q, ids, form), rtol=2e-5, atol=1e-6)


@pytest.mark.only_on("jax", why="others keep 64 bits")
def test_ids_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"below 2\*\*31.*8589934598.*jax_enable_x64"):
        loss_of("importance", ids=IDS.astype("int64") + 2**33)(QUERY, ITEM)


@each_form
@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_are_float32_whatever_comes(form, dtype):
    """bfloat16 holds 4096 and 4112, and no score between; float64 is that of ``dtype``."""
    query, item = tensor(QUERY * 64, dtype), tensor(ITEM * 64, dtype)
    exact = array(query).astype("float64") @ array(item).astype("float64").T
    for arguments in ({}, {"dtype": dtype}):
        found = loss_of(form, reduction=None, **arguments)(query, item)
        wide = "float64" if arguments and dtype == "float64" else "float32"
        assert keras.backend.standardize_dtype(found.dtype) == wide
        wanted = oracle(exact, LOG_Q, IDS, form)
        np.testing.assert_allclose(array(found), wanted, rtol=1e-5, atol=1e-3)
    rows = tfi.retrieval.sampled_softmax_loss(tensor(exact, dtype), LOG_Q, form=form, ids=IDS)
    wide = "float64" if dtype == "float64" else "float32"
    assert keras.backend.standardize_dtype(rows.dtype) == wide


@each_form
@pytest.mark.parametrize("xla", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_any_score_gives_finite_values_and_gradients(form, xla):
    """Up to 1e4 either way, eagerly and compiled; a confident mistake keeps its gradient."""
    loss = loss_of(form, reduction=None, ids=np.arange(ROWS, dtype="int32"))
    item = np.eye(ROWS, dtype="float32")
    step = compiled(lambda item, query: value_and_gradient(lambda q: loss(q, item), query), xla)
    for size in (0.0, 30.0, 1e4, -1e4):
        query = np.eye(ROWS, dtype="float32") * size
        query[0] = -query[0]
        value, slope = (array(x) for x in step(tensor(item), tensor(query)))
        wanted = oracle(query, LOG_Q, np.arange(ROWS), form)
        assert np.isfinite(value).all()
        assert np.isfinite(slope).all()
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5)
        wrong = np.diag(query) < 0
        assert (np.diag(slope)[wrong] < -0.1).all()


def test_rows_without_a_negative_cost_nothing():
    """Under "importance", where all of the batch is one item."""
    loss = loss_of("importance", ids=np.full(ROWS, 7))
    value, slope = value_and_gradient(lambda q: loss(q, ITEM), tensor(QUERY))
    assert float(value) == 0.0
    np.testing.assert_array_equal(array(slope), 0.0)


@each_form
def test_log_q_is_never_cut(form):
    """From the 1e-12 of a large catalogue to nearly 1, whose rest, 1 - Q, is precise."""
    log_q = np.float32([np.log(1e-12), -1e-3, -1e-6, -0.5, -0.7, -20.0])
    found = loss_of(form, log_q=log_q, reduction=None)(QUERY, ITEM)
    wanted = oracle(QUERY @ ITEM.T, log_q.astype("float64"), IDS, form)
    np.testing.assert_allclose(array(found), wanted, rtol=2e-5, atol=1e-6)
    cut = oracle(QUERY @ ITEM.T, np.maximum(log_q, np.log(1e-6)), IDS, form)
    assert np.abs(wanted - cut).max() > 10


REAL = np.array([1, 1, 0, 1, 1, 0], bool)


@each_form
def test_padding_costs_nothing_and_is_no_negative(form):
    """Whatever it holds, and whether Keras or the caller says so."""
    query, item, log_q = QUERY.copy(), ITEM.copy(), LOG_Q.copy()
    query[~REAL], item[~REAL], log_q[~REAL] = np.nan, np.inf, np.nan
    few = {"log_q": LOG_Q[REAL], "ids": IDS[REAL]}
    wanted = float(loss_of(form, **few)(QUERY[REAL], ITEM[REAL]))
    loss = loss_of(form, log_q=log_q, mask=REAL)
    value, slope = value_and_gradient(lambda q: loss(q, item), tensor(query))
    assert float(value) == pytest.approx(wanted, rel=1e-5)
    slope = array(slope)
    np.testing.assert_array_equal(slope[~REAL], 0.0)
    assert (np.abs(slope[REAL]).max(axis=1) > 0).all()
    weight = np.where(REAL, np.arange(ROWS), np.nan)
    weighed = loss_of(form, log_q=log_q, mask=REAL[:, None], sample_weight=weight)(query, item)
    alone = loss_of(form, sample_weight=weight[REAL], **few)(QUERY[REAL], ITEM[REAL])
    assert float(weighed) == pytest.approx(float(alone), rel=1e-5)
    scores = np.where(REAL[:, None], QUERY @ ITEM.T, np.nan)
    values = tfi.retrieval.sampled_softmax_loss(scores, log_q, form=form, ids=IDS, mask=REAL)
    rows = oracle(QUERY @ ITEM.T, LOG_Q, IDS, form, real=REAL)
    np.testing.assert_allclose(array(values), rows, rtol=2e-5)
    assert float(loss_of(form, mask=np.zeros(ROWS))(query, item)) == 0.0


def test_masks_of_keras_are_seen():
    steps = np.where(REAL, 3, 0)
    query = keras.layers.Embedding(4, DIM, mask_zero=True)(steps)
    explicit = loss_of(mask=REAL)(query, ITEM)
    found = tfi.retrieval.SampledSoftmaxLoss()(query, ITEM, log_q=LOG_Q)
    assert array(found) == pytest.approx(array(explicit), rel=1e-6)


@each_form
def test_masks_of_negatives_are_seen(form):
    """Those of steps that Keras masks, shared or of each row."""
    embedding = keras.layers.Embedding(9, DIM, mask_zero=True)
    for steps in (np.array([3, 0, 5]), np.arange(ROWS * MORE).reshape(ROWS, MORE) % 4):
        real = steps > 0
        known = {"negatives_log_q": np.where(real, -2.0, np.nan), "negatives_ids": steps}
        loss = tfi.retrieval.SampledSoftmaxLoss(form, reduction=None)
        found = loss(QUERY, ITEM, log_q=LOG_Q, ids=IDS, negatives=embedding(steps), **known)
        scores, rows = QUERY @ ITEM.T, (ROWS, MORE)
        vectors = np.broadcast_to(array(embedding(steps)), (*rows, DIM))
        scores = np.c_[scores, np.einsum("bd,bmd->bm", QUERY, vectors)]
        log_q = np.r_[LOG_Q, np.full(MORE, -2.0)]
        ids = np.c_[np.tile(IDS, (ROWS, 1)), np.broadcast_to(steps, rows)]
        flags = np.c_[np.ones((ROWS, ROWS)), np.broadcast_to(real, rows)]
        wanted = [oracle(scores, log_q, ids, form, real=flags[row])[row] for row in range(ROWS)]
        np.testing.assert_allclose(array(found), wanted, rtol=2e-5, atol=1e-5)


@each_form
def test_weights_and_reductions_are_those_of_keras(form):
    rows = array(loss_of(form, reduction=None)(QUERY, ITEM))
    weight = np.arange(ROWS, dtype="float32")
    total = (rows * weight).sum()
    means = {"sum": total, "mean": total / ROWS, "sum_over_batch_size": total / ROWS}
    means["mean_with_sample_weight"] = total / weight.sum()
    for reduction, wanted in means.items():
        loss = loss_of(form, reduction=reduction, sample_weight=weight[:, None])
        assert float(loss(QUERY, ITEM)) == pytest.approx(wanted, rel=1e-6)
    assert float(loss_of(form)(QUERY, ITEM)) == pytest.approx(rows.mean(), rel=1e-6)
    each = loss_of(form, reduction="none", sample_weight=weight)(QUERY, ITEM)
    np.testing.assert_allclose(array(each), rows * weight, rtol=1e-6)


@pytest.mark.slow
@each_form
@pytest.mark.only_on("tensorflow", why="JAX knows all sizes, PyTorch has no graph")
def test_graphs_of_unknown_size_never_broadcast(form):
    import tensorflow as tf

    loss = tfi.retrieval.SampledSoftmaxLoss(form)
    rows, names = [tf.TensorSpec([None, DIM])] * 2, ["positive", "log_q", "mask", "ids"]
    step = tf.function(
        lambda q, x, log_q, mask, ids: loss(q, x, log_q=log_q, mask=mask, ids=ids),
        input_signature=[
            *rows,
            tf.TensorSpec([None]),
            tf.TensorSpec([None], tf.bool),
            tf.TensorSpec([None, 1], tf.int64),
        ],
    )
    ids = IDS[:, None].astype("int64")
    given = [QUERY, ITEM, LOG_Q.astype("float32"), np.ones(ROWS, bool), ids]
    eager = float(loss_of(form)(QUERY, ITEM))
    assert float(step(*given)) == pytest.approx(eager, rel=1e-6)
    for place, name in enumerate(names if form == "importance" else names[:3], 1):
        short = [x[:1] if k == place else x for k, x in enumerate(given)]
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"`{name}`: sizes"):
            step(*short)


@each_form
@pytest.mark.only_on("tensorflow", why="others have no words")
def test_ids_may_be_words(form):
    import tensorflow as tf

    words = np.array([f"item {k}" for k in IDS])
    found = tf.function(loss_of(form, ids=tf.constant(words)))(QUERY, ITEM)
    assert float(found) == pytest.approx(float(loss_of(form)(QUERY, ITEM)), rel=1e-6)
    rows = tfi.retrieval.sampled_softmax_loss(QUERY @ ITEM.T, LOG_Q, form=form, ids=words)
    assert array(rows).mean() == pytest.approx(float(found), rel=1e-6)


def test_config_holds_every_argument():
    given = {"form": "nce", "tau": 0.5, "temperature": 0.1, "across_replicas": NAME != "torch"}
    given |= {"reduction": "sum", "name": "mine", "dtype": DTYPES[0]}
    loss = tfi.retrieval.SampledSoftmaxLoss(**given)
    assert loss.get_config() == given
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == given
    assert tfi.retrieval.SampledSoftmaxLoss(dtype="mixed_bfloat16").dtype == "float32"


WRONG = {
    "no ids": ({"form": "importance", "ids": None}, "`ids`.*which negatives are the positive"),
    "float ids": (
        {"form": "importance", "ids": IDS + 0.5},
        "`ids`: expected a dense array of integers.*float64.*float32 holds",
    ),
    "ids of others": ({"form": "importance", "ids": IDS[:2]}, r"`ids`: expected shape \(6,\)"),
    "tau": ({"form": "importance", "tau": 0.5}, "`tau`: expected 1.0 under"),
    "form": ({"form": "logq"}, '"nce", "importance"'),
    "temperature": ({"temperature": 0.0}, "`temperature`"),
    "no log Q": ({"log_q": None}, "`log_q`: expected log Q of each item.*ItemFrequency"),
    "0": ({"log_q": np.where(IDS == 3, 0.0, LOG_Q)}, "`log_q`.*0 in row 2.*preference"),
    "NaN": ({"log_q": np.where(IDS == 3, np.nan, LOG_Q)}, "`log_q`.*nan in row 2"),
    "-inf": ({"log_q": np.where(IDS == 3, -np.inf, LOG_Q)}, "`log_q`.*-inf in row 2.*mask"),
    "probabilities": ({"log_q": np.exp(LOG_Q)}, "`log_q`.*as probabilities are.*log"),
    "log counts": ({"log_q": np.log(IDS + 1)}, r"`log_q`.*counts / counts.sum\(\)"),
    "log Q of others": ({"log_q": LOG_Q[:2]}, r"`log_q`: expected shape \(6,\)"),
    "items of others": ({"negatives_ids": IDS}, "`negatives`: expected embeddings"),
    "no log Q of others": ({"negatives": SHARED}, "`negatives_log_q`: expected log Q"),
    "narrow": ({"negatives": SHARED[:, :2], "negatives_log_q": LOG_Q[:3]}, r"\(batch, n, 4\)"),
    "one row's": (
        {"negatives": OWN[:1], "negatives_log_q": LOG_Q[None, :3]},
        r"`negatives`: expected shape \(6, 3, 4\)",
    ),
    "weights": ({"sample_weight": np.ones(2)}, "`sample_weight`"),
    "mask": ({"mask": np.ones(2)}, "`mask`"),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_right_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        loss_of(**given)(QUERY, ITEM)


def test_shapes_that_do_not_fit_are_refused():
    for query, item in ((QUERY, ITEM[:2]), (QUERY, ITEM[:, :2]), (OWN, OWN)):
        with pytest.raises(ValueError, match=r"`(positive|query)`: expected shape"):
            loss_of()(query, item)
    scores = QUERY @ ITEM.T
    for arguments, message in (
        ({"logits": scores[:, :2], "log_q": LOG_Q[:2]}, "`positive`.*no column i"),
        ({"positive": [0, 1, 2, 3, 4, 6]}, "`positive`.*6 in row 5"),
        ({"logits": scores[0]}, r"`logits`: expected shape \(batch, candidates\)"),
        ({"form": "importance"}, "`ids`"),
        ({"mask": np.ones((2, 2))}, "`mask`"),
    ):
        with pytest.raises(ValueError, match=message):
            tfi.retrieval.sampled_softmax_loss(**{"logits": scores, "log_q": LOG_Q, **arguments})


@pytest.mark.only_on("tensorflow", why="graphs are TensorFlow's")
def test_graphs_show_what_they_know():
    """Constants are refused, operations that make probabilities warned of, and values are NaN."""
    import tensorflow as tf

    loss = tfi.retrieval.SampledSoftmaxLoss()
    step = tf.function(lambda x: loss(QUERY, ITEM, log_q=tf.exp(x)))
    with pytest.warns(UserWarning, match="log_q looks like probabilities"):
        assert np.isnan(step(tf.constant(LOG_Q)))
    step = tf.function(lambda x: loss(QUERY, ITEM, log_q=x))
    for log_q in (np.exp(LOG_Q), np.where(IDS == 3, 0.0, LOG_Q)):
        assert np.isnan(step(tf.constant(log_q)))
        with pytest.raises(ValueError, match="`log_q`"):
            tf.function(loss_of(log_q=log_q))(QUERY, ITEM)


def test_compile_cannot_pass_log_q():
    model = keras.Sequential([keras.Input((DIM,)), keras.layers.Dense(DIM)])
    model.compile("sgd", tfi.retrieval.SampledSoftmaxLoss())
    with pytest.raises(ValueError, match=r"compile\(\) cannot pass it"):
        model.fit(QUERY, ITEM, verbose=0)


@pytest.mark.only_on("torch", why="others gather, or see the global batch")
def test_processes_of_pytorch_are_not_gathered():
    with pytest.raises(ValueError, match="`across_replicas`: expected False on PyTorch"):
        loss_of(across_replicas=True)(QUERY, ITEM)


@pytest.mark.only_on("tensorflow", why="a batch of no rows is TensorFlow's")
def test_batches_without_rows_cost_nothing():
    """As the last one has on a replica."""
    import tensorflow as tf

    for form in FORMS:
        loss = tfi.retrieval.SampledSoftmaxLoss(form)
        rows = [tf.TensorSpec([None, DIM])] * 2 + [tf.TensorSpec([None])]
        step = tf.function(
            lambda q, x, log_q, loss=loss: loss(q, x, log_q=log_q, ids=tf.cast(log_q, tf.int32)),
            input_signature=rows,
        )
        assert float(step(QUERY[:0], ITEM[:0], LOG_Q[:0].astype("float32"))) == 0.0


@pytest.mark.slow
@pytest.mark.only_on("tensorflow", why="tf.distribute is TensorFlow's")
def test_replicas_compute_the_loss_of_the_global_batch():
    """Values and gradients of two replicas, of 2 and 4 rows, are those of one that has all."""
    import tensorflow as tf

    # Reduction on one device: collectives of several strategies in a process clash.
    on_one = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=on_one)
    mask = np.array([1, 1, 0, 1, 1, 1], bool)
    rows = {"log_q": LOG_Q, "ids": IDS.astype("int64"), "mask": mask}
    rows |= {"sample_weight": np.linspace(1.0, 2.0, ROWS)}
    more, _, _, _ = negatives("shared")
    own, _, _, _ = negatives("of rows")
    cases = [("nce", rows | more), ("importance", rows | more), ("importance", rows | own)]
    losses = [
        tfi.retrieval.SampledSoftmaxLoss(form, across_replicas=True, reduction=reduction)
        for form, reduction in zip(["nce", "importance", "importance"], REDUCTIONS, strict=True)
    ]

    def part(x, replica):
        """Rows of one replica; of shared negatives, too, as each replica draws its own."""
        first = 1 if len(x) == MORE else 2
        return tf.constant(x[:first] if replica == 0 else x[first:])

    @tf.function(autograph=False)
    def gradients(query, item, calls):
        with tf.GradientTape() as tape:
            tape.watch([query, item])
            values = [loss(query, item, **call) for loss, call in zip(losses, calls, strict=True)]
            total = tf.add_n(values)
        return values, tape.gradient(total, [query, item])

    def on_replica(context):
        index = context.replica_id_in_sync_group
        calls = [{k: part(x, index) for k, x in call.items()} for _, call in cases]
        return part(QUERY, index), part(ITEM, index), calls

    given = strategy.experimental_distribute_values_from_function(on_replica)
    values, slopes = strategy.run(gradients, args=given)
    alone = gradients(tf.constant(QUERY), tf.constant(ITEM), [call for _, call in cases])
    for found, wanted in zip(values, alone[0], strict=True):
        parts = strategy.experimental_local_results(found)
        assert float(sum(parts)) == pytest.approx(float(wanted), rel=1e-5)
    for found, wanted in zip(slopes, alone[1], strict=True):
        parts = strategy.experimental_local_results(found)
        np.testing.assert_allclose(np.concatenate(parts), wanted, rtol=1e-4, atol=1e-6)


REDUCTIONS = ["sum_over_batch_size", "mean_with_sample_weight", "sum"]
