"""The plan that combines strategies, and the algebra of the odds behind it."""

from tfimbalance.rebalance.audit import Audit
from tfimbalance.rebalance.plan import Rebalance

__all__ = ["Audit", "Rebalance"]
