from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0007_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="durability",
            field=models.CharField(
                choices=[("sync", "Sync"), ("async", "Async"), ("exit", "Exit")],
                default="sync",
                help_text="when steps are kept",
                max_length=5,
            ),
        ),
    ]
