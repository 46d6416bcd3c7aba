"""The arrays everything computes with."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Numbers."""

Index = NDArray[np.int64]
"""Places in other arrays."""
