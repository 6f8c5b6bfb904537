"""What the admin pages of both rooms share: rows that code makes are read, never edited, and an act on many of them
says first how many and which.

An act is an admin action with a permission of its own. Asked for by GET it is answered 405, without the permission 403.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.auth import get_user_model
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.functional import cached_property

from tickets import audit, shown

BATCH = 500
"""Rows a transaction: ten thousand are not locked at once, and a person waits for one batch at most."""

EXAMPLES = 10
"""Rows that are shown before many are acted on."""


class Why(forms.Form):
    """What staff is asked before an act on many; forms of other acts add to it."""

    required_css_class = "required"  # by which the admin tells what must be filled in

    why = forms.CharField(
        label="Reason", required=False, max_length=200, widget=AdminTextInputWidget, help_text="For the audit log."
    )


Said = Mapping[str, Any]
"""What was filled in, and as `asked` the moment of the question: whoever answers it twice, by a double click, says the
same."""


class Counted(Paginator):
    """Pages of a list that may be very long: what a person could look through is counted, and no more."""

    MOST = 100_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[: self.MOST].count())  # and not what else is worked out for each row


class Before(admin.ListFilter):
    """A filter by a moment that is filled in: rows whose `column` is earlier."""

    title = ""
    column = ""
    template = "admin/before_filter.html"
    parameter_name = "before"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.said = params.pop(self.parameter_name, [""])[-1]

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter_name]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.said:
            return queryset
        # As browsers spell it, in the time zone that the page shows.
        try:
            moment = datetime.fromisoformat(self.said)
            moment = (timezone.make_aware(moment) if timezone.is_naive(moment) else moment).astimezone(UTC)
        except (ValueError, OverflowError):  # the second: at the ends of all time
            raise IncorrectLookupParameters from None
        return queryset.filter(**{f"{self.column}__lt": moment})

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        """One: what is filled in, and what else is in the address."""
        others = [(name, value) for name, values in changelist.filter_params.items() for value in values]
        yield {
            "name": self.parameter_name,
            "value": self.said,
            "others": [(name, value) for name, value in others if name != self.parameter_name],
            "without": changelist.get_query_string(remove=[self.parameter_name]),
        }


class StaffAdmin(admin.ModelAdmin):
    """Rows of people, to look at. `since` is the column that tells when a row came to be."""

    since = "created_at"
    ids: ClassVar[tuple[str, ...]] = ("pk",)
    """Columns that a UUID or a number in the search box may name."""
    networks: ClassVar[tuple[str, ...]] = ()
    """Columns that an address, or a network in CIDR notation, in the search box may name."""

    # A page costs the same whatever the table holds: no count of all rows, no query for each of them.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = Counted
    list_per_page = 100
    list_max_show_all = 100
    list_select_related: ClassVar[tuple[str, ...]] = ("user",)
    raw_id_fields: ClassVar[tuple[str, ...]] = ("user",)
    search_fields = ("user",)  # shows the box; what it finds is decided below
    search_help_text = "A username, or a complete id."

    class Media:
        css = {"all": ["usher/admin.css"]}

    # --- Nobody edits ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only along with the person they belong to: whoever may delete a person is asked for these rows as well."""
        match = request.resolver_match
        ours = f"{self.opts.app_label}_{self.opts.model_name}_"
        return obj is not None and match is not None and not (match.url_name or "").startswith(ours)

    # --- Looking for somebody ---

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By parts of the username, and by complete ids: what an index or the table of people can answer."""
        term = search_term.strip()
        if not term:
            return queryset, False
        model = get_user_model()
        people = model._default_manager.filter(**{f"{model.USERNAME_FIELD}__icontains": term})
        wanted = Q(user__in=people.values("pk"))
        for name in self.ids:
            value = _value_of(self.model, name, term)
            if value is not None:
                wanted |= Q(**{name: value})
        for name in self.networks:
            wanted |= Q(**{f"{name}__in": shown.networks(term)})
        return queryset.filter(wanted), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only by filters, and by columns that are shown, as the pages themselves ask. Django lets every column of the
        table be asked for in the address, which would spell out, letter by letter, those that are not; and in ways that
        a database chokes on."""
        if lookup in {getattr(each, "parameter_name", None) for each in self.get_list_filter(request)}:
            return True
        name, _, how = lookup.partition("__")
        plain = how in ("", "exact", "id__exact", "isnull", "isempty") or name == self.date_hierarchy
        return plain and name in (self.fields or ()) and super().lookup_allowed(lookup, value, request)

    # --- Acting on many ---

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method != "POST" and "action" in request.GET:
            return HttpResponseNotAllowed(["POST"])
        if request.method == "POST":
            self._refuse_what_is_not_theirs(request)
            self._refuse_nonsense(request)
        return super().changelist_view(request, extra_context)

    def _refuse_what_is_not_theirs(self, request: HttpRequest) -> None:
        # Django would answer "no action selected": true, and no word to whoever tries doors.
        allowed = self.get_actions(request) if self.has_view_permission(request) else {}
        for name in request.POST.getlist("action"):
            if name and name not in allowed and name in (self.actions or ()):
                audit.record(audit.STAFF_ACTED, ok=False, action=name, by=request.user.pk)
                raise PermissionDenied

    def _refuse_nonsense(self, request: HttpRequest) -> None:
        pk: Any = self.opts.pk
        try:
            for value in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
                pk.to_python(value)
        except ValidationError:
            raise BadRequest("that is no id of a row") from None

    def act_on(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        act: Callable[[list[Any], datetime, Said], int],
        *,
        action: str,
        verb: str,
        done: str,
        warning: str = "",
        form: type[Why] = Why,
    ) -> HttpResponse | None:
        """Ask, on a page of its own, whether to `verb` these rows; when that is answered, `act` on their keys.

        `act` is given some hundreds of keys at a time, the time and what was filled in on that page, and returns how
        many of them it changed. Rows that came to be after the question are left alone.
        """
        now = timezone.now()
        asked = request.POST.get("confirmed")
        filled = form(request.POST if asked is not None else None)
        if asked is None or not filled.is_valid():
            since = now if asked is None else _moment(asked)
            return self._ask(request, rows, since, filled, action=action, verb=verb, warning=warning)
        said = {**filled.cleaned_data, "asked": _moment(asked)}
        rows = rows.filter(**{f"{self.since}__lte": said["asked"]})
        changed = sum(act(keys, now, said) for keys in batches(rows))
        audit.record(audit.STAFF_ACTED, action=action, by=request.user.pk, count=changed, why=said["why"] or None)
        self.message_user(request, f"{done}: {changed}.", messages.SUCCESS)
        return None

    def _ask(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        now: datetime,
        form: Why,
        *,
        action: str,
        verb: str,
        warning: str,
    ) -> HttpResponse | None:
        count = rows.count()
        if not count:
            self.message_user(request, f"Nothing to {verb.lower()} among the selected.", messages.WARNING)
            return None
        across = request.POST.get("select_across") == "1"
        selected = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
        asked = f"{verb} {count} {self.opts.verbose_name if count == 1 else self.opts.verbose_name_plural}"
        context = {
            **self.admin_site.each_context(request),
            "title": f"{asked}?",
            "asked": asked,
            "opts": self.opts,
            "media": self.media,
            "warning": warning,
            "form": form,
            "count": count,
            "examples": list(rows.select_related("user")[:EXAMPLES]),
            "more": max(0, count - EXAMPLES),
            "action": action,
            # All that match are found again by the filters in the address: their keys would be too many for a form.
            "selected": selected[:1] if across else selected,
            "across": int(across),
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "now": now.isoformat(),
            "back": request.get_full_path(),
        }
        request.current_app = self.admin_site.name  # as all admin views do
        return TemplateResponse(request, "admin/act_on.html", context)


def batches(rows: QuerySet[Any], size: int = BATCH) -> Iterator[list[Any]]:
    """The keys of all rows, `size` at a time, each batch read when it is asked for: what was done with one may take
    its rows out of the queryset."""
    ordered = rows.order_by("pk").values_list("pk", flat=True)
    keys = list(ordered[:size])
    while keys:
        yield keys
        keys = list(ordered.filter(pk__gt=keys[-1])[:size])


def _value_of(model: type[Model], name: str, term: str) -> Any:
    """`term` as a value of a column, or None if it cannot be one."""
    field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    field = getattr(field, "target_field", field)
    if field.get_internal_type() == "UUIDField":
        try:
            return UUID(term)
        except ValueError:
            return None
    if field.get_internal_type() == "CharField":
        return term
    return int(term) if term.isascii() and term.isdigit() and len(term) <= 18 else None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if timezone.is_aware(moment):
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the second: at the ends of all time
        pass
    raise BadRequest("that is no moment")
