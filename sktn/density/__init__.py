"""Joint densities of the columns of a table."""
