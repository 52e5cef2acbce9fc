"""The same networks and training by MegEngine 1.13, in an environment of its own: CPython 3.10, `make megengine`.

Nothing here, nor what is imported from here, needs torch, or Python and NumPy of the main package's age.
"""

import sys

import numpy as np

if sys.version_info < (3, 11):  # noqa: UP036
    import tomli

    sys.modules.setdefault("tomllib", tomli)  # the name under which Python 3.11 took it over

np.finfo(np.float64)  # measured before MegEngine makes the processor flush subnormal numbers, at which NumPy would warn
