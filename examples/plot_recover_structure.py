"""
Recover a planted tensor network
================================

A ring with one chord is contracted to a dense tensor. From the tensor alone, the search finds the
graph and its bond dimensions: ranks of unfoldings are products of the bonds that they cut.
"""

import matplotlib.pyplot as plt
import numpy as np

from sktn import NetworkDisplay, RGTNDecomposer
from sktn.networks import graph

rng = np.random.default_rng(0)
bonds = np.ones((5, 5), dtype=int)
for i, j, r in [(0, 1, 2), (1, 2, 3), (2, 3, 2), (3, 4, 2), (0, 4, 3), (1, 3, 2)]:
    bonds[i, j] = bonds[j, i] = r
tensor = graph.to_dense(graph.random_cores([12, 16, 10, 14, 11], bonds, rng))
tensor += 1e-3 * tensor.std() * rng.normal(size=tensor.shape)

model = RGTNDecomposer(target_error=0.01, random_state=0).fit(tensor)
print(
    f"error {model.reconstruction_error_:.1e}, {100 * model.compression_ratio_:.2f} % of the size"
)

fig, axes = plt.subplots(1, 2, figsize=(9, 4.5))
NetworkDisplay(bonds, tensor.shape).plot(ax=axes[0])
axes[0].set_title("planted")
NetworkDisplay.from_estimator(model, ax=axes[1])
axes[1].set_title("found")
plt.show()
