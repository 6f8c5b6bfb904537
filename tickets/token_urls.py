"""Signing in by name and password, for programs. Not part of `notifications.site_urls`: a site whose sign-in page asks
for more than a password must not get a door that does not.

    path("usher/api/", include("tickets.token_urls"))       # before notifications.site_urls
"""

from django.urls import path

from tickets import views

urlpatterns = [
    path("token/", views.TokenView.as_view(), name="token"),
    path("token/refresh/", views.TokenRefreshView.as_view(), name="token-refresh"),
    path("token/revoke/", views.TokenRevokeView.as_view(), name="token-revoke"),
]
