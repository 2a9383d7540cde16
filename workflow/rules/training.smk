# The chain of checkpoints: a stage is cut into segments, each a job whose output is one checkpoint.
#   in:   {work}/{scale}/prompts/{segment}.jsonl, and the checkpoint.json of the segment before
#         (of the first one: models/{base}/model.json)
#   out:  {work}/{scale}/checkpoints/{segment}/checkpoint.json, metrics.jsonl, model.safetensors
#         {work}/{scale}/preflight/{segment}.json, results/{scale}/training.csv
# Unfinished work is in {WORK}/{scale}/runs/, which no rule declares, so that nothing is lost when a job is.


rule preflight:
    output:
        work("{scale}/preflight/{segment}.json"),
    log:
        "logs/{scale}/preflight/{segment}.log",
    benchmark:
        "logs/{scale}/preflight/{segment}.tsv"
    priority: 100
    retries: 0
    conda:
        environment
    threads: cpus("preflight")
    resources:
        **request("preflight"),
    message:
        "Checking that a node is ready for segment {wildcards.segment}"
    shell:
        "deepscaler preflight"
        " --scale {wildcards.scale:q}"
        " --segment {wildcards.segment:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule train_segment:
    input:
        first_of_stage,
        parent=parent_manifest,
        prompts=work("{scale}/prompts/{segment}.jsonl"),
    output:
        manifest=work("{scale}/checkpoints/{segment}/checkpoint.json"),
        metrics=work("{scale}/checkpoints/{segment}/metrics.jsonl"),
        weights=work("{scale}/checkpoints/{segment}/model.safetensors"),
    log:
        "logs/{scale}/train_segment/{segment}.log",
    benchmark:
        "logs/{scale}/train_segment/{segment}.tsv"
    priority: 100  # before samples of the checkpoint that it starts from, where both wait for the same GPUs
    conda:
        environment
    threads: cpus("train_segment")
    resources:
        **request("train_segment"),
    params:
        **decided_by("train_segment", 66),
        runs=work("{scale}/runs"),
    message:
        "Training segment {wildcards.segment} with OpenRLHF"
    # the shell and tee outlive the signals by which the verb is told to end
    shell:
        "trap '' TERM; deepscaler train_segment"
        " --scale {wildcards.scale:q}"
        " --segment {wildcards.segment:q}"
        " --parent {input.parent:q}"
        " --prompts {input.prompts:q}"
        " --runs {params.runs:q}"
        " --output {output.manifest:q}"
        " 2>&1 | tee -i {log:q}"


rule collect_metrics:
    input:
        lambda wildcards: expand(
            work("{scale}/checkpoints/{segment}/metrics.jsonl"),
            scale=wildcards.scale,
            segment=[segment.id for segment in dag.segments(wildcards.scale)],
        ),
    output:
        "results/{scale}/training.csv",
    log:
        "logs/{scale}/collect_metrics/all.log",
    benchmark:
        "logs/{scale}/collect_metrics/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("collect_metrics")
    resources:
        **request("collect_metrics"),
    params:
        **decided_by("collect_metrics", 1),
    message:
        "Collecting the metrics of every training step"
    shell:
        "deepscaler collect_metrics"
        " --scale {wildcards.scale:q}"
        " --metrics {input:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"
