"""Addresses of a project's settings."""

from django.urls import path

from verel_site.administration import views

urlpatterns = [
    path("p/<slug:slug>/members/", views.members, name="members"),
    path("p/<slug:slug>/members/<int:user>/", views.member, name="member"),
    path("p/<slug:slug>/keys/", views.keys, name="keys"),
    path("keys/<slug:key>/revoke/", views.key_revoke, name="key-revoke"),
    path("p/<slug:slug>/settings/", views.rules, name="rules"),
    path("p/<slug:slug>/audit/", views.audit, name="audit"),
    path("p/<slug:slug>/audit/file.<slug:kind>", views.audit_file, name="audit-file"),
]
