"""The local basis of a categorical column: effects of its levels as a random effect.

The levels' effects u_l are drawn independently, all with one variance (the random effect of a
mixed model: Searle, Casella and McCulloch, "Variance Components", 1992, chapter 3). What the
column then adds to a score is f(l) = u_l - E[u], and the coefficients w = Phi^T P f of components
that are orthonormal under the shares p of the levels, P = diag(p), have the covariance

    Phi^T P (I - 1 p^T)(I - p 1^T) P Phi = Phi^T P^2 Phi.

It is diagonal where Phi = (r, E) / r with r = sqrt(p) and E the eigenvectors of
(I - r r^T) P (I - r r^T). Contrasts between frequent levels are thus free to be large, and rare
levels are shrunk one by one.

What is left to say is how much the column as a whole may vary. As a column of numbers does, 1 in
all, is too little where the level settles what is asked; as L - 1 columns of numbers, as one-hot
encoding says of L levels, is too much where it hardly matters. The sum of the eigenvalues is the
geometric mean of both, sqrt(L - 1); the penalty on interactions counts it as so many columns.
"""

import numpy as np

# Levels that a column tells apart, the most frequent; the others share a vector. A site of so many
# components costs as much as a chain of as many numbers.
MAX_LEVELS = 64


def level_components(mass):
    """Vectors of the levels of a column.

    Component 0 is the constant 1, the others are orthonormal to it under the shares, in the order
    of their prior variances.

    mass (L,) weights of the levels, the most frequent first
    -> table (L, d), variances (d,), of which those behind the constant sum to sqrt(d - 1)
    """
    total = mass.sum()
    if total == 0:
        return np.ones((len(mass), 1)), np.ones(1)
    group = np.minimum(np.arange(len(mass)), MAX_LEVELS)
    share = np.bincount(group, weights=mass) / total
    known = np.flatnonzero(share > 0)
    root = np.sqrt(share[known])
    # The covariance in coordinates sqrt(p) f, without the constant r.
    rest = np.eye(len(known)) - np.outer(root, root)
    variances, vectors = np.linalg.eigh(rest * share[known] @ rest)
    largest = np.argsort(-variances, kind="stable")[: len(known) - 1]
    # An eigenvector has no sign: the most frequent level that it moves goes up.
    vectors = vectors[:, largest]
    first = np.argmax(np.abs(vectors) > 1e-8, axis=0)
    vectors = vectors * np.sign(np.take_along_axis(vectors, first[None], axis=0))
    components = np.zeros((len(share), len(known)))
    components[:, 0] = 1.0
    components[known, 1:] = vectors / root[:, None]
    variances = variances[largest]
    total = np.sqrt(len(variances))
    return components[group], np.append(1.0, variances * (total / max(variances.sum(), 1e-300)))
