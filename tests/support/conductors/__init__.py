"""Several conductors on one PostgreSQL, killed, put to sleep and cut off, and what must hold after."""
