"""Who may talk to a launch's Ray: the processes that the launch started, by a token that only they have.

Ray runs what it is sent, and its ports stand open to every user of the computer and of its network. In Ray's token
mode each of them asks for a token. A launch makes its own; it is handed on in the environment, which Linux shows to
nobody but its owner and root, never in arguments, files or logs.

    python -m deepscaler.training.launch.ray_access start …    `ray start` without the client server
"""

import os
import secrets
from importlib.metadata import version

MADE_FOR = "2.55.0"
"""Ray's. Another may ignore what is set here, and listen to everyone without a word."""
MODE, TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
SHORTEST = 32
NO_OTHERS = "RAY_AUTH_"
DROPPED = {
    "RAY_ADDRESS",
    "RAY_API_SERVER_ADDRESS",
    "RAY_CLIENT_MODE",
    "RAY_DASHBOARD_ADDRESS",
    "RAY_ENABLE_K8S_TOKEN_AUTH",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
    "RAY_REDIS_ADDRESS",
}
"""What would lead to another Ray, or have Ray ask someone else whether a token is good."""
ENGINES_LOOPBACK = {
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOOPBACK_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "lo",
}
"""Where there is one node nothing needs another interface. Sampling always has one."""
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's only way to take 127.0.0.1 for its node's address
    **ENGINES_LOOPBACK,
}


def token_variables() -> dict[str, str]:
    """The two variables that make Ray ask for a token, with a new one."""
    return {MODE: "token", TOKEN: secrets.token_hex(32)}


def protected(environment: dict[str, str], nodes: int) -> dict[str, str]:
    """An environment with a new token and with nothing that could defeat it; on one node, for loopback alone."""
    kept = {key: value for key, value in environment.items() if not key.startswith(NO_OTHERS) and key not in DROPPED}
    return kept | (LOOPBACK if nodes == 1 else {}) | token_variables()


def require_token() -> None:
    """Raises RuntimeError where Ray, started in this environment, would do what anyone tells it."""
    if version("ray") != MADE_FOR:
        raise RuntimeError(
            f"deepscaler/training/launch/ray_access.py was made for ray {MADE_FOR}, not {version('ray')}: check that "
            "it asks for the token on every port, then change MADE_FOR"
        )
    if os.environ.get(MODE) != "token" or len(os.environ.get(TOKEN, "")) < SHORTEST:
        raise RuntimeError(
            f"Ray is not started without authentication, since any user of this computer could run commands through it:"
            f" {MODE} must be `token` and {TOKEN} a token of {SHORTEST} characters or more"
        )


def main() -> None:
    """`ray start` always adds a server for remote clients (`ray://`) where their packages are installed."""
    require_token()
    from ray.scripts import scripts

    scripts.get_ray_client_dependency_error = lambda: ImportError("a launch has no remote clients")
    scripts.main()


if __name__ == "__main__":
    main()
