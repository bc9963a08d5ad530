"""A site of Django in one file: `django_site.py runserver`, or django_site:application for a WSGI server."""

# It runs in an environment of its own, with packages that this one lacks:
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from service import answer


def token(request: HttpRequest) -> HttpResponse:
    """One line of JSON."""
    return HttpResponse(answer(), content_type="application/json")


urlpatterns = [path("", token)]
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="only-for-this-run", ALLOWED_HOSTS=["127.0.0.1"])
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
