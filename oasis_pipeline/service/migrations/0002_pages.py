import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("service", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="WellGroup",
            fields=[
                (
                    "name",
                    models.CharField(
                        db_column="GroupName",
                        help_text="A route, a battery, a foreman: whatever wells are looked at by.",
                        max_length=100,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
            options={
                "verbose_name": "group of wells",
                "verbose_name_plural": "groups of wells",
                "db_table": '"analysis"."well_group"',
                "ordering": ["name"],
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Note",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "node",
                    models.CharField(
                        db_index=True,
                        help_text="In lower case, as in xspoc.node: its spelling may change.",
                        max_length=200,
                        verbose_name="well",
                    ),
                ),
                ("text", models.TextField(max_length=4000)),
                ("written_by", models.CharField(editable=False, max_length=150)),
                ("written_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"ordering": ["-written_at"]},
        ),
        migrations.CreateModel(
            name="Preference",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("page", models.CharField(max_length=30)),
                ("chosen", models.CharField(max_length=2000)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="preferences",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="preference",
            constraint=models.UniqueConstraint(fields=("user", "page"), name="preference_of_page"),
        ),
    ]
