from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from runs import (  # noqa: F401  the checks register themselves
            checks,
            deletions,
            folding,
            forking,
            guard,
            idle,
            jobs,
            private_files,
            workflows,
        )

        jobs.connect()
        idle.connect()
        folding.connect()
        forking.remember_databases()
        deletions.connect()
        guard.connect()
        workflows.autodiscover()
