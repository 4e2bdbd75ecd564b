"""The worker cluster: django-q2's, made to survive `kill -9` of any of its processes.

`main.py` is the parent's side, `sentinel.py` the process that starts and replaces the others;
`queues.py` and `timers.py` are what they share, none of it with a lock that could be taken along.
"""

from runs.cluster.main import Cluster

__all__ = ["Cluster"]
