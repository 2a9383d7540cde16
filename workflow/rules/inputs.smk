# The inputs of rules that depend on the settings: which checkpoint, which shards, which figures. No rules.
#   in:   a rule's wildcards ({scale}, {segment}, {system}, {suite}, {figure}) and the settings
#   out:  lists of paths below {work}/{scale}/ and results/{scale}/


def manifest_of(scale, system):
    """The file that stands for a system's weights."""
    segment = dag.checkpoint_of(scale, system)
    if segment:
        return f"{WORK}/{scale}/checkpoints/{segment}/checkpoint.json"
    return f"{WORK}/{scale}/models/{system}/model.json"


def base_manifest(wildcards):
    return manifest_of(wildcards.scale, settings.load_scale(wildcards.scale).base)


def tokenizer_manifest(wildcards):
    """The base model, whose tokenizer counts; none where it is distilled, since its tokenizer is known before it is."""
    base = settings.load_scale(wildcards.scale).base
    return [] if base in dag.distilled(wildcards.scale) else base_manifest(wildcards)


def system_manifest(wildcards):
    return manifest_of(wildcards.scale, wildcards.system)


def parent_manifest(wildcards):
    """What a segment starts from: the checkpoint before it, or the base model."""
    parent = dag.segment(wildcards.scale, wildcards.segment).parent
    return manifest_of(wildcards.scale, parent) if parent else base_manifest(wildcards)


def first_of_stage(wildcards):
    """The preflight that a stage's first job waits for; it is old news to a job that has run."""
    segment = dag.segment(wildcards.scale, wildcards.segment)
    path = f"{WORK}/{wildcards.scale}/preflight/{segment.id}.json"
    return ancient(path) if segment.starts_stage else []


def suite_benchmarks(wildcards):
    return expand(
        work("{scale}/benchmarks/{benchmark}.parquet"),
        scale=wildcards.scale,
        benchmark=settings.load_scale(wildcards.scale).evaluation.suites[wildcards.suite],
    )


def suite_shards(wildcards):
    shards = settings.load_scale(wildcards.scale).evaluation.shards[wildcards.suite]
    return expand(
        work("{scale}/samples/{system}/{suite}-{shard}of{shards}.parquet"),
        scale=wildcards.scale,
        system=wildcards.system,
        suite=wildcards.suite,
        shard=range(1, shards + 1),
        shards=shards,
    )


def table_scores(wildcards):
    return expand(
        "results/{scale}/scores/{system}-table.json",
        scale=wildcards.scale,
        system=dag.evaluated(wildcards.scale),
    )


def table_grades(wildcards):
    return expand(
        work("{scale}/grades/{system}/table.parquet"),
        scale=wildcards.scale,
        system=dag.evaluated(wildcards.scale),
    )


def curve_scores(wildcards):
    return [f"results/{wildcards.scale}/scores/{p.system}-{p.suite}.json" for p in dag.curve(wildcards.scale)]


def figure_inputs(wildcards):
    """Figures 1–4 draw training, figure 5 the table."""
    results = f"results/{wildcards.scale}"
    if wildcards.figure == "1":
        return curve_scores(wildcards)
    return [f"{results}/table.csv"] if wildcards.figure == "5" else [f"{results}/training.csv"]


def tables_and_figures(scale):
    names = ["table.csv", "table.md", "tokens.csv", "agreement.csv", "comparisons.csv", "curve.csv"]
    names += ["compute.csv", "settings.yaml"]
    figures = [5]
    if settings.load_scale(scale).training:
        names += ["curation.csv", "contamination.csv", "training.csv"]
        figures = [1, 2, 3, 4, 5]
    names += [f"figures/figure-{number}.{kind}" for number in figures for kind in ("png", "pdf")]
    names += [f"notebooks/figure-{number}.ipynb" for number in figures]
    return [f"results/{scale}/{name}" for name in names]


def results_of(scale):
    """All that a scale yields: a file that is not asked for here would stay lost, once its readers have run.

    Nothing where its settings can't be read: whoever asks for it has been refused.
    """
    if scale not in SCALES:
        return []
    if settings.load_scale(scale).rehearsal:
        names = ["go.txt", "report.html", "checks.csv", "rehearsal.json", "settings.yaml", "training.csv"]
        return [f"results/{scale}/{name}" for name in names]
    scores = [f"results/{scale}/scores/{system}-{suite}.json" for system, suite in dag.scored(scale)]
    last = ["claims.csv", "ro-crate-metadata.json", "report.html"]
    return tables_and_figures(scale) + scores + [f"results/{scale}/{name}" for name in last]


def evidence(wildcards):
    """Everything that claims, provenance and the report speak of."""
    return tables_and_figures(wildcards.scale)


def rehearsed_paths(wildcards):
    """What stands at the end of every path that a rehearsal tries."""
    folder, chain = f"{WORK}/{wildcards.scale}", dag.segments(wildcards.scale)
    checkpoints = [f"{folder}/checkpoints/{segment.id}/checkpoint.json" for segment in chain]
    nodes = [ancient(f"{folder}/preflight/{segment.id}.json") for segment in chain if segment.starts_stage]
    return checkpoints + nodes + table_grades(wildcards)


def rehearsed_settings(wildcards):
    """Bounds, and what is held against them: the settings of the rehearsal and of the scale that it rehearses."""
    own = settings.load_scale(wildcards.scale).rehearsal
    return [f"results/{name}/settings.yaml" for name in (wildcards.scale, *([own.of] if own else []))]
