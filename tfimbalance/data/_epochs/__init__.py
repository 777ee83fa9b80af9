"""Batches by number, as datasets whose epochs continue one another."""
