"""Who may do what at this device: roles and acts, badges with a PIN, sessions, lock-out. All of it works offline.

For whoever guards an act::

    session = current_session(store, now)          # edge.store.sessions; None: nobody is signed in
    if session is None: ...                        # Verdict.OPERATOR_REQUIRED
    if not may(session.role, Act.REVERSE): ...     # edge.domain.roles; Verdict.OPERATOR_FORBIDDEN
    ...                                            # name session.operator_id in what is written

Within a transaction ``session_in(connection, now)`` reads the same, and ``touch(connection, session, now)`` tells
that the session is in use. A badge alone opens nothing: only ``edge.operators.sign_in`` does, with the PIN each time.
"""
