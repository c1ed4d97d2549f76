from __future__ import annotations

import sys
from pathlib import Path

from nodeagent.settings import load
from tsobs.demo.agent import CLUSTER, agent_command, agent_environment
from tsobs.demo.folder import Folder


def test_the_agent_understands_its_command_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.token.write_text("x")
    command = agent_command(folder, "http://127.0.0.1:8080", "n1", "tsobs-demo-1")
    assert command[:3] == [sys.executable, "-m", "nodeagent"]
    settings = load(command[3:], {}).settings
    assert settings.url == "http://127.0.0.1:8080"
    assert settings.cluster == CLUSTER == "local"
    assert settings.node_name == "n1"
    assert settings.node_alias == ("tsobs-demo-1",)
    assert settings.state_dir == folder.agent
    assert settings.interval_s == 15


def test_settings_of_another_agent_do_not_reach_ours() -> None:
    environ = {"PATH": "/bin", "TSOBS_AGENT_URL": "http://elsewhere", "TSOBS_DATA_DIR": "/d"}
    assert agent_environment(environ) == {"PATH": "/bin"}
