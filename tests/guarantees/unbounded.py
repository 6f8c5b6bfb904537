"""The project's application without the line in front of Django, to show that the checkers notice."""

from project.asgi import application, http

application.application_mapping["http"] = http
