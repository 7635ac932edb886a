"""Anomaly detection with spaced matrix product operators."""
