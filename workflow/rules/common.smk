# What all rules share: the work root, wildcard constraints, and answers to "what does this job need?". No rules.
#   in:   config/site.yaml, config/scales/*.yaml
#   out:  WORK, SCALES, ours(path), work(path), environment, cpus(rule), request(rule), decided_by(rule, count)
# All logic is in deepscaler.dag; here it only meets the wildcards.
import os
import re
import sys
from functools import cache
from inspect import signature

# Settings and notebooks are the checkout's, wherever the working directory is: with --directory, or used as a module
CHECKOUT = os.path.realpath(os.path.join(str(workflow.current_basedir), "..", ".."))
if os.path.realpath(".") != CHECKOUT:
    os.environ.update(DEEPSCALER_ROOT=CHECKOUT, DEEPSCALER_DIRECTORY=os.path.realpath("."))

from deepscaler import dag, settings
from deepscaler.controller import (
    before_first_job,
    before_submission,
    containers,
    failed_jobs,
    notices,
    orphans,
    rehearsals,
    shell_environment,
    slurm_requests,
    stale_locks,
    told_to_end,
    tracking,
)
from deepscaler.controller.console import handler as console
from deepscaler.controller.targets import check_settings, check_targets, exit_on_error, remarks
from deepscaler.dag import resources

from snakemake.common import overwrite_function_params

exit_on_error(shell_environment.check_python_path, os.environ.get("PYTHONPATH", ""), sys.path)
SCALES = exit_on_error(check_settings, sys.argv)
if workflow.is_main_process:
    for line in remarks(sys.argv):
        print(f"deepscaler: {line}", file=sys.stderr)
    stale_locks.start()
else:
    told_to_end.outlive_sigterm_in_step()

WORK = settings.site().work
shell_environment.for_jobs(os.environ)
# `localrules:` takes names only, not an expression
workflow.localrules(*resources.local_rules())


if settings.site().image:
    containers.bring_gpus(workflow.deployment_settings)

    container: settings.site().image


def one_of(names):
    """A wildcard's constraint: one of these words; where there are none, nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    scale=one_of(SCALES),
    stage=r"[a-z0-9.]+",
    segment=r"[a-z0-9.]+-\d+",
    shard=r"\d+",
    shards=r"\d+",
    suite=r"[a-z0-9]+",
    figure=r"\d",


def ours(path):
    """A file of the checkout, seen from the working directory."""
    return path if "DEEPSCALER_DIRECTORY" not in os.environ else f"{CHECKOUT}/{path}"


def work(path):
    """A path below the work root, where all that is large lies."""
    return f"{WORK}/{path}"


def environment(wildcards):
    """The environment of the engines' jobs: at a scale on GPUs, their CUDA builds."""
    return f"../../envs/{settings.load_scale(wildcards.scale).device}.yaml"


def cpus(rule, scale=None):
    """The cores that the jobs of a rule ask for, at their scale."""
    return lambda wildcards: resources.cpus(scale or wildcards.scale, rule)


def request(rule, scale=None):
    """All else that they ask for: memory, wall time, GPUs, nodes, partition and account."""

    def asked(key):
        return lambda wildcards: slurm_requests.request(
            scale or wildcards.scale, rule, wildcards.get("segment"), wildcards.get("suite")
        ).get(key)

    return {key: asked(key) for key in resources.keys(rule)}


@cache
def decided(rule, wildcards):
    return dag.in_words(dag.deciding(rule, **dict(wildcards)))


def decided_by(rule, count):
    """The settings that decide a rule's files, each a parameter of its own, as `kl.coefficient=0.001`.

    Snakemake keeps them with the file, makes it again when one changes, and prints those that did. `count` is at least
    their number; were there more, the last parameter would hold all that are left.
    """

    def one(index):
        def parameter(wildcards):
            found = decided(rule, tuple(wildcards.items()))
            return "; ".join(found[index:]) if index == count - 1 else "".join(found[index : index + 1])

        overwrite_function_params(parameter, signature(parameter).parameters)  # else read anew at every job
        return parameter

    return {f"setting_{index}": one(index) for index in range(count)}
