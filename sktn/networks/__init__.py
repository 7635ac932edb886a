"""Pure functions on the arrays of a tensor network; nothing here knows scikit-learn."""
