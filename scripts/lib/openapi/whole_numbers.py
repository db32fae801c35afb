"""JSON Schema takes 7.0 for an integer, and schemathesis sends it; no client of ours writes a tenant's number so."""

import schemathesis


def whole(value):
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    case.body = whole(case.body)
