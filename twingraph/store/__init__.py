"""Durable records in SQL and blobs by content. Knows nothing of what the records decide."""
