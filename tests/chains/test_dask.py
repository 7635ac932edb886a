"""A search whose threads are joblib's may run on any of its backends: dask's, for one."""

import time

import joblib
import numpy as np
import pytest

from sktn import MPSClassifierCV

distributed = pytest.importorskip("distributed")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_search_on_a_dask_cluster_finds_what_it_finds_at_home():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    search = MPSClassifierCV(
        bases=[("standard", 1), ("quantile", 3)], max_members=1, n_jobs=2, random_state=0
    )
    here = search.fit(X, y).cv_results_
    # A process of its own: what it is sent must survive the way.
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster), distributed.get_task_stream() as done:
        with joblib.parallel_backend("dask"):
            there = search.fit(X, y).cv_results_
        time.sleep(0.5)  # until the last tasks are told of
    assert done.data
    assert here.keys() == there.keys()
    for name in here:
        np.testing.assert_array_equal(here[name], there[name])
