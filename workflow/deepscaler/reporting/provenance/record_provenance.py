"""The provenance of a scale's results as a Workflow Run RO-Crate: every file with its SHA-256, and its job.

The crate lies beside the results, with a copy of the workflow and its settings in `source/`. What lies elsewhere (data,
weights, samples) is named by an `arcp://name,deepscaler/…` address, which holds no path of the machine.
Profiles: https://w3id.org/ro/wfrun/
"""

import mimetypes
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.files import read_json, sha256, write_json, writing
from deepscaler.folders import is_within
from deepscaler.progress import progress
from deepscaler.reporting.file_names import name_of, path_of
from deepscaler.reporting.provenance.jobs import RunJob, run_jobs
from deepscaler.reporting.provenance.steps import add_steps, usage
from deepscaler.versions import commit, home_page, versions

ADDRESS = "arcp://name,deepscaler/"
PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate"),
)
TERMS = {name: f"https://w3id.org/ro/terms/workflow-run#{name}" for name in ("sha256", "resourceUsage")}
SOURCE = "source"
"""Folder beside the results for a copy of the workflow and its settings."""
WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
MEDIA_TYPES = {"yaml": "application/yaml", "jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet",
               "ipynb": "application/x-ipynb+json", "md": "text/markdown"}  # fmt: skip
MANIFESTS = ("checkpoint.json", "model.json")
SOFTWARE = {
    "python": "https://www.python.org/",
    "openrlhf": "https://github.com/OpenRLHF/OpenRLHF",
    "deepscaler": f"{ADDRESS}workflow/deepscaler",
}
"""Addresses of what has no metadata of its own."""
AUTHORS = {"@id": "#authors", "@type": "Organization", "name": "The authors of this repository"}
"""As in CITATION.cff."""
LICENCE = "https://spdx.org/licenses/MIT"


def record_provenance(*, scale: str, folder: Path, work: Path, output: Path) -> None:
    """Write ro-crate-metadata.json for the results in `folder` and what they were made from in `work`."""
    if not folder.is_dir():
        raise UserError("no such folder of results", folder)
    jobs = [job for job in run_jobs(scale) if name_of(str(output)) not in job.outputs]
    copy_source(folder / SOURCE)
    names = sorted({*files_of_jobs(jobs), *files_of_results(folder, output)} - {name_of(str(output))})
    digests = digests_of(names)
    crate = Crate(scale, digests)
    crate.add_run(jobs)
    write_json(output, crate.generate())
    print(f"Recorded {len(digests)} files and {len(jobs)} jobs")


def files_of_jobs(jobs: list[RunJob]) -> set[str]:
    """All files that the jobs read or wrote."""
    return {name for job in jobs for name in (*job.inputs, *job.outputs)}


def files_of_results(folder: Path, output: Path) -> set[str]:
    """All files of the results folder, except the record itself and what is made from it."""
    later = {output.name, "report.html", "so-far.html"}
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {name_of(str(path)) for path in files if path.relative_to(folder).as_posix() not in later}


def copy_source(target: Path) -> None:
    """The workflow and its settings as they are now, beside the results; not what is this computer's own.

    `*.local.yaml`, which git ignores, names accounts, paths and servers that are nobody else's business.
    """
    root = settings.project_root()
    own = [path for path in root.glob("config/**/*.yaml") if not path.name.endswith(".local.yaml")]
    files = [root / "Snakefile", *root.glob("workflow/rules/*.smk"), *own]
    with writing(target) as aside:
        for path in files:
            copy = aside / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def digests_of(names: list[str]) -> dict[str, tuple[str, int]]:
    """Name → (SHA-256, bytes) of what is there; a weight's digest is taken from its manifest."""
    known: dict[str, str] = {}
    for name in names:
        if name.endswith(MANIFESTS) and path_of(name).is_file():
            parent = name.rsplit("/", 1)[0]
            files = read_json(path_of(name)).get("files", {})
            known |= {f"{parent}/{file}": digest for file, digest in files.items() if is_within(file)}
    found = {}
    for name in progress(sorted({*names, *known}), what="hashing", unit="file"):
        path = path_of(name)
        if path.is_file():
            found[name] = (known.get(name) or sha256(path), path.stat().st_size)
    return found


class Crate:
    """Builds the crate: files, the workflow, an action for the run and one for each job."""

    def __init__(self, scale: str, digests: dict[str, tuple[str, int]]) -> None:
        from rocrate.rocrate import ROCrate

        self.scale, self.digests = scale, digests
        self.crate = ROCrate(version="1.1")
        self.crate.metadata.extra_terms.update(TERMS)
        self.crate.name = f"DeepScaleR, results of scale {scale}"
        self.crate.description = settings.load_scale(scale).description
        self.crate.license = self.crate.add_jsonld(
            {"@id": LICENCE, "@type": "CreativeWork", "name": "MIT License", "identifier": "MIT"}
        )
        self.authors = self.crate.add_jsonld(dict(AUTHORS))
        self.crate.root_dataset["author"] = self.authors
        self.snakefile = f"results/{scale}/{SOURCE}/Snakefile"
        self.files = {name: self.add_file(name) for name in digests if name != self.snakefile}
        self.workflow = self.add_workflow()
        self.crate.metadata.append_to("conformsTo", {"@id": PROFILES[-1][0]})

    def generate(self) -> dict[str, Any]:
        """The crate as JSON-LD, entities in a fixed order."""
        record: dict[str, Any] = self.crate.metadata.generate()
        return record

    def add_file(self, name: str) -> Any:
        """A file of the results by its path in the crate, any other by its address."""
        digest, size = self.digests[name]
        inside = f"results/{self.scale}/"
        properties = {"name": name, "sha256": digest, "contentSize": str(size), "encodingFormat": media_type(name)}
        if name.startswith(inside):
            return self.crate.add_file(dest_path=name.removeprefix(inside), properties=properties)
        return self.crate.add_file(ADDRESS + name, properties=properties)

    def add_workflow(self) -> Any:
        language = self.crate.add_jsonld(
            {
                "@id": "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
                "@type": "ComputerLanguage",
                "name": "Snakemake",
                "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
                "url": {"@id": "https://snakemake.readthedocs.io"},
                "version": versions().get("snakemake", ""),
            }
        )
        digest, size = self.digests[self.snakefile]
        workflow = self.crate.add_file(
            dest_path=f"{SOURCE}/Snakefile",
            properties={
                "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
                "name": self.snakefile,
                "sha256": digest,
                "contentSize": str(size),
                "version": commit() or "unknown",
                "license": {"@id": LICENCE},
                "encodingFormat": "text/plain",
                "conformsTo": {"@id": WORKFLOW_PROFILE},
            },
        )
        workflow["programmingLanguage"] = language
        self.crate.root_dataset["mainEntity"] = workflow
        return workflow

    def add_run(self, jobs: list[RunJob]) -> None:
        """The whole run, with its parameters and the software that ran it, and each of its jobs."""
        software = [self.add_software(name, version) for name, version in versions().items()]
        self.workflow["softwareRequirements"] = software
        parameters = [self.add_parameter("scale", self.scale), self.add_parameter("seed", self.seed())]
        made = {name for job in jobs for name in job.outputs}
        given = {name for job in jobs for name in job.inputs} - made
        inputs = {name for name in self.files if name in given or f"/{SOURCE}/config/" in name}
        run = self.crate.add_action(
            self.workflow,
            identifier="#run",
            object=[*(self.files[name] for name in sorted(inputs)), *parameters],
            result=[self.files[name] for name in sorted(made) if name in self.files],
            properties={
                "name": f"snakemake {self.scale}",
                "description": f"The workflow's run at scale {self.scale}: {len(jobs)} jobs",
                "agent": self.authors,
                **times(jobs),
            },
        )
        executions = [(job, self.add_job(n, job)) for n, job in enumerate(jobs, start=1)]
        self.crate.root_dataset["mentions"] = [run, *(action for _, action in executions)]
        add_steps(self, run, executions)
        self.crate.root_dataset["conformsTo"] = [
            self.crate.add_jsonld({"@id": url, "@type": "CreativeWork", "name": name, "version": url.rsplit("/", 1)[1]})
            for url, name in PROFILES
            if jobs or name != "Provenance Run Crate"  # of results that came without Snakemake's records
        ]

    def add_software(self, name: str, version: str) -> Any:
        identifier = SOFTWARE.get(name, f"#{name}")
        properties = {"@type": "SoftwareApplication", "name": name, "softwareVersion": version}
        url = SOFTWARE.get(name) or home_page(name)
        return self.crate.add_jsonld({"@id": identifier, **({"url": {"@id": url}} if url else {}), **properties})

    def seed(self) -> int:
        return settings.load_scale(self.scale).seed

    def add_parameter(self, name: str, value: object) -> Any:
        formal = self.crate.add_formal_parameter(name, "Text" if isinstance(value, str) else "Integer")
        self.workflow.append_to("input", formal)
        entity = {"@id": f"#{name}", "@type": "PropertyValue", "name": name, "value": value}
        parameter = self.crate.add_jsonld(entity)
        parameter["exampleOfWork"] = formal
        return parameter

    def add_job(self, number: int, job: RunJob) -> Any:
        rule = self.crate.get(f"{ADDRESS}rule/{job.rule}") or self.crate.add_jsonld(
            {
                "@id": f"{ADDRESS}rule/{job.rule}",
                "@type": "SoftwareApplication",
                "name": f"deepscaler {job.rule}",
                "softwareVersion": versions()["deepscaler"],
            }
        )
        return self.crate.add_action(
            rule,
            identifier=f"#job-{number}",
            object=one_or_many(
                [*(self.files[name] for name in job.inputs if name in self.files), *self.settings_of(job)]
            ),
            result=one_or_many([self.files[name] for name in self.outputs_of(job) if name in self.files]),
            properties={
                "name": job.rule,
                "description": job.command,
                "agent": self.authors,
                **self.usage_of(f"#job-{number}", job),
                **times([job]),
            },
        )

    def settings_of(self, job: RunJob) -> list[Any]:
        """An entity for each setting that decided the job's files; jobs share those that are the same."""
        found = []
        for setting in job.settings:
            name, _, value = setting.partition("=")
            key = f"#setting-{quote(setting, safe='=')}"
            entity = {"@id": key, "@type": "PropertyValue", "name": name, "value": value}
            found.append(self.crate.get(key) or self.crate.add_jsonld(entity))
        return found

    def usage_of(self, job_id: str, job: RunJob) -> dict[str, Any]:
        entities = [
            self.crate.add_jsonld({"@id": f"{job_id}-{measured['propertyID']}", "@type": "PropertyValue", **measured})
            for measured in usage(job)
        ]
        return {"resourceUsage": one_or_many(entities)} if entities else {}

    def outputs_of(self, job: RunJob) -> list[str]:
        """The job's outputs, and where one is a manifest, the files of its folder."""
        folders = {name.rsplit("/", 1)[0] + "/" for name in job.outputs if name.endswith(MANIFESTS)}
        beside = {name for name in self.files if any(name.startswith(folder) for folder in folders)}
        return sorted({*job.outputs, *beside})


def one_or_many(entities: list[Any]) -> Any:
    """JSON-LD as RO-Crate wants it: a single value is not a list."""
    return entities[0] if len(entities) == 1 else entities


def media_type(name: str) -> str:
    return mimetypes.guess_type(name)[0] or MEDIA_TYPES.get(name.rsplit(".", 1)[-1], "application/octet-stream")


def times(jobs: list[RunJob]) -> dict[str, Any]:
    if not jobs:
        return {}
    start, end = min(job.started for job in jobs), max(job.ended for job in jobs)
    return {
        "startTime": iso(start),
        "endTime": iso(end),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
