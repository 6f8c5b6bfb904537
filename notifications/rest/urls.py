from django.urls import path

from . import preferences, sessions, topics, views

urlpatterns = [
    path("notifications/", views.NotificationsView.as_view(), name="notifications"),
    path("notifications/state/", views.StateView.as_view(), name="notifications-state"),
    path("preferences/", preferences.PreferencesView.as_view(), name="preferences-api"),
    path("topics/<str:topic>/", topics.TopicView.as_view(), name="topic"),
    path("sessions/", sessions.SessionsView.as_view(), name="sessions"),
    path("sessions/end-others/", sessions.EndOthersView.as_view(), name="sessions-end-others"),
    path("sessions/<uuid:session_id>/", sessions.SessionView.as_view(), name="session"),
]
