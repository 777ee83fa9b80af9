"""What a row is, and how rows are fetched by their numbers."""
