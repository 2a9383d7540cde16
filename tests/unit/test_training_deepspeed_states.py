"""Saved states: a whole one is recognised, a broken one never loaded, and never the reason to lose a good one."""

import zipfile
from pathlib import Path

import pytest
from deepscaler.training.run.deepspeed_states import State, adopt, choose_state, drop_broken, states_in


def save(path: Path, step: int, *, marked: bool = True, content: str = "tensor") -> State:
    state = State.at(path, step)
    state.folder.mkdir(parents=True)
    for name in ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"):
        with zipfile.ZipFile(state.folder / name, "w") as archive:
            archive.writestr("data", content * 200)
    if marked:
        state.mark_complete(ranks=8, zero_stage=3)
    (path / "_actor" / "latest").write_text(state.folder.name)
    return state


def test_the_newest_whole_state_is_chosen(tmp_path: Path) -> None:
    save(tmp_path, 3)
    save(tmp_path, 6)
    dropped = drop_broken(tmp_path, 0, 12)
    state = choose_state(tmp_path)
    assert state is not None
    assert (state.step, state.layout(), dropped) == (6, (8, 3), [])
    assert (tmp_path / "_actor" / "latest").read_text() == "global_step6"


@pytest.mark.parametrize("harm", ["unmarked", "truncated", "missing", "garbage of the same size"])
def test_a_broken_state_is_removed_and_the_one_before_it_used(tmp_path: Path, harm: str) -> None:
    save(tmp_path, 3)
    broken = save(tmp_path, 6, marked=harm != "unmarked")
    victim = broken.folder / "zero_pp_rank_0_mp_rank_00_optim_states.pt"
    if harm == "truncated":
        victim.write_bytes(victim.read_bytes()[:-30])
    elif harm == "missing":
        victim.unlink()
    elif harm == "garbage of the same size":
        victim.write_bytes(b"x" * victim.stat().st_size)
    dropped = drop_broken(tmp_path, 0, 12)
    state = choose_state(tmp_path)
    assert state is not None
    assert state.step == 3
    assert len(dropped) == 1
    assert "step 6" in dropped[0]
    assert not broken.folder.exists()
    assert (tmp_path / "_actor" / "latest").read_text() == "global_step3"


def test_a_latest_without_its_state_is_put_right(tmp_path: Path) -> None:
    save(tmp_path, 3)
    (tmp_path / "_actor" / "latest").write_text("global_step6")
    choose_state(tmp_path)
    assert (tmp_path / "_actor" / "latest").read_text() == "global_step3"


def test_without_a_whole_state_training_starts_anew(tmp_path: Path) -> None:
    save(tmp_path, 3, marked=False)
    drop_broken(tmp_path, 0, 12)
    state = choose_state(tmp_path)
    assert state is None
    assert not (tmp_path / "_actor").exists()  # upstream would try to load what is there


def test_a_state_of_another_segment_is_not_used(tmp_path: Path) -> None:
    save(tmp_path, 20)
    dropped = drop_broken(tmp_path, 0, 12)
    state = choose_state(tmp_path)
    assert state is None
    assert "another segment" in dropped[0]


def test_an_adopted_state_shares_its_data_and_stays_when_its_source_goes(tmp_path: Path) -> None:
    source = save(tmp_path / "before", 6)
    target = adopt(source, tmp_path / "now")
    name = "mp_rank_00_model_states.pt"
    assert (target.folder / name).stat().st_ino == (source.folder / name).stat().st_ino
    for path in source.folder.iterdir():
        path.unlink()
    assert target.defect() is None
    assert adopt(target, tmp_path / "now").folder == target.folder  # a second time changes nothing


def test_states_are_listed_in_order(tmp_path: Path) -> None:
    for step in (12, 3, 6):
        save(tmp_path, step)
    assert [state.step for state in states_in(tmp_path)] == [3, 6, 12]
