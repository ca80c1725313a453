"""The store on PostgreSQL, for conductors on several machines. The only room that imports `psycopg`."""
