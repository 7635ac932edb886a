"""Importances of features where scikit-learn's selectors look for them."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sktn.chains.members import in_unit_scale, networks_of
from sktn.networks.readings import kernels_of


class FeatureImportances:
    """Estimators that say how much each feature matters to their score."""

    @property
    def feature_importances_(self):
        """Total variance shares, ndarray of shape (n_features,).

        The share of the score's variance in which a feature has a part, alone or with others; more
        than 1 together where features interact. See :func:`sktn.inspection.feature_importances`.
        """
        try:
            return total_shares(self)
        except ValueError as error:
            # What has no importances has no such attribute.
            raise AttributeError(str(error)) from error


def total_shares(model):
    """The weighted mean over the networks of the total variance shares of all columns: (n,)"""
    check_is_fitted(model)
    found = np.zeros(model.n_features_in_)
    members, _ = in_unit_scale(networks_of(model))
    for member in members:
        chains, order, _ = member.outputs()
        matrices = member.whitening(order)
        kernels = kernels_of(chains[0])
        chains = [kernels.change_basis(chain, matrices) for chain in chains]
        variances = [kernels.total_variances(chain) for chain in chains]
        whole = sum(variance for variance, _ in variances)
        involving = sum(part for _, part in variances)
        column = member.column_order(order)
        found[column] += member.weight * involving / (whole if whole > 0 else 1.0)
    return found
