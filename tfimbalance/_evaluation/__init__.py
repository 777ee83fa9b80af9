"""Labels beside predictions, and what a model says of its rows."""
