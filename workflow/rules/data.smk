# From sources to prompt files, and the benchmarks; all below {work}/{scale}/ but the two tables.
#   in:   config/sources.yaml, config/benchmarks.yaml (files on the hub), models/{base}/model.json (the tokenizer of a fetched one)
#   out:  data/sources/{source}.parquet → data/answers/{source}.parquet → data/deduplicated.parquet
#         → data/decontaminated.parquet → data/train/train.parquet → prompts/{segment}.jsonl
#         benchmarks/{benchmark}.parquet, data/removed.parquet, data/review/*.csv
#         results/{scale}/curation.csv, results/{scale}/contamination.csv


rule fetch_source:
    output:
        work("{scale}/data/sources/{source}.parquet"),
    log:
        "logs/{scale}/fetch_source/{source}.log",
    benchmark:
        "logs/{scale}/fetch_source/{source}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("fetch_source")
    resources:
        **request("fetch_source"),
    params:
        **decided_by("fetch_source", 20),
    message:
        "Fetching source {wildcards.source}"
    shell:
        "deepscaler fetch_source"
        " --scale {wildcards.scale:q}"
        " --source {wildcards.source:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule extract_answers:
    input:
        work("{scale}/data/sources/{source}.parquet"),
    output:
        problems=work("{scale}/data/answers/{source}.parquet"),
        removed=work("{scale}/data/removed/extract_answers-{source}.parquet"),
        review=work("{scale}/data/review/extract_answers-{source}.csv"),
    log:
        "logs/{scale}/extract_answers/{source}.log",
    benchmark:
        "logs/{scale}/extract_answers/{source}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("extract_answers")
    resources:
        **request("extract_answers"),
    params:
        **decided_by("extract_answers", 20),
    message:
        "Extracting answers of {wildcards.source}"
    shell:
        "deepscaler extract_answers"
        " --scale {wildcards.scale:q}"
        " --problems {input:q}"
        " --output {output.problems:q}"
        " --removed {output.removed:q}"
        " --review {output.review:q}"
        " 2>&1 | tee {log:q}"


rule deduplicate:
    input:
        lambda wildcards: expand(
            work("{scale}/data/answers/{source}.parquet"),
            scale=wildcards.scale,
            source=settings.load_scale(wildcards.scale).curation.sources,
        ),
    output:
        problems=work("{scale}/data/deduplicated.parquet"),
        vectors=work("{scale}/data/deduplicated.npy"),
        removed=work("{scale}/data/removed/deduplicate.parquet"),
        review=work("{scale}/data/review/deduplicate.csv"),
    log:
        "logs/{scale}/deduplicate/all.log",
    benchmark:
        "logs/{scale}/deduplicate/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("deduplicate")
    resources:
        **request("deduplicate"),
    params:
        **decided_by("deduplicate", 40),
    message:
        "Removing duplicates"
    shell:
        "deepscaler deduplicate"
        " --scale {wildcards.scale:q}"
        " --problems {input:q}"
        " --output {output.problems:q}"
        " --vectors {output.vectors:q}"
        " --removed {output.removed:q}"
        " --review {output.review:q}"
        " --threads {threads}"
        " 2>&1 | tee {log:q}"


rule fetch_benchmark:
    output:
        table=work("{scale}/benchmarks/{benchmark}.parquet"),
        description=work("{scale}/benchmarks/{benchmark}.croissant.json"),
    log:
        "logs/{scale}/fetch_benchmark/{benchmark}.log",
    benchmark:
        "logs/{scale}/fetch_benchmark/{benchmark}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("fetch_benchmark")
    resources:
        **request("fetch_benchmark"),
    params:
        **decided_by("fetch_benchmark", 20),
    message:
        "Fetching benchmark {wildcards.benchmark}"
    shell:
        "deepscaler fetch_benchmark"
        " --scale {wildcards.scale:q}"
        " --benchmark {wildcards.benchmark:q}"
        " --output {output.table:q}"
        " --description {output.description:q}"
        " 2>&1 | tee {log:q}"


rule decontaminate:
    input:
        problems=work("{scale}/data/deduplicated.parquet"),
        vectors=work("{scale}/data/deduplicated.npy"),
        benchmarks=lambda wildcards: expand(
            work("{scale}/benchmarks/{benchmark}.parquet"),
            scale=wildcards.scale,
            benchmark=dag.held_against(wildcards.scale),
        ),
    output:
        problems=work("{scale}/data/decontaminated.parquet"),
        removed=work("{scale}/data/removed/decontaminate.parquet"),
        report=work("{scale}/data/contamination.csv"),
    log:
        "logs/{scale}/decontaminate/all.log",
    benchmark:
        "logs/{scale}/decontaminate/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("decontaminate")
    resources:
        **request("decontaminate"),
    params:
        **decided_by("decontaminate", 30),
    message:
        "Removing what overlaps with a benchmark"
    shell:
        "deepscaler decontaminate"
        " --scale {wildcards.scale:q}"
        " --problems {input.problems:q}"
        " --vectors {input.vectors:q}"
        " --benchmarks {input.benchmarks:q}"
        " --output {output.problems:q}"
        " --removed {output.removed:q}"
        " --report {output.report:q}"
        " --threads {threads}"
        " 2>&1 | tee {log:q}"


rule select_gradable:
    input:
        problems=work("{scale}/data/decontaminated.parquet"),
        model=tokenizer_manifest,
    output:
        problems=work("{scale}/data/train/train.parquet"),
        removed=work("{scale}/data/removed/select_gradable.parquet"),
    log:
        "logs/{scale}/select_gradable/all.log",
    benchmark:
        "logs/{scale}/select_gradable/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("select_gradable")
    resources:
        **request("select_gradable"),
    params:
        **decided_by("select_gradable", 10),
    message:
        "Keeping what the reward can grade"
    shell:
        "deepscaler select_gradable"
        " --scale {wildcards.scale:q}"
        " --problems {input.problems:q}"
        " --model {input.model:q}"
        " --output {output.problems:q}"
        " --removed {output.removed:q}"
        " 2>&1 | tee {log:q}"


rule summarise_curation:
    input:
        sources=lambda wildcards: expand(
            work("{scale}/data/sources/{source}.parquet"),
            scale=wildcards.scale,
            source=settings.load_scale(wildcards.scale).curation.sources,
        ),
        removed=lambda wildcards: expand(
            work("{scale}/data/removed/{step}.parquet"),
            scale=wildcards.scale,
            step=[f"extract_answers-{name}" for name in settings.load_scale(wildcards.scale).curation.sources]
            + ["deduplicate", "decontaminate", "select_gradable"],
        ),
        train=work("{scale}/data/train/train.parquet"),
        contamination=work("{scale}/data/contamination.csv"),
    output:
        funnel="results/{scale}/curation.csv",
        contamination="results/{scale}/contamination.csv",
        removed=work("{scale}/data/removed.parquet"),
        card=work("{scale}/data/train/README.md"),
        description=work("{scale}/data/train/croissant.json"),
    log:
        "logs/{scale}/summarise_curation/all.log",
    benchmark:
        "logs/{scale}/summarise_curation/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("summarise_curation")
    resources:
        **request("summarise_curation"),
    params:
        **decided_by("summarise_curation", 120),
    message:
        "Counting what curation kept and removed"
    shell:
        "deepscaler summarise_curation"
        " --scale {wildcards.scale:q}"
        " --sources {input.sources:q}"
        " --removed-parts {input.removed:q}"
        " --train {input.train:q}"
        " --funnel {output.funnel:q}"
        " --card {output.card:q}"
        " --description {output.description:q}"
        " --found {input.contamination:q}"
        " --contamination {output.contamination:q}"
        " --removed {output.removed:q}"
        " 2>&1 | tee {log:q}"


rule schedule_prompts:
    input:
        work("{scale}/data/train/train.parquet"),
    output:
        work("{scale}/prompts/{segment}.jsonl"),
    log:
        "logs/{scale}/schedule_prompts/{segment}.log",
    benchmark:
        "logs/{scale}/schedule_prompts/{segment}.tsv"
    priority: 100  # training waits for it
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("schedule_prompts")
    resources:
        **request("schedule_prompts"),
    params:
        **decided_by("schedule_prompts", 12),
    message:
        "Ordering the prompts of segment {wildcards.segment}"
    shell:
        "deepscaler schedule_prompts"
        " --scale {wildcards.scale:q}"
        " --segment {wildcards.segment:q}"
        " --problems {input:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"
