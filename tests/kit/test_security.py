from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.test import RequestFactory

from verel_site.kit.security import content_security_policy


def get(path: str, response: HttpResponse | None = None) -> HttpResponseBase:
    def view(request: HttpRequest) -> HttpResponse:
        return response or HttpResponse("x")

    answered = content_security_policy(view)(RequestFactory().get(path))
    assert isinstance(answered, HttpResponseBase)
    return answered


def test_every_page_has_the_strict_policy() -> None:
    response = get("/projects/")
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "camera=()" in response["Permissions-Policy"]


def test_the_api_browser_may_style_but_never_script_inline() -> None:
    policy = get("/api/docs/")["Content-Security-Policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self';" in policy


def test_a_policy_set_by_the_view_is_kept() -> None:
    response = HttpResponse("x", headers={"Content-Security-Policy": "sandbox"})
    assert get("/payload/", response)["Content-Security-Policy"] == "sandbox"


async def test_it_works_on_an_asynchronous_server() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("x")

    middleware = content_security_policy(view)
    response = await middleware(RequestFactory().get("/"))  # type: ignore[misc]
    assert "default-src 'none'" in response["Content-Security-Policy"]
