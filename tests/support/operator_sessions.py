"""People signed in at a device's store, without badge and PIN, and their actions."""

import os

from edge.domain.roles import Role
from edge.operators.actions import OperatorActions
from edge.store.sessions import OperatorSession, end_session, open_session
from tests.support.sample_shop import NOON


def sign_in(store, who="ann", role=Role.SUPERVISOR, now=NOON):
    session = OperatorSession(
        operator_id=who,
        role=role,
        badge=b"b" * 16,
        opened_s=now.unix_s,
        expires_s=now.unix_s + 10**6,
        acted_s=now.unix_s,
        idle_s=10**6,
    )
    with store.transaction() as connection:
        open_session(connection, session)


def sign_out(store):
    with store.transaction() as connection:
        end_session(connection)


def actions(store):
    return OperatorActions(store, random_bytes=os.urandom)
