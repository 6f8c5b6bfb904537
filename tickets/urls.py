from django.urls import path

from tickets import views

urlpatterns = [
    path("tickets/", views.TicketView.as_view(), name="tickets"),
    path("token/", views.TokenView.as_view(), name="token"),
    path("token/refresh/", views.TokenRefreshView.as_view(), name="token-refresh"),
    path("token/revoke/", views.TokenRevokeView.as_view(), name="token-revoke"),
]
