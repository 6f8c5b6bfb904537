from django.urls import path

from . import views

urlpatterns = [
    path("", views.inbox, name="inbox"),
    path("mark/", views.mark, name="inbox-mark"),
    path("devices/", views.devices, name="devices"),
    path("devices/end/", views.end_device, name="devices-end"),
]
