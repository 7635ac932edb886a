"""Which network: searches over graphs and bond dimensions; nothing here knows scikit-learn."""
