# The whole workflow with its own rules, inputs and resources, but jobs that only make their outputs: a test sees in
# order.txt in which order Snakemake started them.


include: "Snakefile"


shell.prefix('deepscaler() {{ python stand_in.py "$@"; }}; ')
