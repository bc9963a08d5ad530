"""The programs, each as it is started."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from interop.programs.environment import PYTHON

_GUNICORN: Final = (
    str(PYTHON),
    "-m",
    "gunicorn",
    "--workers",
    "2",
    "--bind",
    "127.0.0.1:{port}",
    "--log-level",
    "warning",
)
_UWSGI: Final = (
    *(
        str(PYTHON.parent / "uwsgi"),
        "--http-socket",
        "127.0.0.1:{port}",
        "--master",
        "--processes",
        "2",
        "--die-on-term",
    ),
    *("--disable-logging", "--need-app", "--virtualenv", str(PYTHON.parents[1]), "--module", "wsgi:application"),
)
_CELERY: Final = (str(PYTHON), "-m", "celery", "-A", "tasks")


@dataclass(frozen=True, slots=True)
class Subject:
    """A program.

    Attributes:
        command: starts it; {port} and {seconds} are filled in.
        package: whose version is shown; "" for Python's.
        caller: prints answers in its place, where it serves no HTTP; () where it prints them itself.
        serves: whether it serves HTTP.
        processes: the least number that must have answered.
        codes: of a clean end on SIGTERM, or (`serves` and no caller) by itself.
        refusal: for one that must not start, a part of what the client says.
    """

    name: str
    package: str
    command: tuple[str, ...]
    caller: tuple[str, ...] = ()
    serves: bool = True
    processes: int = 2
    codes: tuple[int, ...] = (0,)
    refusal: str = ""


def _gunicorn(kind: str, app: str, *more: str) -> tuple[Subject, Subject]:
    command = (*_GUNICORN, "--worker-class", kind, *more, app)
    name = f"gunicorn {kind.rpartition('.')[2]}"
    return (
        Subject(name, "gunicorn", command),
        Subject(f"{name} --preload", "gunicorn", (*command, "--preload")),
    )


SUBJECTS: Final[Mapping[str, Subject]] = {
    subject.name: subject
    for subject in (
        Subject(
            "Django runserver",
            "django",
            (str(PYTHON), "django_site.py", "runserver", "--noreload", "127.0.0.1:{port}"),
            processes=1,
            codes=(0, -15),
        ),
        Subject("Django in gunicorn --preload", "django", (*_GUNICORN, "--preload", "django_site:application")),
        *_gunicorn("sync", "wsgi:application"),
        *_gunicorn("gthread", "wsgi:application", "--threads", "4"),
        *_gunicorn("gevent", "wsgi:application"),
        *_gunicorn("uvicorn_worker.UvicornWorker", "asgi:application"),
        Subject("uWSGI", "pyuwsgi", (*_UWSGI, "--enable-threads")),
        Subject("uWSGI --lazy-apps", "pyuwsgi", (*_UWSGI, "--enable-threads", "--lazy-apps")),
        Subject("uWSGI without --enable-threads", "pyuwsgi", _UWSGI, refusal="enable-threads = true"),
        Subject(
            "Celery prefork",
            "celery",
            (*_CELERY, "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING"),
            caller=(str(PYTHON), "tasks.py", "{seconds}"),
            serves=False,
        ),
        *(
            Subject(
                f"multiprocessing {method}",
                "",
                (str(PYTHON), "pool.py", method, "{seconds}"),
                serves=False,
                processes=3,
            )
            for method in ("fork", "spawn", "forkserver")
        ),
        Subject("Jupyter", "ipykernel", (str(PYTHON), "notebook.py", "{seconds}"), serves=False, processes=1),
    )
}
