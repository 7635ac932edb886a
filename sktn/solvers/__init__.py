"""How the parameters of a network move; nothing here knows scikit-learn."""
