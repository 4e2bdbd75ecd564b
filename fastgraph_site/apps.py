from django.apps import AppConfig


class FastgraphSiteConfig(AppConfig):
    name = "fastgraph_site"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from fastgraph_site import checks  # noqa: F401  the checks register themselves
