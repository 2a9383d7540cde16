"""A saved state whose pickle was changed, keeping its size: DeepSpeed would run what is in it, so it is not loaded."""

import os
import pickle
import stat
from pathlib import Path

import neighbour
import pytest
from deepscaler.errors import UserError
from deepscaler.files import nobody_else_writes
from deepscaler.training.run import deepspeed_states, run_folder
from deepscaler.training.run.deepspeed_states import State, choose_state, drop_broken, refuse_others, states_in

MODEL, OPTIMIZER = "mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


class Evil:
    """What its pickle runs leaves a file."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.ran,)


def save(path: Path, step: int) -> State:
    import torch

    state = State.at(path, step)
    state.folder.mkdir(parents=True)
    for name in (MODEL, OPTIMIZER):
        torch.save({"step": step, "room": bytes(4000)}, state.folder / name)
    state.mark_complete(ranks=1, zero_stage=2)
    return state


@pytest.fixture
def changed(tmp_path: Path) -> tuple[Path, Path]:
    """Two states, the newer with a file of the same size that runs code; and what it would leave."""
    import torch

    save(tmp_path, 3)
    newer, ran = save(tmp_path, 6), tmp_path / "ran"
    victim = newer.folder / OPTIMIZER
    size = victim.stat().st_size
    torch.save({"evil": Evil(ran)}, victim)
    pad(victim, size)
    assert victim.stat().st_size == size
    return tmp_path, ran


def pad(archive: Path, size: int) -> None:
    """Bring a zip archive to a size by a comment at its end."""
    data = bytearray(archive.read_bytes())
    missing = size - len(data)
    assert 0 < missing < 1 << 16
    data[-2:] = missing.to_bytes(2, "little")  # the comment's length, the last field
    archive.write_bytes(bytes(data) + bytes(missing))


def test_sizes_alone_take_it_for_whole_and_deepspeed_runs_it(changed: tuple[Path, Path]) -> None:
    """The negative control: what was checked before."""
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine

    path, ran = changed
    assert drop_broken(path, 0, 12) == []
    state = choose_state(path)
    assert state is not None
    assert state.step == 6
    TorchCheckpointEngine().load(str(state.folder / OPTIMIZER), map_location="cpu")
    assert ran.exists()


def test_a_changed_state_is_dropped_and_the_one_before_it_used(changed: tuple[Path, Path]) -> None:
    path, ran = changed
    assert drop_broken(path, 0, 12, read=True) == [
        f"the state of step 6 has another {OPTIMIZER} than was saved; removed"
    ]
    assert [state.step for state in states_in(path)] == [3]
    assert not ran.exists()


def test_a_file_that_was_added_is_no_part_of_a_state(tmp_path: Path) -> None:
    state = save(tmp_path, 3)
    (state.folder / "zero_pp_rank_1_mp_rank_00_optim_states.pt").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    (state.folder / ".nfs0001").touch()
    assert drop_broken(tmp_path, 0, 12) == [
        "the state of step 3 has zero_pp_rank_1_mp_rank_00_optim_states.pt, which was not saved with it; removed"
    ]


def test_a_segment_never_starts_anew_for_want_of_its_optimizer(changed: tuple[Path, Path]) -> None:
    """The state of the segment before: without it the next would go on with an empty optimizer, and say nothing."""
    path, _ = changed
    with pytest.raises(UserError, match="the segment before left has another"):
        drop_broken(path, 6, 12, read=True)
    assert State.at(path, 6).folder.exists()
    with pytest.raises(UserError, match="the segment before left has another"):
        run_folder.require_unchanged(State.at(path, 6))


def test_a_state_without_digests_is_not_loaded(tmp_path: Path) -> None:
    state = save(tmp_path, 3)
    marker = state.folder / deepspeed_states.MARKER
    text = marker.read_text()
    sizes = {name: file["bytes"] for name, file in state.files().items()}
    marker.write_text(text[: text.index('"files"')] + f'"files": {str(sizes).replace(chr(39), chr(34))}}}')
    with pytest.raises(UserError, match="neither loaded nor removed"):
        drop_broken(tmp_path, 0, 12)
    assert state.folder.exists()


@pytest.mark.parametrize("what", ["everyone's", "a link", pytest.param("another user's", marks=ROOT_ONLY)])
def test_a_state_that_others_can_write_is_refused(what: str, tmp_path: Path) -> None:
    state = save(tmp_path / "states", 3)
    refuse_others(tmp_path / "states")
    victim = state.folder / MODEL
    if what == "everyone's":
        victim.chmod(0o666)
    elif what == "a link":
        victim.rename(tmp_path / "elsewhere")
        victim.symlink_to(tmp_path / "elsewhere")
    else:
        os.chown(victim, neighbour.NOBODY, neighbour.NOBODY)
    with pytest.raises(UserError, match=f"others can write to.*{MODEL}"):
        refuse_others(tmp_path / "states")
    assert state.folder.exists(), "nothing is removed"


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_weights_are_as_readable_as_the_umask_says(mask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepscaler.files import current_umask

    before = os.umask(mask)
    try:
        assert current_umask() == mask
        path = tmp_path / "weights"
        path.touch(0o600)
        path.chmod(0o666 & ~current_umask())
        (tmp_path / "other").touch()
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_state_that_a_colleague_could_have_written_is_not_loaded(mode: int, tmp_path: Path) -> None:
    """Of the same group, say: he could write the digests, too."""
    state = save(tmp_path, 3)
    refuse_others(tmp_path)
    (state.folder / MODEL).chmod(mode)
    with pytest.raises(UserError, match="others can write to"):
        refuse_others(tmp_path)


def test_what_training_saves_is_its_owners_to_write_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        save(tmp_path / "openrlhf", 3)
        choose_state(tmp_path / "openrlhf")
        refuse_others(tmp_path / "openrlhf")
        with nobody_else_writes():
            (tmp_path / "file").touch()
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
        (tmp_path / "after").touch()
        assert stat.S_IMODE((tmp_path / "after").stat().st_mode) == 0o664
    finally:
        os.umask(before)
