from csp.decorators import csp_update
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.decorators.cache import never_cache
from django.views.defaults import page_not_found
from django.views.generic import RedirectView
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from tickets.forms import SignInForm, StaffSignInForm

admin.site.site_header = admin.site.site_title = "Usher"
admin.site.login_form = StaffSignInForm
admin.site.index_title = "Tickets, connections, notifications"

# Its icons are data: images in its own style sheet; pictures cannot do anything.
api_docs = csp_update({"img-src": ["data:"]})(
    SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="api_docs.html")
)

# In the language of whoever asked, so not for a cache to keep.
handler404 = never_cache(page_not_found)

urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url=static("usher/icon.svg")), name="favicon"),
    path("language/", set_language, name="set_language"),
    path("accounts/login/", LoginView.as_view(authentication_form=SignInForm), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", api_docs, name="docs"),
    path("api/", include("tickets.token_urls")),
    path("", include("notifications.site_urls")),
]
