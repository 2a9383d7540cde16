"""How each harness is asked: its own function, called as the harness itself calls it.

Each loader imports its harness and gives a function of one gold and one completion, both as text, to whether that is
right. Run by the harness's own environment, so nothing of this project may be imported here.
"""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

Function = Callable[[str, str], bool]


def math_verify() -> Function:
    """Hugging Face's math-verify: `parse` and `verify`, as its README calls them."""
    from math_verify import parse, verify

    return lambda gold, completion: bool(verify(parse(boxed(gold)), parse(completion)))


def lm_eval() -> Function:
    """EleutherAI's lm-eval, metric `math_verify` of its task minerva_math."""
    return lambda gold, completion: bool(minerva_math(gold, completion)["math_verify"])


def lm_eval_exact_match() -> Function:
    """The same task's `exact_match`, which reads "The final answer is ... I hope it is correct." and no box."""
    return lambda gold, completion: bool(minerva_math(gold, completion)["exact_match"])


def minerva_math(gold: str, completion: str) -> dict[str, int]:
    from lm_eval.tasks.minerva_math import utils

    problem = {"solution": boxed(gold), "answer": utils.normalize_final_answer(gold)}
    return utils.process_results(problem, [completion])


def lighteval() -> Function:
    """Hugging Face's lighteval: the metric of its task math_500."""
    from lighteval.metrics.metrics import Metrics
    from lighteval.models.model_output import ModelResponse
    from lighteval.tasks.requests import Doc

    metric = Metrics.pass_at_k_math(sample_params={"k": 1, "n": 1}).sample_level_fn

    def right(gold: str, completion: str) -> bool:
        question = Doc(query="", choices=[f"ANSWER: {boxed(gold)}"], gold_index=0)
        return bool(metric.compute(doc=question, model_response=ModelResponse(text=[completion])))

    return right


def inspect_ai() -> Function:
    """The UK AI Security Institute's inspect: its scorer `math`.

    Its limit of two seconds by the clock is lifted, so that the verdict is the same on a busy machine.
    """
    import anyio
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Target, math
    from inspect_ai.solver import TaskState

    async def score(gold: str, completion: str) -> bool:
        state = TaskState(
            model="none/none",
            sample_id=0,
            epoch=1,
            input="",
            messages=[],
            output=ModelOutput.from_content("none", completion),
        )
        scored = await math(timeout=600)(state, Target(gold))
        return scored is not None and scored.value == "C"

    return lambda gold, completion: anyio.run(score, gold, completion)


def verl() -> Function:
    """verl's reward of MATH-500: its dispatcher, asked with that data set's name."""
    alone("verl", "verl.utils")
    from verl.utils.reward_score import default_compute_score

    return lambda gold, completion: bool(default_compute_score("HuggingFaceH4/MATH-500", completion, gold) == 1.0)


def openrlhf() -> Function:
    """OpenRLHF's reward helpers: the answer in the last box, held against the gold."""
    alone("openrlhf", "openrlhf.utils")
    from openrlhf.utils.math_utils import extract_boxed_answer, grade_answer

    return lambda gold, completion: bool(grade_answer(extract_boxed_answer(completion), gold))


FUNCTIONS: dict[str, Callable[[], Function]] = {
    "math-verify": math_verify,
    "lm-eval": lm_eval,
    "lm-eval-exact-match": lm_eval_exact_match,
    "lighteval": lighteval,
    "inspect-ai": inspect_ai,
    "verl": verl,
    "openrlhf": openrlhf,
}


def load(name: str) -> Function:
    """The function of an opinion, called once so that what it imports late is there before a process is confined."""
    function = FUNCTIONS[name]()
    function("1", "1")
    return function


def boxed(gold: str) -> str:
    r"""As the end of a solution, which is where these harnesses find golds: `\boxed{gold}`."""
    return rf"\boxed{{{gold}}}"


def alone(*packages: str) -> None:
    """Let modules of a package be imported without its `__init__`, which would import a training stack."""
    for name in packages:
        module, parent = ModuleType(name), sys.modules.get(name.rpartition(".")[0])
        if parent:
            module.__path__ = [str(Path(folder) / name.rpartition(".")[2]) for folder in parent.__path__]
        else:
            found = find_spec(name)
            module.__path__ = list(found.submodule_search_locations or ()) if found else []
        sys.modules[name] = module
