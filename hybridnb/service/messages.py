"""What is sent to the service and what it answers, typed: this is what its OpenAPI description is made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SkipValidation


class Sent(BaseModel):
    """The base of what is sent; a word that means nothing is refused."""

    model_config = ConfigDict(extra="forbid")


class Launch(Sent):
    """What to run, and how."""

    file: Annotated[str, SkipValidation] = Field(description="the workflow's file, an absolute path")
    variables: dict[str, Annotated[str, SkipValidation]] = Field(
        default={}, description="the environment variables of its local jobs"
    )
    new: bool = Field(default=False, description="start another run even if the newest has not ended")
    jobs: list[str] = Field(default=[], description="only these jobs")
    start: str | None = Field(default=None, description="only this job and all below it")
    failed: bool = Field(default=False, description="only what did not end well when it was run last")
    whole: bool = Field(
        default=False, description="refuse to go on with a run that has begun one of these otherwise than the file says"
    )
    request: str = Field(
        default="", pattern="^[0-9a-zA-Z-]{0,64}$", description="a word of the caller's choice, the same when asked again"
    )
    again: bool = Field(default=False, description="the answer to this request got lost: nothing is started twice")


class Launched(BaseModel):
    """The run that was started or followed, and what that changed."""

    run: str
    folder: str
    followed: bool
    added: list[str]
    changed: list[str]
    removed: list[str]
    kept: list[str]


class Changed(BaseModel):
    """Names of jobs; `kept` are those that had started already."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    kept: list[str]


class Jobs(Sent):
    """Which jobs are meant."""

    jobs: list[str] | None = Field(default=None, description="default: all")


class Retry(Jobs):
    """Which jobs are to be tried once more."""

    variables: dict[str, Annotated[str, SkipValidation]] = {}
    request: str = Field(default="", pattern="^[0-9a-zA-Z-]{0,64}$")
    again: bool = False


class Follow(Sent):
    """The file that a run is to follow."""

    file: str | None = Field(default=None, description="default: the run's own")


class Definition(Sent):
    """A job as a workflow's file writes it."""

    definition: dict[str, Any]


class Summary(BaseModel):
    """One run in a list. Times are UTC, ISO 8601."""

    run: str
    workflow: str
    state: str
    created_at: str
    ended_at: str | None
    folder: str
    source: str
    counts: dict[str, int] = Field(description="how many jobs are in each state")
    problem: str


class JobStatus(BaseModel):
    """How one job stands."""

    model_config = ConfigDict(extra="allow")

    state: str
    host: str
    attempt: int
    exit_code: int | None
    native_id: str | None
    submitted_at: str | None
    started_at: str | None
    ended_at: str | None
    progress: float | None
    log: str | None
    reason: str
    metrics: dict[str, Any]


class Status(BaseModel):
    """How a run stands."""

    model_config = ConfigDict(extra="allow")

    run: str
    workflow: str
    state: str
    folder: str
    created_at: str
    ended_at: str | None
    jobs: dict[str, JobStatus]
    problems: dict[str, str] = Field(description="why it does not move, by host or run")


class Place(Sent):
    """The folder that a name is said in: its hosts.yaml may say what a host is."""

    folder: str | None = None


class Asked(BaseModel):
    """A question that a host asks of a person."""

    id: int
    host: str
    text: str
    hidden: bool = Field(description="the answer must not be seen")
    choices: list[str] = Field(description="the words that are accepted; any text, if there are none")


class Answer(Sent):
    """An answer. It is handed on, and kept nowhere."""

    text: str | None = Field(repr=False, description="null withholds it")


class Step(BaseModel):
    """One step of trying a host; an empty object comes now and then while one takes long."""

    what: str
    ok: bool | None = Field(description="null: it begins")
    told: str
    seconds: float
    advice: str = Field(description="what to do next")


class Health(BaseModel):
    """The service itself."""

    pid: int
    version: str
    runs: int = Field(description="how many have not ended")
    problems: dict[str, str]


class Wrong(BaseModel):
    """An error: the name of its class in hybridnb.errors, and what it says."""

    error: str
    message: str
    problems: list[tuple[str, str, int, int]] = Field(default=[], description="of a definition: message, file, line, column")
