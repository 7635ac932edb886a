"""What features do together to the score of a row, beyond what fewer of them do."""

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sktn.annotations import Data
from sktn.chains.members import in_unit_scale, in_units, networks_of, output_names
from sktn.inspection.background import averaged
from sktn.inspection.reading import read_model
from sktn.networks import interactions as kernel
from sktn.networks import tree_interactions
from sktn.networks.readings import kernels_of
from sktn.networks.tree import TTN
from sktn.tables.features import feature_indices

# Numbers that the answer may hold (1 GB).
_LARGEST = 2**27
# Groups that may be open at one bond of a chain, or meet at one node of a tree: each doubles it, a
# matrix in both directions.
_LARGEST_OPEN, _LARGEST_MEETING = 5, 10


@dataclass(frozen=True, eq=False)
class Interactions:
    """What :func:`interactions` returns.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_subsets) or (n_samples, n_subsets, n_outputs)
        What each set of players moved the score.
    subsets : list of tuple of int
        The sets of players, by size.
    base_values : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The score averaged over the background.
    data : ndarray of shape (n_samples, n_features)
        The rows explained.
    player_names, output_names : ndarray of str
        A player is a feature or a group of them.
    index : str
        The index that was asked for.
    """

    values: np.ndarray
    subsets: list
    base_values: np.ndarray
    data: np.ndarray
    player_names: np.ndarray
    output_names: np.ndarray
    index: str

    def of(self, *players):
        """The values of one set of players, by their names or numbers.

        Parameters
        ----------
        *players : int or str

        Returns
        -------
        values : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        wanted = tuple(sorted(feature_indices(list(players), self.player_names).tolist()))
        if wanted not in self.subsets:
            raise ValueError(
                f"No values for {players!r}: interactions were computed for at most "
                f"{len(self.subsets[-1])} players. Pass a larger order."
            )
        return self.values[:, self.subsets.index(wanted)]

    def matrix(self):
        """Values of all pairs as symmetric matrices, those of single players on the diagonal.

        Returns
        -------
        matrix : ndarray of shape (n_samples, n_players, n_players) or \
(n_samples, n_players, n_players, n_outputs)
        """
        n = len(self.player_names)
        out = np.zeros((len(self.values), n, n, *self.values.shape[2:]))
        for k, subset in enumerate(self.subsets):
            if len(subset) <= 2:
                i, j = subset[0], subset[-1]
                out[:, i, j] = out[:, j, i] = self.values[:, k]
        return out


def interactions(
    model: Any,
    X: Data,
    *,
    order: int = 2,
    index: str = "shapley",
    groups: Any = None,
    background: ArrayLike | None = None,
) -> Interactions:
    """Exact interactions of all sets of up to `order` features, for every row and score.

    The value of a coalition is the score with its features as they are in the row and the others
    averaged, as for :func:`shapley_values`. No coalition is sampled.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor, one of their CV versions, TTNClassifier or TTNRegressor
        Fitted, alone, at the end of a pipeline or chosen by a search.
    X : array-like or data frame of shape (n_samples, n_features)
        The rows to explain.
    order : int, default=2
        Largest sets.
    index : {"shapley", "shapley-taylor", "faithful", "banzhaf"}, default="shapley"
        "shapley": the Shapley interaction index [1]_: the mean of the joint effect over all orders
        in which the set can join, the set as one. "shapley-taylor" [2]_ and "faithful" [3]_: their
        values of all sets add up to the score less its average; below `order` the first takes
        effects against the background alone, the second is the best approximation by sets of at
        most `order`. "banzhaf": the mean of the joint effect over all coalitions.
    groups : dict or list of lists, default=None
        Features that are present or absent together, by names or numbers; those not mentioned stay
        alone. The keys of a dict name the groups. The columns of a group should be near each other
        along the chain (`feature_order`) or in the tree (`topology`): groups that interleave cost a
        factor of two each.
    background : array-like or data frame of shape (n_background, n_features), default=None
        As in :func:`shapley_values`.

    Returns
    -------
    interactions : Interactions

    See Also
    --------
    variance_shares : Interactions of the whole model, as shares of its variance.

    References
    ----------
    .. [1] Grabisch and Roubens, "An axiomatic approach to the concept of interaction among players
       in cooperative games", International Journal of Game Theory, 1999.
    .. [2] Dhamdhere, Agarwal and Sundararajan, "The Shapley Taylor interaction index", ICML 2020.
    .. [3] Tsai, Yeh and Ravikumar, "Faith-Shap: the faithful Shapley interaction index", Journal of
       Machine Learning Research, 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import interactions
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + 3 * X[:, 1] * X[:, 2])
    >>> found = interactions(model, X[:5], index="faithful")
    >>> found.subsets
    [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    >>> bool(np.allclose(found.of("x1", "x2"), 3 * X[:5, 1] * X[:5, 2], atol=0.3))
    True
    """
    if index not in kernel.INDICES:
        raise ValueError(
            f"index must be one of {', '.join(map(repr, kernel.INDICES))}, got {index!r}."
        )
    reading = read_model(model, trees=True)
    members, unit = in_unit_scale(networks_of(reading.model))
    player_features, player_names = players(groups, reading.names)
    n = len(player_names)
    if not 1 <= order <= n:
        raise ValueError(f"order must be at least 1 and at most {n}, the players; got {order!r}.")
    rows = reading.rows(X)
    table = reading.table(rows)
    absent = None if background is None else reading.table(reading.rows(background))
    n_outputs = len(members[0].scale)
    n_subsets = sum(comb(n, s) for s in range(1, order + 1))
    if n_subsets * len(table) * n_outputs > _LARGEST:
        raise ValueError(
            f"{n_subsets} sets of players for {len(table)} rows do not fit into memory: use a "
            "smaller order, groups of features, or fewer rows."
        )
    subsets = [s for size in range(1, order + 1) for s in combinations(range(n), size)]
    where = {subset: k for k, subset in enumerate(subsets)}
    values = np.zeros((len(table), n_subsets, n_outputs))
    base, offset = np.zeros(n_outputs), np.zeros(n_outputs)
    for member in members:
        outputs, site_order, mean = member.outputs()
        phi = member.site_vectors(table)[:, site_order]
        vectors = mean[None] if absent is None else member.site_vectors(absent)[:, site_order]
        place = reading.place(member.column_order(site_order))
        for c, chain in enumerate(outputs):
            found, own = _of_chain(chain, vectors, phi, (place, player_features), (index, order))
            values[:, [where[subset] for subset in found], c] += member.weight * own
            base[c] += member.weight * kernels_of(chain).evaluate(chain, vectors).mean()
            offset[c] += member.weight * member.offset[c]
    values, base = in_units(values, unit), in_units(base, unit, offset)
    base = np.broadcast_to(base, (len(table), n_outputs)).copy()
    single = n_outputs == 1
    return Interactions(
        values[..., 0] if single else values,
        subsets,
        base[:, 0] if single else base,
        reading.shown(rows),
        player_names,
        output_names(reading.model),
        index,
    )


def players(groups, names):
    """Groups and the features left alone. -> list of arrays of features, names (n_players,)"""
    named = {} if groups is None else groups
    if not hasattr(named, "items"):
        lists = [feature_indices(features, names) for features in named]
        named = {" + ".join(map(str, names[list(f)])): f for f in lists}
    found = {str(name): feature_indices(features, names) for name, features in named.items()}
    for name, features in found.items():
        if not len(features):
            raise ValueError(f"The group {name!r} has no features.")
    taken = np.concatenate([np.zeros(0, dtype=int), *found.values()])
    if len(set(taken.tolist())) < len(taken):
        raise ValueError(f"A feature may be in one group only, got {groups!r}.")
    alone = {str(names[j]): np.array([j]) for j in range(len(names)) if j not in taken}
    for name in found.keys() & alone.keys():
        raise ValueError(f"The group {name!r} has the name of a feature outside it: rename it.")
    # In the order of their first features.
    both = sorted([*found.items(), *alone.items()], key=lambda item: item[1].min())
    return [features for _, features in both], np.array([name for name, _ in both], dtype=object)


def _of_chain(chain, vectors, phi, places, asked):
    """Subsets of players that have sites, and their values (b, n_subsets).

    chain (n, D, d, D) or TTN, vectors (k, n, d), phi (b, n, d)
    """
    (place, player_features), (index, order) = places, asked
    sites = [np.flatnonzero(np.isin(place, features)).tolist() for features in player_features]
    # A player without a site adds nothing to any coalition, and no index changes without it.
    active = [g for g, own in enumerate(sites) if own]
    order = min(order, len(active))
    rule = kernel.quadrature(index, len(active), order)
    groups = [sites[g] for g in active]
    if isinstance(chain, TTN):
        return _of_tree(chain, vectors, phi, (active, groups), rule)
    n_open = kernel.open_groups(groups)
    if n_open > _LARGEST_OPEN:
        raise ValueError(
            f"The columns of {n_open} groups lie between each other along the chain, which takes "
            f"2^{n_open} times the bond dimension: fit the model with a feature_order that lists "
            "the columns of one group after those of another."
        )
    width = len(chain[0]) * 2**n_open
    subsets = []

    def explain(absent, rows):
        size = kernel.block_rows(len(groups), width, len(rule.nodes), order)
        parts = []
        for start in range(0, len(rows), size):
            block = slice(start, start + size)
            without = absent if absent.ndim == 2 else absent[block]
            matrices, numbers = kernel.players(chain, without, rows[block], groups)
            found, values = kernel.interactions(matrices, rule)
            subsets[:] = [
                tuple(sorted(active[numbers[j]] for j in subset))
                for sets in found
                for subset in sets
            ]
            parts.append(np.concatenate(values, axis=1))
        return np.concatenate(parts)

    values = averaged(explain, vectors, phi)
    return list(subsets), values


def _of_tree(tree, vectors, phi, players, rule):
    """The same of a tree, players: their numbers and the sites of each."""
    active, groups = players
    n_states = tree_interactions.most_states(tree.merges, groups)
    if n_states > _LARGEST_MEETING:
        raise ValueError(
            f"The columns of {n_states} groups meet at one node of the tree, which takes "
            f"2^{n_states} times the messages: fit the model with a topology that joins the "
            "columns of a group first, such as ((0, 1), (2, 3))."
        )
    subsets = []

    def explain(absent, rows):
        found, values = tree_interactions.interactions(tree, absent, rows, groups, rule)
        subsets[:] = [tuple(active[g] for g in subset) for sets in found for subset in sets]
        return np.concatenate(values, axis=1)

    values = averaged(explain, vectors, phi)
    return list(subsets), values
