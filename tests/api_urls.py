"""The API alone, so that its tests depend on no page."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from branches.api import urls as branches_urls
from memory.api import urls as memory_urls
from verdicts.api import urls as verdicts_urls
from verel_site.access.endpoints import fallback_urlpatterns
from verel_site.inbox import api as inbox_api

api = [
    *branches_urls.urlpatterns,
    *verdicts_urls.urlpatterns,
    *memory_urls.urlpatterns,
    *inbox_api.urlpatterns,
    *fallback_urlpatterns,
]
urlpatterns = [
    path("api/v1/", include(api)),
    path("api/schema/", SpectacularAPIView.as_view()),
]
