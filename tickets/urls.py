from django.urls import path

from tickets import views

urlpatterns = [path("tickets/", views.TicketView.as_view(), name="tickets")]
