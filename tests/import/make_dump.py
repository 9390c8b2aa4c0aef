"""A Django app with users, notifications and presence, in one file: fills a database and prints its dumpdata.

    python make_dump.py NOTIFICATIONS [dumpdata options, e.g. --indent 2 or --format jsonl]
"""

import datetime
import importlib.machinery
import sys
import types

import django
from django.conf import settings

# The app, without files of its own.
for name in ["inbox", "inbox.models"]:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
sys.modules["inbox"].__path__ = ["/nonexistent"]

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "inbox"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, models  # noqa: E402


class Notification(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    title = models.CharField(max_length=200)
    message = models.TextField()
    level = models.CharField(max_length=20, default="info")
    is_read = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    data = models.JSONField(null=True)

    class Meta:
        app_label = "inbox"


class UserPresence(models.Model):
    user = models.OneToOneField(User, on_delete=models.CASCADE)
    is_online = models.BooleanField(default=False)
    last_seen = models.DateTimeField(null=True)
    last_activity = models.DateTimeField(null=True)

    class Meta:
        app_label = "inbox"


def fill(count):
    with connection.schema_editor() as editor:
        for model in [
            django.contrib.contenttypes.models.ContentType,
            django.contrib.auth.models.Permission,
            django.contrib.auth.models.Group,
            User,
            Notification,
            UserPresence,
        ]:
            editor.create_model(model)
    django.contrib.auth.models.Group.objects.create(name="editors")
    start = datetime.datetime(2024, 3, 1, 9, 0, 0, 250, tzinfo=datetime.timezone.utc)
    people = [("alice", "Alice", "Ärlig", True, False), ("bob", "Bob", "", True, False), ("root", "", "", True, True)]
    people.append(("gone", "", "", False, False))
    users = []
    for name, first, last, active, staff in people:
        user = User(username=name, first_name=first, last_name=last, is_active=active, is_staff=staff)
        user.email, user.password, user.date_joined = f"{name}@example.org", "!", start
        user.save()
        users.append(user)
        UserPresence.objects.create(user=user, is_online=name == "alice", last_seen=start, last_activity=start)
    levels = ["info", "success", "warning", "error"]
    rows = (
        Notification(
            user=users[n % 2],
            title=f"Order {n} “shipped” 🎉",
            message="It arrives tomorrow.",
            level=levels[n % 4],
            is_read=n % 3 == 0,
            created_at=start + datetime.timedelta(seconds=n),
            data=None if n % 5 == 0 else {"order": n, "price": "12.50", "tags": ["a", None]},
        )
        for n in range(count)
    )
    Notification.objects.bulk_create(rows, batch_size=100)


fill(int(sys.argv[1]))
call_command("dumpdata", *sys.argv[2:])
