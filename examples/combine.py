"""Combine sampling, class weights and focal loss on a recommender, right and wrong.

The data and the model are those of `quickstart.py`: MovieLens latest-small (GroupLens;
non-commercial use), 1% positives, split by time. A plan says beforehand what each way does to the
odds, trains with it, stops on what will be *served*, and undoes it. Then the same three strategies
are piled up without a plan, as is often advised, and the warnings and the numbers show what of.

    python examples/combine.py            # about two minutes on two cores
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import keras
import matplotlib
import numpy as np
from quickstart import Rows, build, load
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

import tfimbalance as tfi

matplotlib.use("Agg")

BATCH_SIZE = 1024
STEPS_PER_EPOCH = 100
EPOCHS = 40
PATIENCE = 5
MONITOR = "val_corrected_normalized_entropy"
THREE = "sampling, weights and focal"


@dataclass
class Result:
    """What came of one way, on the test rows."""

    name: str
    plan: tfi.Rebalance
    seconds: float = 0.0
    epochs: int = 0
    raw: np.ndarray = field(default_factory=lambda: np.empty(0))
    corrected: np.ndarray = field(default_factory=lambda: np.empty(0))
    scaled: np.ndarray = field(default_factory=lambda: np.empty(0))
    served: keras.Model | None = None


def plans(stats: tfi.ClassStatistics) -> dict[str, tfi.Rebalance]:
    """Return the ways; each but the first balances the classes once, in all."""
    return {
        "plain": tfi.Rebalance(stats),
        "focal": tfi.Rebalance(stats, focal_gamma=2.0),
        "class weights": tfi.Rebalance(stats, class_weight="balanced"),
        "sampling": tfi.Rebalance(stats, class_shares={1: 0.1}),
        "logit adjustment": tfi.Rebalance(stats, tau=1.0),
        "sampling and weights": tfi.Rebalance(
            stats, class_shares={1: 0.1}, class_weight="balanced"
        ),
        THREE: tfi.Rebalance(
            stats, class_shares={1: 0.1}, class_weight="balanced", focal_gamma=2.0
        ),
    }


def train(
    name: str, plan: tfi.Rebalance, rows: tuple[Rows, Rows, Rows], model: keras.Model, seed: int
) -> Result:
    """Train on the plan's batches, stop on its corrected validation, predict the test rows."""
    training, validation, test = rows
    result = Result(name, plan)
    model.compile(keras.optimizers.Adam(2e-3), plan.loss(from_logits=True))
    dataset = plan.dataset(
        training.x, training.label, BATCH_SIZE, steps_per_epoch=STEPS_PER_EPOCH, seed=seed
    )
    watch = plan.callbacks(plan.validation((validation.x, validation.label), batch_size=65_536))
    stop = keras.callbacks.EarlyStopping(
        MONITOR, mode="min", patience=PATIENCE, restore_best_weights=True
    )
    start = time.perf_counter()
    history = model.fit(
        dataset, epochs=EPOCHS, callbacks=[*watch, stop], shuffle=False, verbose=0
    ).history
    result.seconds = time.perf_counter() - start
    result.epochs = int(np.argmin(history[MONITOR])) + 1
    result.served = plan.corrected(model)
    result.raw = 1.0 / (1.0 + np.exp(-predict(model, test)))
    result.corrected = predict(result.served, test)
    # What the algebra cannot know: that the model fits later rows less well than earlier ones.
    scaling = tfi.calibration.VectorScaling()
    scaling.fit(validation.label, predict(result.served, validation))
    result.served = tfi.calibration.calibrated_model(result.served, scaling)
    result.scaled = predict(result.served, test)
    return result


def predict(model: keras.Model, rows: Rows) -> np.ndarray:
    return model.predict(rows.x, batch_size=65_536, verbose=0)[:, 0].astype(np.float64)


def caught(console: Console, action) -> object:
    """Run something that warns, and print what it says."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        value = action()
    for warning in found:
        console.print(f"[yellow]Warning:[/yellow] {warning.message}\n", highlight=False)
    return value


def wrong(console: Console, stats: tfi.ClassStatistics, validation: Rows) -> tfi.Rebalance:
    """Ask for all at full strength, and validate on re-sampled rows: both are warned of."""
    plan = caught(
        console,
        lambda: tfi.Rebalance(
            stats,
            class_shares="balanced",
            class_weight=tfi.class_weights(stats),
            focal_gamma=2.0,
        ),
    )
    console.print(plan.audit(), highlight=False)
    console.print()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That the rows are not those of the plan.
        resampled = plan.dataset(validation.x, validation.label, BATCH_SIZE)
    caught(console, lambda: tfi.callbacks.NaturalRate(stats).check(resampled))
    return plan


def report(results: list[Result], test: Rows, console: Console) -> None:
    rate = float(test.label.mean())
    table = Table(
        title=f"Test: {len(test.label):,} rows, {rate:.2%} positive",
        caption="Prior: the effective one. Raw: as trained. Corrected: by `plan.corrected(model)`. "
        "Scaled: and by a slope\nand a bias, fitted on validation rows. p / rate: mean probability "
        f"over base rate. An epoch is {STEPS_PER_EPOCH} steps.",
    )
    for column in ("way", "prior", "epoch", "AP", "ROC-AUC"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for kind in ("raw", "corrected", "scaled"):
        table.add_column(f"log loss, {kind}", justify="right")
        table.add_column("p / rate", justify="right")
    for result in results:
        cells = [
            result.name,
            f"{result.plan.effective_priors[1]:.3f}",
            str(result.epochs),
            f"{average_precision_score(test.label, result.corrected):.4f}",
            f"{roc_auc_score(test.label, result.corrected):.4f}",
        ]
        for p in (result.raw, result.corrected, result.scaled):
            cells += [f"{log_loss(test.label, p):.4f}", f"{p.mean() / rate:.2f}"]
        table.add_row(*cells)
    console.print(table)


def main(seed: int = 0, output: Path = Path("combine.png")) -> list[Result]:
    """Train every way, print audits, warnings and the table, draw the page."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    training, validation, test, num_users, num_items = load(seed)
    rows = (training, validation, test)
    stats = tfi.class_statistics(training.label)
    ways = plans(stats)
    console.print(f"[bold]The plan[/bold] of {THREE}:\n")
    console.print(ways[THREE].audit(), highlight=False)
    console.print("\n[bold]The same without a plan[/bold]: each at full strength.\n")
    ways["all at full strength"] = wrong(console, stats, validation)
    results = []
    with Progress(console=console) as progress:
        task = progress.add_task("training", total=len(ways))
        for name, plan in ways.items():
            progress.update(task, description=f"{name:<28}")
            keras.utils.set_random_seed(seed)
            model = build(num_users, num_items)
            results.append(train(name, plan, rows, model, seed))
            progress.advance(task)
    report(results, test, console)
    best = next(result for result in results if result.name == THREE)
    figure = tfi.plots.report(
        best.served,
        test.x,
        test.label,
        before=stats,
        after=best.plan.effective_priors,
        batch_size=65_536,
        title=f"MovieLens, {THREE}, corrected and scaled",
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)
    console.print(f"Figure: {output}")
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("combine.png"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.output)
