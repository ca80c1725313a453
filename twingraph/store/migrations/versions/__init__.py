"""One module per revision, named for what it changes. `store/sqlite/schema.sql` is where they all lead."""
