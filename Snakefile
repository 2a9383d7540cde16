"""DeepScaleR: GRPO on DeepSeek-R1-Distill-Qwen-1.5B with 8K, 16K and 24K contexts, from curated data to the table.

snakemake mini                                   everything, on two CPU cores
snakemake --profile slurm results/table.csv      the paper, on a cluster
"""

from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"


onerror:
    failed = failed_jobs.describe(*log)
    for line in failed:
        print(line, file=sys.stderr)
    for line in [*rehearsals.judge_unfinished(workflow), *tracking.ended()]:
        console.say(line)
    notices.ended(failed)


onsuccess:
    for line in tracking.ended():
        console.say(line)
    notices.ended()


onstart:
    before_first_job.check_language_models(workflow)
    if workflow.executor_plugin.name == "local":
        before_first_job.check_computer(workflow)
    before_first_job.check_budget(workflow)
    if workflow.executor_plugin.name == "slurm":
        before_submission.check_cluster(workflow)
    elif workflow.executor_plugin.name == "local":
        orphans.await_earlier_jobs(workflow)
        told_to_end.pass_on_sigterm()
    notices.begin(workflow)
    tracking.begin(workflow)
    console.begin(workflow)


rule mini:
    default_target: True
    input:
        results_of("mini"),
    message:
        "Everything at mini scale is in results/mini/"


rule released:
    input:
        results_of("released"),
    message:
        "The table from published weights is in results/released/"


rule paper:
    input:
        results_of("paper"),
        "results/table.csv",
    message:
        "The paper's results are in results/paper/ and results/table.csv"


for own in [name for name in SCALES if name not in ("mini", "released", "paper")]:  # a file of config/scales/ is enough

    rule:
        name:
            own
        input:
            results_of(own),
        message:
            f"The results of {own} are in results/{own}/"


if workflow.is_main_process:  # a job's own Snakemake has a command line that nobody typed
    exit_on_error(check_targets, sys.argv, [rule.name for rule in workflow.rules])
