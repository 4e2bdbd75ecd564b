"""The statuses of a run, and what they mean for it."""

from __future__ import annotations

from django.db import models

from runs.engine import events

#: From so many bytes on, what a run was given has a row of its own, and is not stored once more
#: with the state.
LARGE = 8_192


class RunStatus(models.TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    SLEEPING = "sleeping"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PendingReason(models.TextChoices):
    """Why a run is pending; it decides which event its next claim appends (`runs.lifecycle`)."""

    #: It is new: `started`.
    CREATED = "created"
    #: Its questions were answered: `resumed`.
    ANSWERED = "answered"
    #: The time that it waited for has come: `resumed`.
    WOKEN = "woken"
    #: It stopped at the end of a superstep for a pause: `resumed`.
    PAUSED = "paused"
    #: It was isolated as a suspect and made progress: `resumed`.
    PROVEN = "proven"
    #: Its worker stopped or gave it up: `recovered`.
    STOPPED = "stopped"
    #: Its worker was lost: `recovered`.
    LOST = "lost"


class Durability(models.TextChoices):
    """`runs.engine.journal.durability` says what they promise."""

    SYNC = "sync"
    ASYNC = "async"
    EXIT = "exit"


WAITING = (RunStatus.SLEEPING, RunStatus.INTERRUPTED)


TERMINAL = tuple(status for status in RunStatus if status in events.TERMINAL_STATUSES)
