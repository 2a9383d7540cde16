"""How the miniature's base model is distilled: `distillation` of an entry of config/models.yaml."""

from pydantic import Field, model_validator

from deepscaler.settings.base import Strict

Share = Field(ge=0, le=1)


class Architecture(Strict):
    """The sizes of a Qwen2 model, all but the last under the names of its config.json."""

    hidden_size: int = Field(gt=0)
    """Width."""
    intermediate_size: int = Field(gt=0)
    """Width of the MLP."""
    num_hidden_layers: int = Field(gt=0)
    """Layers."""
    num_attention_heads: int = Field(gt=0)
    """Heads."""
    num_key_value_heads: int = Field(gt=0)
    """Heads of keys and values."""
    max_position_embeddings: int = Field(gt=0)
    """Longest context."""
    rope_theta: float = Field(gt=0)
    """Base of the rotary embedding."""
    vocabulary_multiple: int = Field(gt=0)
    """The vocabulary is rounded up to a multiple of it."""


class TraceMixture(Strict):
    """The teacher's behaviours: how often each is shown, and how often it goes wrong. See miniature/traces.py."""

    step_by_step: float = Share
    """Share of traces that write every step."""
    quick: float = Share
    """Share of traces without steps."""
    rambling: float = Share
    """The shares of the three behaviours; they add up to 1."""
    step_by_step_error: float = Share
    """Chance that a written-out step is wrong."""
    quick_error: float = Share
    """Chance that a quick line, two terms at once, is wrong."""
    rambling_error: float = Share
    """Chance that a written-out step of a rambling trace is wrong."""
    try_again: float = Share
    """Chance that a rambling trace starts once more after each attempt."""

    @model_validator(mode="after")
    def shares_add_up(self) -> "TraceMixture":
        total = self.step_by_step + self.quick + self.rambling
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares step_by_step, quick and rambling add up to {total:g}, not 1")
        return self


class Distillation(Strict):
    """Supervised fine-tuning from random weights, first on clean traces, then on the wasteful mixture."""

    architecture: Architecture
    clean: TraceMixture
    mixed: TraceMixture
    clean_traces: int = Field(gt=0)
    """Traces of the second part."""
    mixed_traces: int = Field(gt=0)
    """Traces drawn of each kind; they are shown again, shuffled, when they run out."""
    clean_steps: int = Field(gt=0)
    """Optimizer steps of the second part, on right traces."""
    mixed_steps: int = Field(gt=0)
    """Optimizer steps on each kind: a number of steps, not of seconds, so that equal seeds give equal weights."""
    batch_tokens: int = Field(gt=0)
    """Tokens of a batch, padding included."""
    max_response_tokens: int = Field(gt=0)
    """Longer traces are cut here, and so teach no ending."""
    learning_rate: float = Field(gt=0)
    """AdamW's, for embeddings, norms, biases and the output layer."""
    muon_learning_rate: float = Field(gt=0)
    """Muon's, for the hidden matrices."""
    final_rate: float = Field(ge=0, le=1)
    """Share of the peak learning rates that the cosine ends at."""
    adam_betas: tuple[float, float]
    """Of the second optimizer."""
    muon_momentum: float = Field(ge=0, lt=1)
    """Of the first optimizer."""
    max_grad_norm: float = Field(gt=0)
    """Gradients are scaled down to it."""
    weight_decay: float = Field(ge=0)
    """AdamW's."""
    warmup_steps: int = Field(ge=1)
    """In which the learning rate rises."""
    shuffle_window: int = Field(gt=0)
    """Examples sorted by length together, so that a batch holds little padding."""
