"""The worker cluster: django-q2's, made to survive `kill -9` of any of its processes."""
