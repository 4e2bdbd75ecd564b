from django.apps import AppConfig


class FastgraphSiteConfig(AppConfig):
    name = "fastgraph_site"
    default_auto_field = "django.db.models.BigAutoField"
