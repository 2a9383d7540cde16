# Base and published models: fetched by pin, or distilled on the spot.
#   in:   config/models.yaml (the hub, by pin; or the miniature's own problems)
#   out:  {work}/{scale}/models/{system}/model.json, with the weights beside it
# {work}/{scale}/models/.kept/ holds hard links to what a rule declares, so that weights that are there are put back.


rule fetch_model:
    output:
        work("{scale}/models/{system}/model.json"),
    log:
        "logs/{scale}/fetch_model/{system}.log",
    benchmark:
        "logs/{scale}/fetch_model/{system}.tsv"
    wildcard_constraints:
        system="|".join(sorted({re.escape(name) for scale in SCALES for name in dag.fetched(scale)})),
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("fetch_model")
    resources:
        **request("fetch_model"),
    params:
        **decided_by("fetch_model", 20),
    message:
        "Fetching the weights of {wildcards.system}"
    shell:
        "deepscaler fetch_model"
        " --scale {wildcards.scale:q}"
        " --system {wildcards.system:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule distill_base:
    output:
        manifest=work("{scale}/models/{system}/model.json"),
        weights=work("{scale}/models/{system}/model.safetensors"),
    log:
        "logs/{scale}/distill_base/{system}.log",
    benchmark:
        "logs/{scale}/distill_base/{system}.tsv"
    wildcard_constraints:
        system="|".join(sorted({re.escape(name) for scale in SCALES for name in dag.distilled(scale)})),
    conda:
        "../../envs/cpu.yaml"
    threads: cpus("distill_base")
    resources:
        **request("distill_base"),
    params:
        **decided_by("distill_base", 60),
    message:
        "Distilling the base model {wildcards.system}"
    shell:
        "deepscaler distill_base"
        " --scale {wildcards.scale:q}"
        " --system {wildcards.system:q}"
        " --output {output.manifest:q}"
        " --threads {threads}"
        " 2>&1 | tee {log:q}"
