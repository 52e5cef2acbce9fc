"""The same networks and training by MegEngine 1.13, in an environment of its own: CPython 3.10, `make megengine`.

Nothing here, nor what is imported from here, needs torch, or Python and NumPy of the main package's age.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    import tomli

    sys.modules.setdefault("tomllib", tomli)  # the name under which Python 3.11 took it over
