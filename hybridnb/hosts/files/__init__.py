"""Files that move with jobs: inputs to a host, outputs home; only what differs, resumed after a cut, whole under its name or not there.

Empty folders do not move, nor what absolute patterns name: that lies on each host by itself.
"""

from .fetching import fetch
from .manifest import Entry, local_manifest
from .sending import send

__all__ = ["Entry", "fetch", "local_manifest", "send"]
