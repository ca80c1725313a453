"""Leading an older home's database to the schema of today, one Alembic revision at a time."""
