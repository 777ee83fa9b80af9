"""What a sampler of imbalanced-learn is: its steps, its seeds, and what it looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_CALLERS = ("FunctionSampler", "FunctionTransformer")


def ignores_features(sampler: Any) -> bool:
    """Say whether a sampler chooses rows by their class alone, whatever the rows are."""
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.under_sampling import RandomUnderSampler

    steps = steps_of(sampler)
    if steps is not None:
        return all(ignores_features(step) for step in steps)
    if type(sampler) is RandomOverSampler:
        return not shrinks(sampler)
    return type(sampler) is RandomUnderSampler


def is_random(sampler: Any) -> bool:
    """Say whether two draws may differ."""
    steps = steps_of(sampler)
    if steps is not None:
        return any(is_random(step) for step in steps)
    if random_states(sampler) or type(sampler).__name__ in _CALLERS:
        return True
    # These have a `random_state` if they draw; what comes from elsewhere may do anything.
    return type(sampler).__module__.split(".")[0] not in ("imblearn", "sklearn")


def random_states(sampler: Any) -> list[str]:
    """Return the names of all parameters that hold a seed, those of nested objects too."""
    names = sorted(sampler.get_params(deep=True)) if hasattr(sampler, "get_params") else []
    return [name for name in names if _is_called(name, "random_state")]


def seeded(sampler: Any, seed: Callable[[int], int]) -> Any:
    """Return a copy of a sampler with a seed of its own wherever it has one."""
    from sklearn.base import clone

    copy = clone(sampler)
    seeds: dict[str, Any] = {name: seed(i) for i, name in enumerate(random_states(copy))}
    for name, value in copy.get_params(deep=True).items():
        # What a FunctionSampler hands to its function.
        if _is_called(name, "kw_args") and isinstance(value, dict) and "random_state" in value:
            seeds[name] = {**value, "random_state": seed(len(seeds))}
    return copy.set_params(**seeds)


def _is_called(name: str, parameter: str) -> bool:
    return name == parameter or name.endswith(f"__{parameter}")


def steps_of(sampler: Any) -> list[Any] | None:
    """Return the steps of a pipeline that do anything, or None for another sampler."""
    from imblearn.pipeline import Pipeline

    if not isinstance(sampler, Pipeline):
        return None
    return [step for _, step in sampler.steps if step not in (None, "passthrough")]


def shrinks(sampler: Any) -> bool:
    """Say whether a `RandomOverSampler` adds noise to the rows that it repeats."""
    return sampler.shrinkage is not None and sampler.shrinkage != 0
