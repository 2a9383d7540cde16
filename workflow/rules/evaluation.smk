# Samples are made once and kept; grading and scoring them costs minutes and can be repeated.
# Every answer stays where no rule declares it, so that none is drawn twice: those of published weights in
# {work}/.kept/samples/, for all scales; those of what a scale makes itself in {work}/{scale}/samples/{system}/.kept/.
#   in:   {work}/{scale}/models/{system}/model.json or checkpoints/{segment}/checkpoint.json,
#         {work}/{scale}/benchmarks/{benchmark}.parquet
#   out:  {work}/{scale}/samples/{system}/{suite}-{shard}of{shards}.parquet → grades/{system}/{suite}.parquet
#         → results/{scale}/scores/{system}-{suite}.json
#         → results/{scale}/table.csv, table.md, tokens.csv, agreement.csv, comparisons.csv, curve.csv;
#         results/table.csv


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
        **decided_by("sample", 30),
    message:
        "Sampling {wildcards.system} on suite {wildcards.suite}, shard {wildcards.shard} of {wildcards.shards}"
    shell:
        "deepscaler sample"
        " --scale {wildcards.scale:q}"
        " --system {wildcards.system:q}"
        " --model {input.model:q}"
        " --benchmarks {input.benchmarks:q}"
        " --shard {wildcards.shard:q}"
        " --shards {wildcards.shards:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


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
        **decided_by("grade_samples", 10),
    message:
        "Grading {wildcards.system} on suite {wildcards.suite}, in both modes"
    shell:
        "deepscaler grade_samples"
        " --scale {wildcards.scale:q}"
        " --system {wildcards.system:q}"
        " --samples {input.samples:q}"
        " --benchmarks {input.benchmarks:q}"
        " --output {output:q}"
        " --threads {threads}"
        " 2>&1 | tee {log:q}"


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
        **decided_by("score", 22),
    message:
        "Scoring {wildcards.system} on suite {wildcards.suite}"
    shell:
        "deepscaler score"
        " --scale {wildcards.scale:q}"
        " --system {wildcards.system:q}"
        " --suite {wildcards.suite:q}"
        " --grades {input:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule tabulate:
    input:
        scores=table_scores,
        grades=table_grades,
        curve=curve_scores,
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
        curve="results/{scale}/curve.csv",
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
        **decided_by("tabulate", 140),
    message:
        "Writing the tables of {wildcards.scale}"
    shell:
        "deepscaler tabulate"
        " --scale {wildcards.scale:q}"
        " --scores {input.scores:q}"
        " --grades {input.grades:q}"
        " --curve-scores {input.curve:q}"
        " --table {output.table:q}"
        " --markdown {output.markdown:q}"
        " --tokens {output.tokens:q}"
        " --agreement {output.agreement:q}"
        " --comparisons {output.comparisons:q}"
        " --curve {output.curve:q}"
        " 2>&1 | tee {log:q}"


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
        "deepscaler publish_table" " --scale paper" " --table {input:q}" " --output {output:q}" " 2>&1 | tee {log:q}"
