"""Fourth Ring: telephone reception with manners, on Asterisk.

The package keeps to the rooms of the architecture: ``core`` is pure, ``adapters`` touch the
world, ``bridge`` joins them, and everything else is a service around these.
"""

__version__ = "0.1.0"
