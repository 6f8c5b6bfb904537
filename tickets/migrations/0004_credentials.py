import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from tickets.sessions import digest_of


def as_they_are(apps, schema_editor):
    """Nobody is signed out by this: whoever stands now proved themselves with the password there is."""
    sessions = apps.get_model("tickets", "LoginSession").objects.filter(ended_at=None).select_related("user")
    batch = []
    for session in sessions.iterator(chunk_size=1000):
        session.password_digest = digest_of(session.user.password)
        batch.append(session)
        if len(batch) == 1000:
            sessions.model.objects.bulk_update(batch, ["password_digest"])
            batch = []
    if batch:
        sessions.model.objects.bulk_update(batch, ["password_digest"])


class Migration(migrations.Migration):
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL), ("tickets", "0003_own_sessions")]

    operations = [
        migrations.AddField(
            "loginsession",
            "password_digest",
            models.CharField(blank=True, db_default="", editable=False, max_length=64),
        ),
        migrations.AddField("loginsession", "valid_from", models.DateTimeField(blank=True, null=True)),
        migrations.CreateModel(
            "Cutoff",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("issued_before", models.DateTimeField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunPython(as_they_are, migrations.RunPython.noop),
    ]
