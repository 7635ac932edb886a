"""The searches of others, behind the same interface."""
