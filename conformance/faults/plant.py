"""How a fault gets into the client."""


def put(owner: object, name: str, instead: object) -> None:
    """Replaces what a module or class has by this name. Fails when it has nothing of that name any more."""
    getattr(owner, name)
    setattr(owner, name, instead)
