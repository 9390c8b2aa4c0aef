"""The page, signing in and out, and the webhook."""

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from django.views.generic import TemplateView

from .who import who

page = {"sockets": settings.CARILLON_SOCKETS}

urlpatterns = [
    path("", TemplateView.as_view(template_name="page.html", extra_context=page)),
    path("login/", LoginView.as_view(template_name="login.html")),
    path("logout/", LogoutView.as_view()),
    path("carillon/who/", who),
]
