# Jobs that only take time, with the requests of the real ones, so that faults can be tried in seconds.


include: "../../workflow/rules/common.smk"


onerror:
    for line in failed_jobs.describe(*log):
        print(line, file=sys.stderr)


onstart:
    if workflow.executor_plugin.name == "slurm":
        before_submission.check_cluster(workflow)


# The first attempt leaves a note where it runs and waits to be hit; a later one finds the note and finishes.
TWO_ATTEMPTS = (
    ' where="$(hostname) $CUDA_VISIBLE_DEVICES";'
    " if [ -e $note ]; then echo $where > {output}; else echo $where > $note; exec -a hit-$note sleep 600; fi"
)


rule one_gpu:
    output:
        "faults/{scale}/{name}.txt",
    wildcard_constraints:
        name="[a-z]+",
    resources:
        **request("sample"),
    shell:
        "note=faults/{wildcards.name};" + TWO_ATTEMPTS


rule whole_node:
    output:
        "faults/{scale}/{segment}.txt",
    resources:
        **request("train_segment"),
    shell:
        "note=faults/{wildcards.segment};" + TWO_ATTEMPTS


# It ends when the test says so. Two of one name at once would be two writers: each leaves when it began and ended.
rule no_gpu:
    output:
        "slow/{scale}/{name}.txt",
    resources:
        **(request("score") | {"slurm_extra": lambda wildcards: os.environ.get(f"EXTRA_{wildcards.name}")}),
    shell:
        "echo begin >> slow/{wildcards.name}.log;"
        " for i in $(seq 1500); do [ -e slow/{wildcards.name}.end ] && break; sleep 0.1; done;"
        " echo end >> slow/{wildcards.name}.log; date > {output}"


# Two jobs that are submitted as one (`--groups first=pair second=pair`), of which the second can't be done
rule first:
    output:
        "pair/{scale}/first.txt",
    log:
        "logs/{scale}/first/all.log",
    resources:
        **request("score"),
    shell:
        "date 2>&1 > {output} | tee {log}"


rule second:
    input:
        "pair/{scale}/first.txt",
    output:
        "pair/{scale}/second.txt",
    log:
        "logs/{scale}/second/all.log",
    resources:
        **request("score"),
    shell:
        "(echo some chatter; echo 'ValueError: the grades are not there' ; exit 3) 2>&1 | tee {log}"


# Training as SLURM sees it, on one node: the name, the request and the shell are the real rule's, the steps take time.
# Each segment is told to end in another way.
PLACES = {"8k-1": "spare", "8k-2": "scratch"}  # each a node of its own there, which is taken from it
ASKED = request("train_segment")


def asked_of_slurm(wildcards):
    return ASKED["slurm_extra"](wildcards) + (" --exclusive" if wildcards.segment in PLACES else "")


rule train_segment:
    output:
        "told/{scale}/{segment}.txt",
    log:
        "logs/told/{scale}/{segment}.log",
    resources:
        **(
            ASKED
            | {
                "slurm_partition": lambda wildcards: PLACES.get(wildcards.segment, "gpu"),
                "slurm_extra": asked_of_slurm,
            }
        ),
    params:
        python=sys.executable,
    shell:
        "trap '' TERM; {params.python} tests/slurm/told.py train_segment"
        " {WORK}/{wildcards.scale}/runs/{wildcards.segment} 40 1"
        " 2>&1 | tee -i {log}; date > {output}"
