# Base and published models: fetched by pin, or distilled on the spot.
#   in:   config/models.yaml (the hub, by pin; or the miniature's own problems)
#   out:  {work}/{scale}/models/{system}/model.json, with the weights beside it


rule fetch_model:
    output:
        work("{scale}/models/{system}/model.json"),
    log:
        "logs/{scale}/fetch_model/{system}.log",
    benchmark:
        "logs/{scale}/fetch_model/{system}.tsv"
    wildcard_constraints:
        system="|".join(sorted({name for scale in SCALES for name in dag.fetched(scale)})),
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("fetch_model")
    resources:
        **request("fetch_model"),
    params:
        settings=lambda wildcards: dag.weights_digest(wildcards.system),
    message:
        "Fetching the weights of {wildcards.system}"
    shell:
        "deepscaler fetch_model"
        " --scale {wildcards.scale}"
        " --system {wildcards.system}"
        " --output {output}"
        " 2>&1 | tee {log}"


rule distill_base:
    output:
        manifest=work("{scale}/models/{system}/model.json"),
        weights=work("{scale}/models/{system}/model.safetensors"),
    log:
        "logs/{scale}/distill_base/{system}.log",
    benchmark:
        "logs/{scale}/distill_base/{system}.tsv"
    wildcard_constraints:
        system="|".join(sorted({name for scale in SCALES for name in dag.distilled(scale)})),
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("distill_base")
    resources:
        **request("distill_base"),
    params:
        settings=lambda wildcards: dag.weights_digest(wildcards.system),
        seed=setting("seed"),
    message:
        "Distilling the base model {wildcards.system}"
    shell:
        "deepscaler distill_base"
        " --scale {wildcards.scale}"
        " --system {wildcards.system}"
        " --output {output.manifest}"
        " --threads {threads}"
        " 2>&1 | tee {log}"
