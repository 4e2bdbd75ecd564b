from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from runs import checks, deletions, idle, workflows  # noqa: F401  the checks register themselves

        idle.connect()
        deletions.connect()
        workflows.autodiscover()
