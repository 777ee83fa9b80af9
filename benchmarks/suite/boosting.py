"""Gradient boosting, for orientation."""

from __future__ import annotations

import numpy as np
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from splits import Split
from training import Predicted


def boosted(parts: Split, seed: int) -> Predicted:
    """Return the logits of held-out rows; there are no checkpoints but the last."""
    model = HistGradientBoostingClassifier(max_iter=200, early_stopping=True, random_state=seed)
    model.fit(*parts.train)
    held = (model.predict_proba(x)[:, 1] for x, _ in (parts.valid, parts.test))
    return Predicted(*(logit(np.clip(p, 1e-12, 1 - 1e-12))[None] for p in held))
