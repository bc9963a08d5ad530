"""MSAL: it reads /.well-known/openid-configuration below its authority first. It sends no audience."""

from functools import cache

from asking import CLIENT_ID, CLIENT_SECRET, HOST, Failed, answer
from msal import ConfidentialClientApplication


@cache
def application() -> ConfidentialClientApplication:
    """It reads the metadata when it is made. A failure is not kept."""
    return ConfidentialClientApplication(
        CLIENT_ID, client_credential=CLIENT_SECRET, authority=f"https://{HOST}/t", instance_discovery=False
    )


def token() -> str:
    """MSAL says what went wrong in a dict."""
    got = application().acquire_token_for_client(scopes=["read:orders"])
    if "access_token" not in got:
        raise Failed(f"{got.get('error')}: {got.get('error_description')}")
    return got["access_token"]


answer(token)
