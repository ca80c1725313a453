"""The store on SQLite: one file that many processes of one machine share."""
