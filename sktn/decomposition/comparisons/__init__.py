"""The structure searches of others, to be compared with."""
