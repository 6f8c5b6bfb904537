from django.urls import path

from . import views

urlpatterns = [
    path("", views.inbox, name="inbox"),
    path("mark/", views.mark, name="inbox-mark"),
    path("preferences/", views.preferences, name="preferences"),
    path("icon/<int:count>.svg", views.icon, name="icon"),
    path("devices/", views.devices, name="devices"),
    path("devices/end/", views.end_device, name="devices-end"),
]
