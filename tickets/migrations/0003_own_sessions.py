from django.db import migrations, models
from django.utils import timezone


def seen_when_they_began(apps, schema_editor):
    apps.get_model("tickets", "LoginSession").objects.filter(seen_at=None).update(seen_at=models.F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("tickets", "0002_staff")]

    operations = [
        migrations.AddField("loginsession", "device", models.CharField(blank=True, default="", max_length=200), False),
        migrations.AddField("loginsession", "network", models.CharField(blank=True, default="", max_length=64), False),
        migrations.AddField("loginsession", "seen_at", models.DateTimeField(null=True, verbose_name="last seen")),
        migrations.RunPython(seen_when_they_began, migrations.RunPython.noop),
        migrations.AlterField(
            "loginsession", "seen_at", models.DateTimeField(default=timezone.now, verbose_name="last seen")
        ),
    ]
