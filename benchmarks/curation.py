"""What curation finds and what it costs: known copies, embedding problems, searching them for similar pairs.

python benchmarks/curation.py --recall --data FOLDER      copies made by rule, planted in real data: how many are found
python benchmarks/curation.py --precision --data FOLDER   what leaves real data, beside what it is a copy of, to be read
python benchmarks/curation.py wording 10000 40000         comparing wordings: time, memory, growth

python benchmarks/curation.py embedding PROBLEMS.json     ours beside plain SentenceTransformer.encode, in turns
python benchmarks/curation.py search 10000 20000 40000    exact search: time, memory, growth
python benchmarks/curation.py approximate 40000           faiss beside the exact search: recall and time

Variants run in turns and ratios are taken round by round, so that a busy machine slows all of them. CPU seconds are of
this process; wall seconds are of the clock.
"""

import argparse
import json
import os
import random
import re
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import recall
from deepscaler.curation import embed, similar

try:
    from deepscaler.curation import wording
except ImportError:  # an older checkout, for --beside
    wording = None  # type: ignore[assignment]
from deepscaler.settings import load_scale
from tqdm import tqdm

DIMENSIONS = 384
FLOOR, NEIGHBOURS = 0.87, 64


def timed(function: Callable[[], object]) -> tuple[float, float, object]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def embedding(path: Path, count: int, rounds: int, threads: int) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    texts = [row["problem"] for row in json.loads(path.read_text(encoding="utf-8"))]
    texts = texts[:: max(1, len(texts) // count)][:count]
    settings = load_scale("paper").curation
    assert settings
    ours = embed.Embedder(settings.embedding)
    folder = embed.model_folder(settings.embedding, None)
    half = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.bfloat16})
    int8 = SentenceTransformer(str(folder), device="cpu")
    int8[0].model = torch.ao.quantization.quantize_dynamic(int8[0].model, {torch.nn.Linear}, dtype=torch.qint8)

    def plain(model: SentenceTransformer) -> np.ndarray:
        vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False, convert_to_tensor=True)
        return vectors.float().numpy()

    variants: dict[str, Callable[[], np.ndarray]] = {
        "plain encode (batch 32)": lambda: plain(ours.model),
        "by length, 1,024 tokens a batch": lambda: ours.embed(texts),
        "plain encode, bfloat16": lambda: plain(half),
        "plain encode, int8 linear layers": lambda: plain(int8),
    }
    reference = variants["plain encode (batch 32)"]()
    walls: dict[str, list[float]] = {name: [] for name in variants}
    cpus: dict[str, list[float]] = {name: [] for name in variants}
    differences = {}
    for _ in range(rounds):
        for name, function in variants.items():
            wall, cpu, vectors = timed(function)
            walls[name].append(wall)
            cpus[name].append(cpu)
            assert isinstance(vectors, np.ndarray)
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            differences[name] = float(np.abs(vectors @ vectors.T - reference @ reference.T).max())
    print(
        f"{len(texts)} problems of {path.name}, {sum(ours.lengths(texts))} tokens, {threads} threads, {rounds} rounds"
    )
    base = "plain encode (batch 32)"
    for name in variants:
        ratio = statistics.median(a / b for a, b in zip(cpus[base], cpus[name], strict=True))
        wall_ratio = statistics.median(a / b for a, b in zip(walls[base], walls[name], strict=True))
        print(
            f"{name:36} {len(texts) / statistics.median(cpus[name]):7.1f} problems a CPU second, "
            f"{ratio:.2f} × plain by CPU, {wall_ratio:.2f} × by the clock, "
            f"cosines differ by at most {differences[name]:.1e}"
        )


def vectors_like_problems(size: int) -> np.ndarray:
    """Unit vectors in loose clusters, a few of them near duplicates, as embeddings of problems are."""
    random = np.random.default_rng(size)
    centres = random.normal(size=(max(1, size // 100), DIMENSIONS))
    vectors = centres[random.integers(0, len(centres), size)] + 1.2 * random.normal(size=(size, DIMENSIONS))
    copies = random.integers(0, size, size // 50)
    vectors[: len(copies)] = vectors[copies] + 0.1 * random.normal(size=(len(copies), DIMENSIONS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def search(sizes: list[int]) -> None:
    before = None
    for size in sizes:
        vectors = vectors_like_problems(size)
        wall, cpu, pairs = timed(lambda vectors=vectors: similar.earlier_pairs(vectors, FLOOR, NEIGHBOURS))
        assert isinstance(pairs, similar.Pairs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        growth = f", growth {np.log(cpu / before[1]) / np.log(size / before[0]):.2f}" if before else ""
        print(
            f"{size:>9,} items: {cpu:7.1f} s CPU, {wall:7.1f} s, peak {peak:,.0f} MB, {len(pairs.rows)} pairs{growth}"
        )
        before = (size, cpu)


def approximate(size: int) -> None:
    import faiss

    vectors = vectors_like_problems(size)
    _wall, cpu, exact = timed(lambda: similar.earlier_pairs(vectors, FLOOR, NEIGHBOURS))
    assert isinstance(exact, similar.Pairs)
    wanted = set(zip(exact.rows.tolist(), exact.columns.tolist(), strict=True))
    print(f"exact: {cpu:.1f} s CPU, {len(wanted)} pairs")
    lists = int(4 * size**0.5)
    for probes in (4, 16, 64):
        start = time.process_time()
        quantiser = faiss.IndexFlatIP(DIMENSIONS)
        index = faiss.IndexIVFFlat(quantiser, DIMENSIONS, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.niter = 5
        index.train(vectors[: 50 * lists])
        index.add(vectors)
        index.nprobe = probes
        limits, _scores, found = index.range_search(vectors, FLOOR)
        rows = np.repeat(np.arange(size), np.diff(limits.astype(np.int64)))
        pairs = {(int(r), int(c)) for r, c in zip(rows, found, strict=True) if c < r}
        seconds = time.process_time() - start
        print(
            f"IVF, {lists} lists, {probes} probed: {seconds:.1f} s CPU ({seconds / cpu:.2f} × exact), "
            f"recall {len(pairs & wanted) / max(1, len(wanted)):.4f}"
        )


def wordings(data: Path, sizes: list[int]) -> None:
    settings = load_scale("paper").curation
    assert settings
    real = [row["problem"] for some in recall.read_sources(data).values() for row in some if row["problem"]]
    before = None
    for size in sizes:
        texts = problems_like(real, size)
        wall, cpu, pairs = timed(
            lambda texts=texts: wording.earlier_wordings(
                texts, settings.deduplicate.wording_same_answer, settings.wording
            )
        )
        assert isinstance(pairs, similar.Pairs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        growth = f", growth {np.log(cpu / before[1]) / np.log(size / before[0]):.2f}" if before else ""
        took = f"{cpu:7.1f} s CPU, {wall:7.1f} s, peak {peak:,.0f} MB"
        print(f"{size:>9,} problems: {took}, {len(pairs.rows)} pairs{growth}")
        before = (size, cpu)


def problems_like(real: list[str], size: int) -> list[str]:
    """Real problems, and as many more as are wanted: real ones with other numbers and every third word another's."""
    state = random.Random(size)
    vocabulary = [word for text in real[::7] for word in text.split()]

    def other(text: str) -> str:
        words = [word if state.random() < 0.67 else state.choice(vocabulary) for word in text.split()]
        return re.sub(r"\d", lambda _: str(state.randrange(10)), " ".join(words))

    return real[:size] + [other(state.choice(real)) for _ in range(size - len(real))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = os.environ.get("DEEPSCALER_SHARED")
    parser.add_argument("--recall", action="store_true")
    parser.add_argument("--precision", action="store_true")
    parser.add_argument("--run", type=Path, help="a folder that --recall has planted: both steps by this code")
    parser.add_argument("--data", type=Path, default=Path(known) / "data" if known else None, help="see recall.py")
    parser.add_argument("--vectors", type=Path, default=Path("vectors.npz"), help="file that keeps embeddings")
    parser.add_argument("--each", type=int, default=25, help="copies of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--beside", type=Path, help="another checkout, measured on the same copies")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where tables are written and kept")
    what = parser.add_subparsers(dest="what")
    one = what.add_parser("embedding")
    one.add_argument("problems", type=Path)
    one.add_argument("--count", type=int, default=200)
    one.add_argument("--rounds", type=int, default=3)
    one.add_argument("--threads", type=int, default=2)
    two = what.add_parser("search")
    two.add_argument("sizes", type=int, nargs="+")
    four = what.add_parser("wording")
    four.add_argument("sizes", type=int, nargs="+")
    three = what.add_parser("approximate")
    three.add_argument("size", type=int)
    given = parser.parse_args()
    quiet = lambda **options: tqdm(disable=True)  # noqa: E731
    embed.progress = similar.progress = quiet  # type: ignore[assignment]
    if given.run:
        recall.run(given.run, given.vectors, given.threads)
    elif given.recall or given.precision:
        with TemporaryDirectory(prefix="deepscaler-recall-") as aside:
            folder = given.folder or Path(aside)
            folder.mkdir(parents=True, exist_ok=True)
            if given.recall:
                recall.recall(given.data, given.vectors, given.each, given.seed, given.beside, given.threads, folder)
            else:
                recall.precision(given.data, given.vectors, given.threads, folder)
    elif given.what == "wording":
        wordings(given.data, given.sizes)
    elif given.what == "embedding":
        embedding(given.problems, given.count, given.rounds, given.threads)
    elif given.what == "search":
        search(given.sizes)
    else:
        approximate(given.size)


if __name__ == "__main__":
    main()
