"""How the tables of conversations came to be as they are. The only package that imports `alembic`."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def configuration() -> Config:
    """Instead of an `alembic.ini`, so that an installed package has all it needs."""
    config = Config()
    config.set_main_option("script_location", "chatbot_api:migrations")
    return config


def upgrade(connection: Connection) -> None:
    """To the newest revision, within the connection's transaction: all of it or nothing."""
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
