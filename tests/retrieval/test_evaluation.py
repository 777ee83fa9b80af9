"""Recommendations against sorted scores of everything, scikit-learn and published numbers."""

import re
import tracemalloc

import keras
import numpy as np
import pandas
import pytest
import scipy.sparse
from backend import array, tensor
from scipy.stats import binom
from sklearn.metrics import ndcg_score

import tfimbalance as tfi
from tfimbalance.retrieval import _top, evaluate

pytestmark = pytest.mark.any_backend
QUERIES, ITEMS, DIM = 23, 57, 5


def drawn(seed=0, dtype="float64"):
    """Embeddings, held-out positives, seen items and counts of a long tail."""
    rng = np.random.default_rng(seed)
    counts = np.floor(60 / np.arange(1, ITEMS + 1)).astype(int)[rng.permutation(ITEMS)]
    counts[counts == 1] = rng.integers(0, 2, (counts == 1).sum())
    split = [rng.choice(ITEMS, rng.integers(0, 15), replace=False) for _ in range(QUERIES)]
    positives, seen = [part[::2] for part in split], [part[1::2] for part in split]
    q, i = (rng.normal(size=(size, DIM)).astype(dtype) for size in (QUERIES, ITEMS))
    return q, i, positives, seen, counts


def by_sorting(scores, positives, seen, counts, k, bands=3):
    """The same numbers from all scores, sorted, item by item."""
    order_of_items = sorted(range(ITEMS), key=lambda item: (-counts[item], item))
    band, total = {}, 0
    for item in order_of_items:
        band[item] = min(total * bands // counts.sum(), bands - 1)
        total += counts[item]
    hits, all_, gains = np.zeros(bands), np.zeros(bands), []
    exposure = np.zeros(ITEMS)
    for row, wanted, hidden in zip(scores, positives, seen, strict=True):
        offered = [item for item in range(ITEMS) if item not in hidden]
        best = sorted(offered, key=lambda item: (-row[item], item))[:k]
        exposure[best] += 1
        gain = [1 / np.log2(rank + 2) for rank in range(k)]
        for item in wanted:
            all_[band[item]] += 1
            hits[band[item]] += item in best
        if len(wanted):
            found = sum(g for g, item in zip(gain, best, strict=False) if item in wanted)
            gains.append(found / sum(gain[: len(wanted)]))
    pairs = np.abs(exposure[:, None] - exposure[None]).mean()
    names = {1: ["all"], 2: ["head", "tail"], 3: ["head", "middle", "tail"]}
    return {
        "recall": hits.sum() / all_.sum(),
        "ndcg": np.mean(gains),
        "coverage": np.mean(exposure > 0),
        "gini": pairs / (2 * exposure.mean()),
        "average_popularity": exposure @ counts / exposure.sum(),
        **{f"recall_{n}": h / a for n, h, a in zip(names[bands], hits, all_, strict=True)},
    }


def check(report, name, wanted_of):
    rows = {row["k"]: row for row in report.rows if row["model"] == name}
    for k, row in rows.items():
        for key, value in wanted_of(k).items():
            assert row[key] == pytest.approx(value, abs=1e-12), (k, key)
    return rows


@pytest.mark.parametrize("chunk", [7, 16_384])
@pytest.mark.parametrize(("bands", "tau", "temperature"), [(3, 0.0, 1.0), (2, 0.7, 0.2)])
def test_is_what_sorting_all_scores_finds(monkeypatch, chunk, bands, tau, temperature):
    monkeypatch.setattr(_top, "CHUNK", chunk)
    q, i, positives, seen, counts = drawn()
    more = {"bands": bands, "tau": tau, "temperature": temperature}
    report = evaluate(q, i, positives, k=(1, 4, 50), seen=seen, counts=counts, batch_size=6, **more)
    draws = (counts + 0.5) / (counts + 0.5).sum()
    served = q @ i.T / temperature - tau * np.log(draws)
    kept = (positives, seen, counts)
    assert len(check(report, "model", lambda k: by_sorting(served, *kept, k, bands))) == 3
    popular = np.tile(counts, (QUERIES, 1))
    assert len(check(report, "popularity", lambda k: by_sorting(popular, *kept, k, bands))) == 3
    item = np.concatenate(positives)
    assert report.unseen == pytest.approx(np.mean(counts[item] == 0))
    assert sum(band["items"] for band in report.bands) == ITEMS
    assert sum(band["positives"] for band in report.bands) == len(item)


def test_is_scikit_learns():
    q, i, positives, _, _ = drawn(1)
    relevant = np.zeros((QUERIES, ITEMS))
    for query, items in enumerate(positives):
        relevant[query, items] = 1
    some = relevant.any(axis=1)
    report = evaluate(q, i, positives, k=(5, 20)).as_dict()
    for k in (5, 20):
        wanted = ndcg_score(relevant[some], (q @ i.T)[some], k=k)
        assert report[f"ndcg@{k}"] == pytest.approx(wanted, abs=1e-9)
    assert not any("popularity" in key or "head" in key or key == "unseen" for key in report)


def test_is_keras_rs_s():
    import keras_rs

    q, i, positives, _, _ = drawn(1, "float32")
    relevant = np.zeros((QUERIES, ITEMS), "float32")
    for query, items in enumerate(positives):
        relevant[query, items] = 1
    some = relevant.any(axis=1)
    report = evaluate(q, i, positives, k=(5, 20)).as_dict()
    for k in (5, 20):
        found = keras_rs.metrics.NDCG(k=k)(relevant[some], (q @ i.T)[some])
        assert report[f"ndcg@{k}"] == pytest.approx(float(array(found)), rel=1e-6)
        # Theirs is the mean of queries, ours that of positives.
        hits = sum(
            float(array(keras_rs.metrics.RecallAtK(k=k)(row[None], scores[None]))) * row.sum()
            for row, scores in zip(relevant[some], (q @ i.T)[some], strict=True)
        )
        assert report[f"recall@{k}"] == pytest.approx(hits / relevant.sum(), rel=1e-6)


def test_all_forms_of_positives_are_the_same():
    q, i, positives, seen, counts = drawn(2)
    query = np.repeat(np.arange(QUERIES), [len(items) for items in positives])
    item = np.concatenate(positives)
    flags = np.zeros((QUERIES, ITEMS), bool)
    flags[query, item] = True
    ragged = np.empty(QUERIES, object)
    ragged[:] = [items.tolist() for items in positives]
    forms = [
        [set(items.tolist()) for items in positives],
        [[*items, *items] for items in positives],  # Twice is once.
        (query, item),
        (tensor(query[::-1].copy()), tensor(item[::-1].copy())),
        flags,
        scipy.sparse.csr_matrix(flags.astype(float)),
        scipy.sparse.coo_array(flags),
        ragged,
    ]
    wanted = evaluate(q, i, positives, k=9, seen=seen, counts=counts).as_dict()
    for form in forms:
        assert evaluate(q, i, form, k=9, seen=seen, counts=counts).as_dict() == wanted
    assert evaluate(q, i, positives, k=9, seen=seen, counts=dict(enumerate(counts))).as_dict() == (
        wanted
    )
    one = np.arange(QUERIES)
    a, b, c = (evaluate(q, i, form, k=9).as_dict() for form in (one, one[:, None], one.tolist()))
    assert a == b == c


def test_scores_go_without_items():
    q, i, positives, seen, counts = drawn(3)
    more = {"k": 5, "counts": counts, "tau": 0.3, "batch_size": 4}
    wanted = evaluate(q, i, positives, seen=seen, **more).as_dict()
    scores = q @ i.T
    assert evaluate(scores, None, positives, seen=seen, **more).as_dict() == wanted
    for query, items in enumerate(seen):
        scores[query, items] = -np.inf
    found = evaluate(scores, None, positives, **more)
    assert found.rows[0] == evaluate(q, i, positives, seen=seen, **more).rows[0]


@pytest.mark.parametrize("chunk", [2, 6, 16_384])
def test_equal_scores_are_ranked_by_position(monkeypatch, chunk):
    monkeypatch.setattr(_top, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (200, 11)).astype("float32")
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    scores[:20] = np.arange(11)  # Later chunks are better throughout.
    for k in (1, 4, 11):
        found = _top.best_items(lambda columns: scores[:, columns], 11, k)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        wanted = np.where(np.take_along_axis(scores, order, axis=1) == -np.inf, -1, order)
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_any_precision_ranks_by_its_own_numbers(dtype):
    q, i, positives, seen, counts = drawn(4)
    more = {"k": (3, 30), "seen": seen, "counts": counts}
    rounded = same = (q, i)
    if dtype != "float64":  # Which JAX does not have.
        rounded = [keras.ops.cast(tensor(x, "float32"), dtype) for x in (q, i)]
        same = [array(keras.ops.cast(x, "float32")).astype("float64") for x in rounded]
    found = evaluate(*rounded, positives, **more).as_dict()
    assert found == pytest.approx(evaluate(*same, positives, **more).as_dict(), abs=1e-12)


def test_lists_are_shorter_where_nearly_all_is_seen():
    """One query that has seen all but one item, and one that has seen all."""
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    report = evaluate(
        scores, None, [[2], []], k=3, seen=[[0, 1], [0, 1, 2]], counts=[4, 2, 1]
    ).as_dict()
    for prefix in ("", "popularity_"):
        assert report[f"{prefix}recall@3"] == report[f"{prefix}ndcg@3"] == 1
        assert report[f"{prefix}coverage@3"] == pytest.approx(1 / 3)
        assert report[f"{prefix}gini@3"] == pytest.approx(2 / 3)
        assert report[f"{prefix}average_popularity@3"] == 1
        assert np.isnan(report[f"{prefix}recall@3_head"])
    flags = evaluate(scores, None, [0, 0], k=1, seen=np.array([[0, 1, 1]] * 2) == 1)
    assert flags.as_dict()["recall@1"] == 1


def test_the_dial_goes_from_preference_to_association():
    """Scores of log p, served with tau 1, rank by log p - log Q; those of log p / Q by p at -1."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(40), 30)
    counts = rng.integers(1, 1000, 40)
    q = (counts + 0.5) / (counts + 0.5).sum()
    positives, more = rng.integers(0, 40, 30), {"k": 7, "counts": counts}
    preference = evaluate(np.log(p), None, positives, **more)
    association = evaluate(np.log(p / q), None, positives, **more)
    assert evaluate(np.log(p), None, positives, tau=1.0, **more).rows == association.rows
    assert evaluate(np.log(p / q), None, positives, tau=-1.0, **more).rows == preference.rows


def test_the_reason_to_sample_nothing_is_a_binomial():
    def hit(rank, items=10_000, m=100, k=10):
        return f"{binom.cdf(k - 1, m, (rank - 1) / (items - 1)):.3f}".removeprefix("0")

    text = " ".join(evaluate.__doc__.split())
    assert f"{hit(500)} for rank 500, {hit(1_000)} for rank 1,000 and {hit(2_000)} for rank" in text
    assert f"always at rank 600, with a recall@10 of 0, scores {hit(600)}" in text
    rank_1, others = float(hit(1)), float(hit(10_000))
    assert 0.3 * rank_1 + 0.7 * others == pytest.approx(0.3)
    assert "scores .30." in text


def test_the_table_says_what_the_rows_say():
    q, i, positives, seen, counts = drawn(5)
    report = evaluate(q, i, positives, k=(2, 9), seen=seen, counts=counts)
    header, *lines, items, _ = report.table().splitlines()
    assert header.split()[:3] == ["k", "recall", "ndcg"]
    assert [line.split()[:2] for line in lines] == [
        [name, k] for k in "29" for name in ("model", "popularity")
    ]
    assert items.split() == ["items", *(str(b["items"]) for b in report.bands), str(ITEMS)]
    for row, line in zip(report.rows, lines, strict=True):
        assert float(line.split()[2]) == pytest.approx(row["recall"], abs=6e-4)
        assert float(line.split()[-1]) == pytest.approx(row["average_popularity"], rel=1e-3)
    assert f"{100 * report.unseen:.3g}% of the positives" in str(report)
    assert len(report.as_dict()) == 4 * (len(report.rows[0]) - 2) + 1


def test_memory_is_that_of_a_chunk():
    rng = np.random.default_rng(0)
    q, i = rng.normal(size=(64, 2)).astype("f4"), rng.normal(size=(120_000, 2)).astype("f4")
    tracemalloc.start()
    evaluate(q, i, np.zeros(64, int), k=10, batch_size=16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 16 * _top.CHUNK * 4 + 4 * i.nbytes
    assert peak < 64 * 120_000 * 4


OK = {"queries": np.ones((2, 3)), "items": np.ones((4, 3)), "positives": [[0], [1, 2]], "k": 2}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"queries": np.ones(3)}, r"`queries`: expected a dense matrix.*shape \(3,\)"),
        ({"queries": [["a"]]}, r"`queries`: expected a dense matrix"),
        ({"queries": [[1.0], [1.0, 2.0]]}, r"`queries`: expected a dense matrix.*a list"),
        ({"queries": np.full((2, 3), np.nan)}, r"`queries`: expected finite.*nan in row 0"),
        ({"items": np.full((4, 3), np.inf)}, r"`items`: expected finite.*inf in row 0"),
        ({"items": np.ones((4, 2))}, r"`items`: expected embeddings of 3 numbers.*\(4, 2\)"),
        ({"items": np.ones((0, 3))}, r"`items`: expected a dense matrix"),
        (
            {"queries": np.full((2, 3), 1e30, "f4"), "items": np.full((4, 3), 1e30, "f4")},
            r"`queries`.*dot products are finite in float32",
        ),
        ({"items": None, "queries": np.full((2, 4), np.nan)}, r"`queries`.*-inf.*nan in row 0"),
        ({"positives": [[0]]}, r"`positives`: expected 2 rows, as many as `queries`.*1 rows"),
        ({"positives": [[], []]}, r"`positives`: expected at least one positive"),
        ({"positives": [[0], [4]]}, r"`positives`.*4 items, 0 to 3.*4 for query 1.*ids"),
        ({"positives": [[0], [-1]]}, r"`positives`.*-1 for query 1.*pad with nothing"),
        ({"positives": [["a"], ["b"]]}, r"`positives`: expected whole numbers.*'a'"),
        ({"positives": [["a"], [1]]}, r"`positives`: expected whole numbers"),
        ({"positives": [[0.0], [1.0]]}, r"`positives`: expected whole numbers.*float64"),
        ({"positives": ([0], [1], [2])}, r"`positives`.*a tuple of 3.*list\(positives\)"),
        ({"positives": ([0, 1], [1])}, r"`positives`.*same length.*\(2,\) and \(1,\)"),
        ({"positives": ([0, 2], [1, 1])}, r"`positives`.*2 queries, 0 to 1.*Received: 2"),
        ({"positives": np.eye(2, 4)}, r"`positives`.*zeros and ones.*astype\(bool\)"),
        ({"positives": np.eye(4, 4, dtype=bool)}, r"`positives`: expected 2 rows"),
        ({"positives": scipy.sparse.eye(3)}, r"`positives`.*\(2, 4\).*\(3, 3\)"),
        ({"positives": 3}, r"`positives`.*shape \(\)"),
        ({"seen": [[9], []]}, r"`seen`.*9 for query 0"),
        ({"k": 0}, r"`k`: expected an integer of at least 1"),
        ({"k": 5}, r"`k`.*4 items.*k=4"),
        ({"k": ()}, r"`k`: expected lengths of lists"),
        ({"k": (1, 2.5)}, r"`k`: expected an integer"),
        ({"k": "10"}, r"`k`: expected an integer"),
        ({"positives": [np.array([True, False]), [1]]}, r"`positives`.*rows of flags.*flatnonzero"),
        ({"counts": [1, 2]}, r"`counts`: expected a number for each of 4 items.*\(2,\)"),
        ({"counts": [1, 2, -1, 0]}, r"`counts`.*-1 for item 2"),
        ({"counts": pandas.Series([1, 2, 3], [0, 0, 1])}, r"`counts`: expected each item once.*0"),
        ({"counts": [0, 0, 0, 0]}, r"`counts`.*zeros alone"),
        ({"counts": {7: 1}}, r"`counts`.*7"),
        ({"counts": list("abcd")}, r"`counts`"),
        ({"tau": 0.5}, r"`counts`.*beside `tau`.*None.*bincount"),
        ({"bands": 2}, r"`counts`.*`bands`"),
        ({"bands": 0, "counts": [1] * 4}, r"`bands`: expected an integer"),
        ({"bands": 5, "counts": [1] * 4}, r"`bands`: expected at most 4 bands"),
        ({"tau": 1e300, "counts": [1] * 4}, r"`tau`: expected a strength that float32 holds"),
        ({"counts": {0: "a"}}, r"`counts`: expected a number for each of 1 items"),
        ({"k": [[1], [2]]}, r"`k`: expected an integer"),
        ({"tau": np.nan, "counts": [1] * 4}, r"`tau`"),
        ({"temperature": 0.0}, r"`temperature`.*above 0"),
        ({"batch_size": 0}, r"`batch_size`"),
    ],
)
def test_refuses(more, message):
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
        evaluate(**{**OK, **more})


def test_positives_that_are_seen_are_counted_in_a_warning():
    with pytest.warns(UserWarning, match="1 of 3 positives are `seen`"):
        report = evaluate(**OK, seen=[[0], []])
    assert report.as_dict()["recall@2"] == pytest.approx(1 / 3)  # Item 1, of the second query.


def test_a_blockbuster_is_the_head():
    """An item with most of the positives is in the band where its share begins."""
    report = evaluate(np.ones((2, 4)), None, [[0], [1]], k=1, counts=[90, 6, 4, 0])
    assert [band["items"] for band in report.bands] == [1, 0, 3]
    even = evaluate(np.ones((2, 6)), None, [[0], [1]], k=1, counts=tfi.ClassStatistics([1] * 6))
    assert [band["items"] for band in even.bands] == [2, 2, 2]
