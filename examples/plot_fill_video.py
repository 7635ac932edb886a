"""
Fill a video of which a fifth is seen
=====================================

A bright spot moves over a still pattern; 80 % of the entries are missing. The imputer grows a
network on the observed entries, coarse scales first, and stops by entries that it held out.
"""

import matplotlib.pyplot as plt
import numpy as np

from sktn import RGTNImputer

y, x, t = np.meshgrid(*(np.linspace(0, 1, n) for n in (32, 36, 20)), indexing="ij")
video = 0.3 * np.sin(6 * x) * np.cos(5 * y) + np.exp(
    -60 * ((x - 0.2 - 0.6 * t) ** 2 + (y - 0.5) ** 2)
)
missing = np.random.default_rng(0).random(video.shape) < 0.8
observed = np.where(missing, np.nan, video)

imputer = RGTNImputer(random_state=0)
filled = imputer.fit_transform(observed)
error = np.sqrt(np.mean((filled - video)[missing] ** 2))
estimate = float(imputer.validation_error_ * imputer.scale_)
print(f"error on missing entries {error:.4f}, estimated {estimate:.4f}")

fig, axes = plt.subplots(3, 3, figsize=(7, 7))
for column, frame in enumerate((2, 10, 17)):
    for ax, data in zip(axes[:, column], (observed, filled, video), strict=True):
        ax.imshow(data[..., frame], vmin=-0.3, vmax=1.1)
        ax.set(xticks=[], yticks=[])
    axes[0, column].set_title(f"frame {frame}")
for ax, label in zip(axes[:, 0], ("observed", "filled", "true"), strict=True):
    ax.set_ylabel(label)
plt.show()
