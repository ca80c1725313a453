"""The same for PostgreSQL, with the same numbers. `store/postgres/schema.sql` is where they all lead."""
