"""Where RabbitMQ asks. No slash at the end: it would be redirected, and a POST is not sent again."""

from django.urls import path

from . import views

urlpatterns = [
    path("user", views.user, name="rabbitmq_user"),
    path("vhost", views.vhost, name="rabbitmq_vhost"),
    path("resource", views.resource, name="rabbitmq_resource"),
    path("topic", views.topic, name="rabbitmq_topic"),
]
