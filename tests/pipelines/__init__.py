"""Small pipelines that must give what the plain program would give, however they are run."""
