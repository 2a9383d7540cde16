"""`snakemake`, which asks for its jobs' states every second.

The SLURM plugin waits 10 s longer each time that no job has ended, up to three minutes, and no option shortens that. A
test whose jobs take a minute would wait another one to hear of it.
"""

import asyncio

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def a_second(_: RemoteExecutor) -> None:
    await asyncio.sleep(1)


RemoteExecutor.sleep = a_second

if __name__ == "__main__":
    main()
