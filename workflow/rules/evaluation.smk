# Samples are made once and kept; grading and scoring them costs minutes and can be repeated.
#   in:   {work}/{scale}/models/{system}/model.json or checkpoints/{segment}/checkpoint.json,
#         {work}/{scale}/benchmarks/{benchmark}.parquet
#   out:  {work}/{scale}/samples/{system}/{suite}-{shard}of{shards}.parquet → grades/{system}/{suite}.parquet
#         → results/{scale}/scores/{system}-{suite}.json
#         → results/{scale}/table.csv, table.md, tokens.csv, agreement.csv, comparisons.csv; results/table.csv


rule sample:
    input:
        model=system_manifest,
        benchmarks=suite_benchmarks,
    output:
        work("{scale}/samples/{system}/{suite}-{shard}of{shards}.parquet"),
    log:
        "logs/{scale}/sample/{system}-{suite}-{shard}of{shards}.log",
    benchmark:
        "logs/{scale}/sample/{system}-{suite}-{shard}of{shards}.tsv"
    conda:
        environment
    threads: cpus("sample")
    resources:
        **request("sample"),
    params:
        settings=lambda wildcards: dag.sampling_digest(wildcards.scale, wildcards.system),
    message:
        "Sampling {wildcards.system} on suite {wildcards.suite}, shard {wildcards.shard} of {wildcards.shards}"
    shell:
        "deepscaler sample"
        " --scale {wildcards.scale}"
        " --system {wildcards.system}"
        " --model {input.model}"
        " --benchmarks {input.benchmarks}"
        " --shard {wildcards.shard}"
        " --shards {wildcards.shards}"
        " --output {output}"
        " 2>&1 | tee {log}"


rule grade_samples:
    input:
        samples=suite_shards,
        benchmarks=suite_benchmarks,
    output:
        work("{scale}/grades/{system}/{suite}.parquet"),
    log:
        "logs/{scale}/grade_samples/{system}-{suite}.log",
    benchmark:
        "logs/{scale}/grade_samples/{system}-{suite}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("grade_samples")
    resources:
        **request("grade_samples"),
    params:
        settings=lambda wildcards: dag.prompting_digest(wildcards.scale, wildcards.system),
    message:
        "Grading {wildcards.system} on suite {wildcards.suite}, in both modes"
    shell:
        "deepscaler grade_samples"
        " --scale {wildcards.scale}"
        " --system {wildcards.system}"
        " --samples {input.samples}"
        " --benchmarks {input.benchmarks}"
        " --output {output}"
        " --threads {threads}"
        " 2>&1 | tee {log}"


rule score:
    input:
        work("{scale}/grades/{system}/{suite}.parquet"),
    output:
        "results/{scale}/scores/{system}-{suite}.json",
    log:
        "logs/{scale}/score/{system}-{suite}.log",
    benchmark:
        "logs/{scale}/score/{system}-{suite}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("score")
    resources:
        **request("score"),
    params:
        settings=lambda wildcards: dag.score_digest(wildcards.scale, wildcards.suite),
    message:
        "Scoring {wildcards.system} on suite {wildcards.suite}"
    shell:
        "deepscaler score"
        " --scale {wildcards.scale}"
        " --system {wildcards.system}"
        " --suite {wildcards.suite}"
        " --grades {input}"
        " --output {output}"
        " 2>&1 | tee {log}"


rule tabulate:
    input:
        scores=table_scores,
        grades=table_grades,
    output:
        table=report(
            "results/{scale}/table.csv",
            caption="../report/table.rst",
            category="Table",
            labels={"scale": "{scale}"},
        ),
        markdown="results/{scale}/table.md",
        tokens="results/{scale}/tokens.csv",
        agreement="results/{scale}/agreement.csv",
        comparisons="results/{scale}/comparisons.csv",
    log:
        "logs/{scale}/tabulate/all.log",
    benchmark:
        "logs/{scale}/tabulate/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("tabulate")
    resources:
        **request("tabulate"),
    params:
        settings=lambda wildcards: dag.table_digest(wildcards.scale),
    message:
        "Writing the tables of {wildcards.scale}"
    shell:
        "deepscaler tabulate"
        " --scale {wildcards.scale}"
        " --scores {input.scores}"
        " --grades {input.grades}"
        " --table {output.table}"
        " --markdown {output.markdown}"
        " --tokens {output.tokens}"
        " --agreement {output.agreement}"
        " --comparisons {output.comparisons}"
        " 2>&1 | tee {log}"


rule publish_table:
    input:
        "results/paper/table.csv",
    output:
        "results/table.csv",
    log:
        "logs/paper/publish_table/all.log",
    benchmark:
        "logs/paper/publish_table/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("publish_table", scale="paper")
    resources:
        **request("publish_table", scale="paper"),
    message:
        "The paper's table is in results/table.csv"
    shell:
        "deepscaler publish_table" " --scale paper" " --table {input}" " --output {output}" " 2>&1 | tee {log}"
