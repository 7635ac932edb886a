"""What the two sides of a bond, or two blocks of features, have to know of each other."""

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sktn.chains.members import single
from sktn.density.estimator import MPSDensityEstimator
from sktn.inspection.reading import read_model
from sktn.networks import chain as chains
from sktn.networks import entanglement
from sktn.tables.features import feature_indices


def bond_entropy(model: Any) -> Bunch:
    """Entanglement entropy of every bond: how much the two sides of the chain tell each other.

    The weight tensor is taken in the orthonormal basis and divided by its norm; the entropy is that
    of its squared singular values across the bond, in nats. A bond of dimension D has at most
    log D, and a bond with 0 can be cut.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or MPSDensityEstimator
        Fitted, with a single network; alone, at the end of a pipeline or chosen by a search.

    Returns
    -------
    entropies : :class:`~sklearn.utils.Bunch`
        entropy : ndarray of shape (n_bonds,)
            From the left end (0) to the right end. The class index of a classifier counts as a
            site, named "output".
        bond_dims : ndarray of shape (n_bonds,)
            Number of singular values that are not rounding errors.
        spectra : list of ndarray
            Singular values.
        site_names : list of str
            The n_bonds - 1 sites along the chain.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import bond_entropy
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + X[:, 1])
    >>> bond_entropy(model).site_names
    ['x0', 'output', 'x1']
    """
    reading = read_model(model)
    cores, readout, p, order = _state(reading)
    entropies, spectra = entanglement.bond_entropies(cores, readout, p)
    sites = [str(reading.names[j]) for j in order]
    if isinstance(reading.model, MPSDensityEstimator):
        # A density has no output: its readout closes the chain.
        entropies, spectra = entropies[:-1], spectra[:-1]
    else:
        sites.insert(p, "output")
    bond_dims = np.array([int(np.sum(s > 1e-6 * max(s.max(), 1e-300))) for s in spectra])
    return Bunch(entropy=entropies, bond_dims=bond_dims, spectra=spectra, site_names=sites)


def mutual_information(model: Any, first: Any, second: Any) -> Any:
    """Quantum mutual information between two blocks of features, I = S(A) + S(B) - S(AB).

    S is the von Neumann entropy of a block's reduced density matrix in the state of
    :func:`bond_entropy`. I is 0 if and only if that matrix is a product, whatever the order of the
    columns, and large when what the model makes of one block depends on the other. It is a
    property of the model, not of the data: a score that ignores a block has I = 0 with it, and so
    has a product of functions of single columns, whose parts need nothing of each other. (For sums
    see :func:`variance_shares`, which tells sums from interactions; entropies do not.)

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or MPSDensityEstimator
        Fitted, with a single network; alone, at the end of a pipeline or chosen by a search.
    first, second : int, str or list of them
        Disjoint blocks.

    Returns
    -------
    information : float
        In nats.

    References
    ----------
    .. [1] Rissler, Noack and White, "Measuring orbital interaction using quantum information
       theory", Chemical Physics, 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import mutual_information
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + X[:, 1])
    >>> mutual_information(model, 0, 1) > mutual_information(model, 0, 2)
    True
    """
    reading = read_model(model)
    cores, readout, p, order = _state(reading)
    blocks = [feature_indices(block, reading.names) for block in (first, second)]
    if set(blocks[0]) & set(blocks[1]):
        raise ValueError(f"The blocks must be disjoint, got {first!r} and {second!r}.")
    places = [np.flatnonzero(np.isin(order, block)) for block in blocks]
    if not len(places[0]) or not len(places[1]):
        return 0.0  # constant columns
    return float(entanglement.mutual_information(cores, readout, p, *places))


def _state(reading):
    """Cores in the orthonormal basis, readout, output site, explained column at each place."""
    model = reading.model
    if isinstance(model, MPSDensityEstimator):
        cores = model.cores_.astype(np.float64)
        end = np.zeros((cores.shape[1], 1, cores.shape[1]))
        end[0, 0, 0] = 1
        return cores, end, len(cores), reading.place(model.order_)
    member = single(model)
    cores, readout, p, order = member.open()
    cores = chains.change_basis(cores, member.whitening(order))
    return cores, readout, p, reading.place(member.column_order(order))
