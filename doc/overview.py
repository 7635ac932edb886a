"""Draws _static/overview.png, the picture of README and landing page: python doc/overview.py"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

from sktn import MPSClassifier, MPSRegressor
from sktn.display import ChainDisplay, VarianceSharesDisplay


def spirals(rng, n=500):
    """Two spirals that wind around each other."""
    turn = np.sqrt(rng.uniform(0.03, 1, n)) * 2.2 * np.pi
    y = rng.integers(0, 2, n)
    X = turn[:, None] * np.column_stack([np.cos(turn + np.pi * y), np.sin(turn + np.pi * y)])
    return X + 0.25 * rng.normal(size=X.shape), y


def main():
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(13, 3.9), width_ratios=[1, 1.25, 1.1], layout="constrained"
    )
    X, y = spirals(np.random.default_rng(0))
    model = MPSClassifier(random_state=0).fit(X, y)
    axis = np.linspace(-8, 8, 200)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    probability = model.predict_proba(grid)[:, 1].reshape(200, 200)
    left.contourf(axis, axis, probability, levels=20, cmap="RdBu", vmin=-0.1, vmax=1.1)
    left.scatter(*X.T, c=y, cmap="RdBu", s=9, edgecolors="white", linewidths=0.4)
    left.set(xticks=[], yticks=[], aspect="equal", title="fit: a probability for every point")

    data = load_diabetes(as_frame=True)
    chain = MPSRegressor(random_state=0).fit(data.data, data.target)
    ChainDisplay.from_estimator(chain, ax=middle)
    middle.set_title("look inside: the chain and its bonds")
    VarianceSharesDisplay.from_estimator(chain, ax=right)
    right.set_title("explain: exact variance shares")
    figure.savefig(Path(__file__).parent / "_static" / "overview.png", dpi=110)


if __name__ == "__main__":
    main()
