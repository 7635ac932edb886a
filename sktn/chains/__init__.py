"""Matrix product state models for tables."""
