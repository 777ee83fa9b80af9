"""Rows that pass by once."""
