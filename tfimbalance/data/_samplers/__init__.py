"""Samplers of imbalanced-learn and neighbours: rows that are drawn or made."""
