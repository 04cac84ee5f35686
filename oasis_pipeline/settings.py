"""Configuration: environment, a ``.env`` file in the home folder, and files with secrets, to one typed object.

Here: names, defaults and where things lie under the home folder. Not here: connections; nothing in this module
opens a socket or makes a folder when it is imported.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import os
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

EARLIEST_DAY = date(2000, 1, 1)
"""Rows before this day are a controller's bad clock, unless OASIS_START says otherwise."""

UNFINISHED_FACTOR = 3
"""A drop file whose end is missing has to lie still for so many times as long as one that looks whole."""


class SettingsError(ValueError):
    """A variable has a value that can't be used; the message says which and what to do."""


class Settings(BaseSettings):
    """The configuration of one installation: each variable of the environment once, with what it means."""

    model_config = SettingsConfigDict(
        env_prefix="OASIS_",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    home: Path = Path(".oasis")
    """Home folder, with the state of this installation."""
    host: str | None = None
    """PostgreSQL server, version 14 or newer; without it an embedded server in the home folder is used."""
    port: int = 5432
    """Port of that server."""
    user: str | None = None
    """Role at that server; it needs the right to create schemas."""
    password: SecretStr | None = Field(default=None, validation_alias="OASIS_PASS")
    """Its password."""
    db: str = "oasis"
    """Database."""
    embedded_tcp: str | None = None
    """`host:port`, such as `127.0.0.1:5433`, at which the embedded server also listens, for programs of this machine that can't use its socket."""
    reader_password: SecretStr | None = Field(default=None, validation_alias="OASIS_READER_PASS")
    """Password of the read-only role on a server of your own; the embedded one keeps its own in `reader_password`."""
    service_password: SecretStr | None = Field(default=None, validation_alias="OASIS_SERVICE_PASS")
    """Password of the data service's role `oasis_service` on a server of your own; without one it uses `OASIS_USER`."""
    dagster_password: SecretStr | None = Field(default=None, validation_alias="OASIS_DAGSTER_PASS")
    """Password of `oasis_dagster`, the role of Dagster's pages and daemon where they run apart from the code server; without one they use `OASIS_USER`."""
    admin_user: str | None = None
    """Who makes roles and the database, for `oasis roles` only."""
    admin_password: SecretStr | None = Field(default=None, validation_alias="OASIS_ADMIN_PASS")
    """Its password."""
    data_path: Path | None = None
    """Drop folder; default `drop/` of the home folder."""
    s3_bucket: str | None = None
    """Bucket of the object store, instead of `store/` of the home folder; credentials come by the AWS chain only."""
    s3_prefix: str = ""
    """Prefix of its objects."""
    s3_endpoint: str | None = None
    """Address of another server than Amazon's."""
    start: date | None = None
    """First day that is accepted; earlier rows are rejected. Default: 2000, and the first day found."""
    timezone: str = "UTC"
    """The field's time zone, in which every `Date` and every stamp is written, such as `America/Chicago`."""
    settle_seconds: float = Field(default=5.0, ge=0, le=86_400)
    """Seconds that a drop file has to lie unchanged before it is taken in; three times as long where its end is missing."""
    damping: float | None = Field(default=None, ge=0, le=5)
    """Dimensionless damping that pump cards are given with, such as the vendor's; default 0.01. Earlier days keep theirs until they are made again."""
    engine: Literal["local", "ray"] = "local"
    """Where days are computed: `local`, on the cores of this machine, or `ray`, on the nodes of a Ray cluster; needs `oasis-pipeline[ray]`."""
    ray_address: str | None = Field(default=None, validate_default=True)
    """`host:port` of the head of the Ray cluster, for `OASIS_ENGINE=ray`; this machine has to be one of its nodes."""
    source_url: SecretStr | None = None
    """Live source: `mssql://` or `postgresql://` with user, password, host and database."""
    remote_drop: SecretStr | None = None
    """Drop folders elsewhere: `s3://bucket/prefix` or `sftp://user@host/folder`; several are separated by blanks."""
    pages_url: str | None = None
    """Address of the platform's pages as people's browsers reach it, such as `https://oasis.example`; Dagster's pages link there. `oasis up` knows its own."""
    secret_key: SecretStr | None = None
    """Signing key of the data service; default: `secret_key` in the home folder, made at its first start."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Look into the environment, then into ``.env``; each may name files that hold secrets."""
        assert isinstance(env_settings, EnvSettingsSource)
        assert isinstance(dotenv_settings, DotEnvSettingsSource)
        return (
            init_settings,
            env_settings,
            _SecretFiles(settings_cls, env_settings),
            dotenv_settings,
            _SecretFiles(settings_cls, dotenv_settings),
        )

    @field_validator("home", "data_path")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("embedded_tcp")
    @classmethod
    def _is_of_this_machine(cls, value: str | None) -> str | None:
        if value is not None:
            _parse_listen(value)
        return value

    @field_validator("ray_address")
    @classmethod
    def _is_there_for_ray(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("engine") == "ray" and value is None:
            raise ValueError(
                "is not set, and OASIS_ENGINE=ray needs it: give host:port of the cluster's head"
            )
        if value is not None and not re.fullmatch(r"(\[[^\]]+\]|[^:\s/]+):\d{1,5}", value):
            raise ValueError("is not a host:port address, such as 10.0.0.5:6379")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, KeyError):
            raise ValueError("is not a time zone: give a name such as America/Chicago or UTC") from None
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The field's time zone."""
        return ZoneInfo(self.timezone)

    def field_now(self) -> datetime:
        """Now, in the field's local time, without a zone, as every ``Date`` is written."""
        return datetime.now(self.zone).replace(tzinfo=None)

    @property
    def unfinished_settle_seconds(self) -> float:
        """How long a drop file without its end (no final end of line, no footer) has to lie unchanged."""
        return UNFINISHED_FACTOR * self.settle_seconds

    @property
    def card_damping(self) -> float:
        """Damping that pump cards are given with; NaN where nothing is set."""
        return math.nan if self.damping is None else self.damping

    @property
    def embedded(self) -> bool:
        """Whether PostgreSQL is the embedded server."""
        return self.host is None

    @property
    def embedded_listen(self) -> tuple[str, int] | None:
        """Host and port of `embedded_tcp`; None without one."""
        return None if self.embedded_tcp is None else _parse_listen(self.embedded_tcp)

    @property
    def reader_password_file(self) -> Path:
        """Password of the read-only role of the embedded server, made when it first listens on TCP."""
        return self.home / "reader_password"

    @property
    def drop(self) -> Path:
        """Drop folder."""
        return self.data_path or self.home / "drop"

    @property
    def source_drop(self) -> Path:
        """Where rows of the live source lie as drop files until they are taken in."""
        return self.home / "source" / "drop"

    def remote_drop_folder(self, name: str) -> Path:
        """Where files of a drop folder elsewhere lie until they are taken in."""
        return self.home / "source" / hashlib.sha256(name.encode()).hexdigest()[:8] / "drop"

    def fetched_drops(self) -> list[Path]:
        """Folders in which what live sources brought lies until it is taken in."""
        return [self.source_drop, *sorted((self.home / "source").glob("*/drop"))]

    @property
    def rejected_files(self) -> Path:
        """Where files that can't be read at all are moved: beside the drop folder."""
        return self.drop.parent / "rejected"

    @property
    def store(self) -> Path:
        """Local object store, used without a bucket."""
        return self.home / "store"

    @property
    def postgres_data(self) -> Path:
        """Data folder of the embedded server."""
        return self.home / "postgres"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder."""
        return self.home / "dagster"

    @property
    def first_day_file(self) -> Path:
        """Note of the first day of cards and vendor results, so that the graph can be built without a connection."""
        return self.home / "first_day"

    @property
    def first_reading_day_file(self) -> Path:
        """Note of the first day of readings."""
        return self.home / "first_reading_day"

    @property
    def earliest_day(self) -> date:
        """Rows before this day are refused."""
        return self.start or EARLIEST_DAY


def variable_of(name: str) -> str:
    """Name the variable of the environment that a field of `Settings` is read from."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"OASIS_{name.upper()}"


SECRET_VARIABLES = {
    variable_of(name): field.validation_alias or name
    for name, field in Settings.model_fields.items()
    if field.annotation == (SecretStr | None)
}
"""Variables whose value a file may hold, named by the same variable with ``_FILE`` at its end; and what `Settings` is given it by."""


class _SecretFiles(PydanticBaseSettingsSource):
    """Secrets whose variable names a file instead: ``OASIS_PASS_FILE`` for ``OASIS_PASS``."""

    def __init__(self, settings_cls: type[BaseSettings], named_in: EnvSettingsSource) -> None:
        super().__init__(settings_cls)
        self._named_in = named_in

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not asked for: `__call__` finds all of them."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """Find the secrets that files hold."""
        # pydantic-settings keeps names in lower case, and with them empty variables
        given = {name.lower(): value for name, value in self._named_in.env_vars.items() if value}
        found: dict[str, Any] = {}
        for variable, name in SECRET_VARIABLES.items():
            path = given.get(f"{variable}_file".lower())
            if path is None:
                continue
            if variable.lower() in given:
                raise SettingsError(f"configuration: {variable} and {variable}_FILE are both set: remove one")
            text = _read_secret(f"{variable}_FILE", Path(path))
            if text:
                found[str(name)] = text
        return found


def _read_secret(variable: str, path: Path) -> str:
    """Contents of a file without the end of its line; an empty file is no secret, as an empty variable is none."""
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(
            f"configuration: {variable} names {path}, which can't be read ({why}): correct it, or let this user read the file"
        ) from None
    return text.rstrip("\r\n")


def _parse_listen(value: str) -> tuple[str, int]:
    """Split ``host:port``, or ``[host]:port``; only addresses that no other machine reaches."""
    host, colon, port = value.strip().rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else "" if ":" in host else host
    if not (colon and host and port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError(
            "is not a host:port address: write 127.0.0.1:5433 (or [::1]:5433), with a port from 1 to 65535"
        )
    if host == "localhost":
        return host, int(port)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(
            "names no loopback address: write 127.0.0.1:5433, [::1]:5433 or localhost:5433"
        ) from None
    if not address.is_loopback:
        raise ValueError(
            "would open the embedded server to other machines, and it speaks without encryption: write 127.0.0.1:5433 and let"
            " others come through an SSH tunnel, or use a PostgreSQL of your own (OASIS_HOST)"
        )
    return str(address), int(port)


def load_settings(home: Path | str | None = None, **overrides: Any) -> Settings:
    """Read the configuration.

    Parameters
    ----------
    home : path, optional
        Home folder; overrides ``OASIS_HOME``.
    **overrides
        Fields of `Settings`; they override everything else.

    Returns
    -------
    Settings

    Raises
    ------
    SettingsError
        If a value can't be used. The message names the variable, never the value of a secret.
    """
    where = Path(home) if home is not None else Path(os.environ.get("OASIS_HOME") or ".oasis")
    where = where.expanduser().absolute()
    try:
        return Settings(_env_file=where / ".env", **{"home": where, **overrides})  # type: ignore[call-arg]
    except UnicodeDecodeError:
        raise SettingsError(f"configuration: {where / '.env'} is not UTF-8 text: save it as UTF-8") from None
    except ValidationError as error:
        faults = "; ".join(_fault_text(fault) for fault in error.errors(include_input=False))
        raise SettingsError(
            f"configuration: {faults}. Correct the variable in the environment or in {where / '.env'}"
        ) from None


def _fault_text(fault: ErrorDetails) -> str:
    """Name the variable and what is wrong with it, in the validator's own words."""
    name = _variable(fault["loc"])
    if fault["type"] == "value_error":
        return f"{name} {fault['ctx']['error']}"
    return f"{name}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def _variable(place: tuple[int | str, ...]) -> str:
    name = ".".join(str(part) for part in place)
    return name if name.startswith("OASIS_") else f"OASIS_{name.upper()}"
