# What a reviewer reads: figures, claims, compute, provenance, one page.
#   in:   results/{scale}/table.csv, training.csv, scores/*.json; logs/{scale}/ (times); config/claims.yaml;
#         workflow/notebooks/figure-{figure}.ipynb
#   out:  results/{scale}/settings.yaml, figures/figure-{figure}.png and .pdf, notebooks/figure-{figure}.ipynb,
#         compute.csv, claims.csv, ro-crate-metadata.json, report.html
#         of a rehearsal: checks.csv, rehearsal.json, report.html, go.txt


rule resolve_settings:
    output:
        "results/{scale}/settings.yaml",
    log:
        "logs/{scale}/resolve_settings/all.log",
    benchmark:
        "logs/{scale}/resolve_settings/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("resolve_settings")
    resources:
        **request("resolve_settings"),
    params:
        **decided_by("resolve_settings", 240),
    message:
        "Recording settings, versions and seeds of {wildcards.scale}"
    shell:
        "deepscaler resolve_settings" " --scale {wildcards.scale:q}" " --output {output:q}" " 2>&1 | tee {log:q}"


rule draw_figure:
    input:
        ours("config/claims.yaml"),
        notebook=ours("workflow/notebooks/figure-{figure}.ipynb"),
        data=figure_inputs,
    output:
        png=report(
            "results/{scale}/figures/figure-{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "scale": "{scale}"},
        ),
        pdf="results/{scale}/figures/figure-{figure}.pdf",
        notebook="results/{scale}/notebooks/figure-{figure}.ipynb",
    log:
        "logs/{scale}/draw_figure/{figure}.log",
    benchmark:
        "logs/{scale}/draw_figure/{figure}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("draw_figure")
    resources:
        **request("draw_figure"),
    params:
        **decided_by("draw_figure", 30),
    message:
        "Drawing figure {wildcards.figure} of {wildcards.scale}"
    shell:
        "deepscaler draw_figure"
        " --scale {wildcards.scale:q}"
        " --notebook {input.notebook:q}"
        " --data {input.data:q}"
        " --png {output.png:q}"
        " --pdf {output.pdf:q}"
        " --executed {output.notebook:q}"
        " 2>&1 | tee {log:q}"


rule account_compute:
    input:
        claims=ours("config/claims.yaml"),
        tables=lambda wildcards: [f"results/{wildcards.scale}/table.csv"]
        + ([f"results/{wildcards.scale}/training.csv"] if settings.load_scale(wildcards.scale).training else []),
    output:
        report(
            "results/{scale}/compute.csv",
            caption="../report/compute.rst",
            category="Evidence",
            labels={"what": "compute", "scale": "{scale}"},
        ),
    log:
        "logs/{scale}/account_compute/all.log",
    benchmark:
        "logs/{scale}/account_compute/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("account_compute")
    resources:
        **request("account_compute"),
    params:
        **decided_by("account_compute", 180),
    message:
        "Accounting for compute at {wildcards.scale}"
    shell:
        "deepscaler account_compute"
        " --scale {wildcards.scale:q}"
        " --benchmarks logs/{wildcards.scale:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule check_claims:
    input:
        claims=ours("config/claims.yaml"),
        evidence=evidence,
    output:
        report(
            "results/{scale}/claims.csv",
            caption="../report/claims.rst",
            category="Evidence",
            labels={"what": "claims", "scale": "{scale}"},
        ),
    log:
        "logs/{scale}/check_claims/all.log",
    benchmark:
        "logs/{scale}/check_claims/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("check_claims")
    resources:
        **request("check_claims"),
    params:
        **decided_by("check_claims", 1),
    message:
        "Comparing the results of {wildcards.scale} with the paper's claims"
    shell:
        "deepscaler check_claims"
        " --scale {wildcards.scale:q}"
        " --claims {input.claims:q}"
        " --results results/{wildcards.scale:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule record_provenance:
    input:
        evidence,
        "results/{scale}/claims.csv",
    output:
        "results/{scale}/ro-crate-metadata.json",
    log:
        "logs/{scale}/record_provenance/all.log",
    benchmark:
        "logs/{scale}/record_provenance/all.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("record_provenance")
    resources:
        **request("record_provenance"),
    params:
        work=work("{scale}"),
    message:
        "Recording the provenance of {wildcards.scale}"
    shell:
        "deepscaler record_provenance"
        " --scale {wildcards.scale:q}"
        " --results results/{wildcards.scale:q}"
        " --work {params.work:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule write_report:
    input:
        evidence,
        "results/{scale}/claims.csv",
        "results/{scale}/ro-crate-metadata.json",
    output:
        "results/{scale}/report.html",
    log:
        "logs/{scale}/write_report/all.log",
    benchmark:
        "logs/{scale}/write_report/all.tsv"
    wildcard_constraints:
        scale=one_of(name for name in SCALES if not settings.load_scale(name).rehearsal),
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("write_report")
    resources:
        **request("write_report"),
    params:
        work=work("{scale}"),
    message:
        "Writing the report of {wildcards.scale}"
    shell:
        "deepscaler write_report"
        " --scale {wildcards.scale:q}"
        " --results results/{wildcards.scale:q}"
        " --work {params.work:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule judge_rehearsal:
    input:
        rehearsed_paths,
        settings=rehearsed_settings,
    output:
        checks="results/{scale}/checks.csv",
        record="results/{scale}/rehearsal.json",
        page="results/{scale}/report.html",
    log:
        "logs/{scale}/judge_rehearsal/all.log",
    benchmark:
        "logs/{scale}/judge_rehearsal/all.tsv"
    wildcard_constraints:
        scale=one_of(name for name in SCALES if settings.load_scale(name).rehearsal),
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("judge_rehearsal")
    resources:
        **request("judge_rehearsal"),
    params:
        work=work("{scale}"),
    message:
        "Judging the rehearsal {wildcards.scale}"
    shell:
        "deepscaler judge_rehearsal"
        " --scale {wildcards.scale:q}"
        " --work {params.work:q}"
        " --benchmarks logs/{wildcards.scale:q}"
        " --checks {output.checks:q}"
        " --record {output.record:q}"
        " --page {output.page:q}"
        " 2>&1 | tee {log:q}"


rule require_go:
    input:
        "results/{scale}/rehearsal.json",
    output:
        "results/{scale}/go.txt",
    log:
        "logs/{scale}/require_go/all.log",
    benchmark:
        "logs/{scale}/require_go/all.tsv"
    retries: 0
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("require_go")
    resources:
        **request("require_go"),
    message:
        "Go or no go"
    shell:
        "deepscaler require_go" " --record {input:q}" " --output {output:q}" " 2>&1 | tee {log:q}"
