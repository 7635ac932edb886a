"""Importances of features where scikit-learn's selectors look for them."""


class FeatureImportances:
    """Estimators that say how much each feature matters to their score."""

    @property
    def feature_importances_(self):
        """Total variance shares, ndarray of shape (n_features,).

        The share of the score's variance in which a feature has a part, alone or with others; more
        than 1 together where features interact. See :func:`sktn.inspection.feature_importances`.
        """
        # Lazy: readings know the estimators, not the other way round.
        from sktn.inspection.variance import feature_importances

        try:
            return feature_importances(self)
        except ValueError as error:
            # What has no importances has no such attribute.
            raise AttributeError(str(error)) from error
