"""A Django project with nothing but django-q2, whose users chain jobs for want of a workflow."""
