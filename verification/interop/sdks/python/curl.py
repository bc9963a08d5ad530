"""curl, with what is secret in a configuration that it reads from stdin. It keeps no token."""

import json
import os
import subprocess

from asking import AUDIENCE, CLIENT_ID, CLIENT_SECRET, TOKEN_URL, Failed, answer

CONFIGURATION = f"""\
url = "{TOKEN_URL}"
user = "{CLIENT_ID}:{CLIENT_SECRET}"
data = "grant_type=client_credentials"
data-urlencode = "audience={AUDIENCE}"
cacert = "{os.environ["SDK_CA_FILE"]}"
silent
show-error
fail-with-body
max-time = 10
"""


def token() -> str:
    """With --fail-with-body it says the status on stderr and the error on stdout."""
    done = subprocess.run(["curl", "--config", "-"], input=CONFIGURATION, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{done.stderr.strip()} {done.stdout.strip()}")
    return json.loads(done.stdout)["access_token"]


answer(token)
