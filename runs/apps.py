from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from runs import deletions, folding, forking, guard, jobs, workflows
        from runs.db import idle_timeout

        jobs.connect()
        idle_timeout.connect()
        folding.connect()
        forking.remember_databases()
        deletions.connect()
        guard.connect()
        workflows.autodiscover()
