"""The auth webhook: Carillon sends the cookies of a handshake, and is told whose they are."""

from django.conf import settings
from django.http import JsonResponse


def who(request):
    user = request.user
    if not user.is_authenticated:
        # Not a redirect to a login page: 401 or 403 is the answer "nobody".
        return JsonResponse({"detail": "sign in"}, status=401)
    names = {name: getattr(user, name) for name in ("username", "first_name", "last_name", "is_staff")}
    return JsonResponse({"user_id": user.pk, **names, "expires_in": settings.CARILLON_EXPIRES_IN})
