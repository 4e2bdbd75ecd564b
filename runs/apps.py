from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from runs import checks, deletions, folding, forking, guard, jobs, private_files, workflows  # noqa: F401  the checks register themselves
        from runs.db import idle_timeout

        jobs.connect()
        idle_timeout.connect()
        folding.connect()
        forking.remember_databases()
        deletions.connect()
        guard.connect()
        workflows.autodiscover()
