"""The gaps of a table, filled."""
