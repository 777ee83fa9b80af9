"""Recall, ranking and exposure of recommendations, over all items, from head to tail."""

from __future__ import annotations

from typing import Any

from tfimbalance.retrieval._judge import Judge
from tfimbalance.retrieval._report import EvaluationReport
from tfimbalance.retrieval._scores import Scores


def evaluate(
    queries: Any,
    items: Any,
    positives: Any,
    *,
    k: Any = (10, 100),
    seen: Any = None,
    counts: Any = None,
    bands: int = 3,
    tau: float = 0.0,
    temperature: float = 1.0,
    batch_size: int = 1024,
) -> EvaluationReport:
    """Evaluate recommendations on all items, with what they give to the head and to the tail.

    Use it on held-out positives, beside each query's own training items (``seen``) and the training
    positives of each item (``counts``): the popularity baseline then stands in the same table, and
    so does the share of positives that no model of ids can find. Do not use it to rank a few
    candidates of each query: there `keras_rs.metrics` have what is needed.

    Nothing is sampled. Among m uniformly drawn negatives, a positive of rank r of N items is in the
    first k with probability ``P(Binomial(m, (r - 1) / (N - 1)) < k)`` [1]. With N = 10,000, m = 100
    and k = 10 that is .972 for rank 500, .452 for rank 1,000 and .002 for rank 2,000: a model that
    is always at rank 600, with a recall@10 of 0, scores .923, and one at rank 1 in 30% of the
    queries, with a recall@10 of .30, scores .30.

        score = <query, item> / temperature - tau log Q,   Q ~ count + 1/2
        recall@k = hits / positives, over all queries
        ndcg@k = mean over queries of  sum_hits 1/log2(rank + 1) / (the largest possible sum)
        coverage@k = share of the items that are in a list
        gini@k = Gini coefficient of how often each item is in a list: 0 if all are alike
        average_popularity@k = mean of the training positives of the items in the lists

    Items of equal score are ranked by position, the first one first. Lists of queries whose items
    are nearly all seen are shorter than k. Queries without positives have a list, which counts for
    coverage, Gini and average popularity.

    Args:
        queries: embeddings; or, with ``items=None``, the score of each item, -inf for those that
            are not offered.
        items: embeddings of all items.
        positives: held-out items of each query, as positions in ``items``. A list of arrays (or
            sets), one a query; an array of one position (or of m) a query; a tuple
            ``(query, item)`` of two arrays; a boolean array or a SciPy sparse matrix, one row a
            query. A pair that comes twice counts once.
        k: length of the lists, one or several.
        seen: items that are not recommended to a query, in any form of ``positives``.
        counts: training positives of each item, as an array, ``{position: count}`` or
            `ClassStatistics`.
        bands: recall is also that of so many bands of items with equal shares of the training
            positives, from head to tail. An item is in the band in which its share begins, and one
            without training positives in the last.
        tau: the dial between preference (0) and association (1), of a model whose loss corrected
            log Q; of one that was trained without, between association (0) and preference (-1).
            Items that were never a positive gain most by it, and in-batch negatives alone never
            trained their scores: train with `tfimbalance.data.mixed_negatives` to turn it far.
        temperature: that of the loss; it matters beside ``tau``.
        batch_size: queries that are scored at once, against 16,384 items at a time: 200 MB for
            1,024 queries.

    Shapes:
        queries: ``(num_queries, dim)``, or ``(num_queries, num_items)`` without ``items``.
        items: ``(num_items, dim)``.
        counts: ``(num_items,)``.

    Returns:
        A report with ``table()``, to print; ``as_dict()``, of ``"recall@10"``,
        ``"recall@10_tail"``, ``"popularity_recall@10"`` and so on; ``rows``, a dictionary a line of
        the table; ``bands``; and ``unseen``, the share of the positives whose items have no
        training positive.

    Raises:
        ValueError: for embeddings that do not fit or are not finite, positions that are none,
            counts of another number of items, k above the number of items, no positives at all, and
            ``bands`` or ``tau`` without ``counts``.

    Warns:
        UserWarning: for positives that are ``seen``, which cannot be recommended.

    Example:
        >>> import numpy as np
        >>> import tfimbalance as tfi
        >>> queries, items = np.array([[1.0, 0.0], [0.0, 1.0]]), np.eye(2)[[0, 0, 1, 1]]
        >>> positives, seen = [[1], [2, 3]], [[0], []]
        >>> report = tfi.retrieval.evaluate(
        ...     queries, items, positives, k=1, seen=seen, counts=[5, 3, 1, 0]
        ... )
        >>> print(report.table())
                    k  recall   ndcg  head  middle  tail  coverage  gini  popularity
             model  1    .667  1.000     -   1.000  .500      .500  .500           2
        popularity  1    .333   .500     -   1.000  .000      .500  .500           4
             items                       1       1     2         4
        33.3% of the positives are of items without training positives.
        >>> round(report.as_dict()["recall@1_tail"], 3)
        0.5

    References:
        [1] Krichene and Rendle, On Sampled Metrics for Item Recommendation, KDD 2020.
    """
    scores = Scores(queries, items)
    judge = Judge(
        positives,
        num_queries=scores.num_queries,
        num_items=scores.num_items,
        k=k,
        seen=seen,
        counts=counts,
        bands=bands,
        tau=tau,
        temperature=temperature,
        batch_size=batch_size,
    )
    return judge.report(scores)
