from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0002_connection")]

    operations = [
        # Nullable: a process of the release before writes rows without it while a new one is rolled out.
        migrations.AddField(
            model_name="connection",
            name="kicked_code",
            field=models.PositiveSmallIntegerField(
                blank=True,
                choices=[(4500, "by staff"), (4504, "too many connections")],
                null=True,
                verbose_name="disconnected for",
            ),
        ),
    ]
