from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from runs import checks, workflows  # noqa: F401  the checks register themselves
        from runs.cluster import jobs
        from runs.db import case_folding, idle_timeout
        from runs.db.guard import connection_guard
        from runs.db.sqlite3 import private_files  # noqa: F401
        from runs.operations import tombstones
        from runs.process import forking

        jobs.connect()
        idle_timeout.connect()
        case_folding.connect()
        forking.remember_databases()
        tombstones.connect()
        connection_guard.connect()
        workflows.autodiscover()
