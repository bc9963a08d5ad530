"""The entry point of `mintonced` and `python -m mintonce_server`."""

import gc
import os
import sys

from mintonce_server.cli.output import with_output


def main() -> int:
    """The exit code of `mintonced`."""
    return with_output(_run)


def _run() -> int:
    # Before grpc is imported, so that its C++ lines do not mix with the JSON log. To debug gRPC, set the variable.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # noqa: TID251 - written for a library, not read as a setting
    try:
        if sys.argv[1:2] == ["health"]:
            # Separate, because probes are frequent and the rest of the program is slow to import.
            from mintonce_server.cli.health import main as probe

            return probe(sys.argv[2:])
        # What is imported stays: the garbage collector need not look at it, now or later.
        gc.disable()
        from mintonce_server.cli.main import main as run

        gc.freeze()
        gc.enable()
    except ModuleNotFoundError as error:
        sys.stderr.write(f"mintonced: {error}\nInstall the server with its extra: pip install 'mintonce[server]'\n")
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
