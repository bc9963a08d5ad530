"""Redis URLs that are wrong and right: the settings and the store must agree about them."""

BAD_URLS = {
    "http://host/": "use one of redis://",
    "the-password": "use one of redis://",
    "the-password://host": "use one of redis://",
    "redis://:the#password@host:1": "percent-encoded",
    "redis://:the?pass=word@host:1": "percent-encoded",
    "redis://:the/password@host:1": "percent-encoded",
    "redis://host:the-password": "percent-encoded",
    "redis://host:70000": "malformed",
    "redis://::1": "malformed",
    "redis://host?socket_timeout=the-password": "not known here (socket_timeout)",
    "redis://host?ssl_ca_certs=/ca.pem": "not known here (ssl_ca_certs); known: db",
    "redis://host/one": "not a number",
    "redis://h1,h2": "more than one host",
    "unix://": "absolute path",
    "unix://relative": "absolute path",
    "redis+sentinel://:the-password@host": "which service",
    "redis+sentinel://:the-password@host/": "which service",
    "redis+sentinel:///mymaster": "malformed",
    "redis+sentinel://h1,,h2/mymaster": "malformed",
    "redis+sentinel://h1/mymaster/x": "not a number",
    "redis+sentinel://h1/mymaster?db=1": "not known here (db)",
    "redis+cluster://": "malformed",
    "redis+cluster://h1,h2/1": "number 0 only",
    "rediss+cluster://h1?sentinel_password=the-password": "not known here (sentinel_password)",
    "rediss://h1?ssl_cert_reqs=the-password": "neither required nor none",
    "rediss://h1?ssl_check_hostname=the-password": "neither true nor false",
    "rediss://h1?ssl_keyfile=the-password": "without ssl_certfile",
}
"""With a part of what the store says of each."""

GOOD_URLS = {
    "redis://host": "host:6379",
    "redis://": "localhost:6379",
    "rediss://:p%23@host:6380/1": "host:6380",
    "redis://[::1]:1": "[::1]:1",
    "unix:///run/valkey.sock": "/run/valkey.sock",
    "redis+sentinel://u:p%40@h1,h2:1,[::1]/mymaster/2": "h1:26379,h2:1,[::1]:26379/mymaster",
    "rediss+sentinel://h1/mymaster?sentinel_username=u&sentinel_password=p": "h1:26379/mymaster",
    "redis+cluster://:p@h1,h2:1": "h1:6379,h2:1",
    "rediss+cluster://h1/?ssl_check_hostname=false": "h1:6379",
}
"""With what errors call the store."""
