from django.urls import path

from . import views

urlpatterns = [
    path("", views.inbox, name="inbox"),
    path("mark/", views.mark, name="inbox-mark"),
]
