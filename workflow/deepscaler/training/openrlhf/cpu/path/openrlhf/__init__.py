"""Found before the installed openrlhf on PYTHONPATH: finds all submodules in it, and applies the overlay.

Upstream's own `__init__.py` is empty. Because this is a package of the same name, the overlay is applied in the driver,
in every Ray actor and in vLLM's worker processes, without a hook in any of them.
"""

from pkgutil import extend_path

__path__ = [folder for folder in extend_path(__path__, __name__) if folder not in __path__]

from deepscaler.training.openrlhf import cpu

cpu.apply()
