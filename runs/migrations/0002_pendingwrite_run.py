from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def forget(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Whose they were is not known; without them the tasks of the present supersteps run again."""
    apps.get_model("runs", "PendingWrite").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(forget, migrations.RunPython.noop, elidable=True),
        migrations.AddField(
            model_name="pendingwrite",
            name="run",
            field=models.ForeignKey(
                on_delete=models.CASCADE, related_name="pending_writes", to="runs.run"
            ),
        ),
    ]
