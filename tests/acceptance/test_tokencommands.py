"""`tsobs token` from the making of a token to its end."""

from __future__ import annotations

from tests.fix_process import StartProcess


def test_tokens_from_the_command_line(tsobs_process: StartProcess, database_url: str) -> None:
    def tsobs(*argv: str) -> tuple[int, str, str]:
        process = tsobs_process(*argv, DATABASE_URL=database_url)
        status = process.wait()
        return status, "".join(process.out), "".join(process.err)

    status, out, err = tsobs("token", "list")
    assert (status, out) == (0, "")
    assert "no token" in err
    status, secret, err = tsobs(
        "token", "create", "--name", "n1", "--scope", "agent", "--node", "n1", "--expires", "90d"
    )
    assert status == 0
    # Alone on standard output, so that a script can take it.
    assert secret.startswith("tsobs_")
    assert len(secret.strip()) > 40
    assert secret.count("\n") == 1
    assert secret.strip() not in err
    assert tsobs("token", "create", "--name", "n1", "--scope", "read")[0] == 1
    status, out, _ = tsobs("token", "list")
    assert "agent node=n1" in out
    assert "active" in out
    assert secret.strip() not in out
    assert tsobs("token", "revoke", "nobody")[0] == 1
    assert tsobs("token", "revoke", "n1")[0] == 0
    assert "revoked" in tsobs("token", "list")[1]
    # A name is free again once its token is revoked; then it stands for the one in use.
    assert tsobs("token", "create", "--name", "n1", "--scope", "read")[0] == 0
    assert tsobs("token", "delete", "n1")[0] == 0
    assert "revoked" in tsobs("token", "list")[1]
    assert tsobs("token", "delete", "1")[0] == 0
    assert tsobs("token", "list")[1] == ""
