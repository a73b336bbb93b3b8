"""The names that the shell links to, without the apps behind them."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse("")


urlpatterns = [
    path("", answer, name="home"),
    path("login/", answer, name="login"),
    path("logout/", answer, name="logout"),
    path("password/", answer, name="password"),
    path("jump/", answer, name="jump"),
    path("account/", answer, name="account"),
]
