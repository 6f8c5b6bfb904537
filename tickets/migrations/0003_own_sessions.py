from django.db import migrations, models
from django.db.models.functions import Now
from django.utils import timezone


def seen_when_they_began(apps, schema_editor):
    apps.get_model("tickets", "LoginSession").objects.update(seen_at=models.F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("tickets", "0002_staff")]

    # With defaults in the database: processes of the release before this one still sign people in.
    operations = [
        migrations.AddField("loginsession", "device", models.CharField(blank=True, db_default="", max_length=200)),
        migrations.AddField("loginsession", "network", models.CharField(blank=True, db_default="", max_length=64)),
        migrations.AddField(
            "loginsession",
            "seen_at",
            models.DateTimeField(db_default=Now(), default=timezone.now, verbose_name="last seen"),
        ),
        migrations.RunPython(seen_when_they_began, migrations.RunPython.noop),
    ]
