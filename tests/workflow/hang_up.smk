# The whole workflow, and beside it jobs that take as long as a test wants: they end when it makes a file. Two of one
# name at once would be two writers, so each leaves when it began and ended.


include: "Snakefile"


rule take_time:
    output:
        "slow/{name}.txt",
    log:
        "slow/{name}.out",
    shell:
        "mkdir -p slow; echo begin >> slow/{wildcards.name}.log;"
        " for i in $(seq 600); do [ -e slow/{wildcards.name}.end ] && break; sleep 0.1; done 2>&1 | tee {log:q};"
        " echo end >> slow/{wildcards.name}.log; date > {output}"


# As training listens (tests/slurm/told.py): told to end, it ends with its step; saved is what was made
rule train:
    output:
        "slow/trained.txt",
    log:
        "slow/train.out",
    params:
        python=sys.executable,
    shell:
        "trap '' TERM; {params.python} told.py train_segment slow/train 8 1 2>&1 | tee -i {log:q}; date > {output}"
