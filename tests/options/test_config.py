"""What follows from a config: names, folders, facts of the data set."""

from dataclasses import replace

import pytest

from ops.options.config import OPTIONS, Config, default_workers, names_of, plain

DATA = ["movingmnist", "RGB"]

ROLES = {
    "data": {"train_list", "val_list", "image_tmpl", "first_frame", "num_class", "category_file"},
    "protocol": {"no_flip", "input_size", "num_frames", "frame_stride", "dense_sample", "trn_tuples", "seed"},
    "model": {
        "modality",
        "arch",
        "feature_dim",
        "num_segments",
        "cluster",
        "cluster_after",
        "distance",
        "reduce",
        "temporal",
        "shift",
        "shift_div",
        "shift_place",
        "shift_direction",
        "temporal_pool",
        "temporal_max",
        "non_local",
        "consensus_type",
        "trn_mlps",
        "vlad_form",
    },
    "training": {
        "dropout",
        "epochs",
        "batch_size",
        "lr",
        "lr_type",
        "lr_steps",
        "momentum",
        "wd",
        "gd",
        "npb",
        "vlad_stage",
        "freeze_stem_bn",
        "freeze_bn",
        "stem_chunk",
        "stem_memory",
        "stem_grad",
        "cluster_start_epoch",
        "eval_freq",
        "suffix",
        "crop_scales",
        "optimizer",
        "eps",
        "warmup_epochs",
        "layer_decay",
        "freeze_backbone",
        "label_smoothing",
        "class_weights",
        "ema",
        "mixup",
        "cutmix",
        "rand_augment",
        "erasing",
        "frame_keep",
        "clip_share",
        "clip_speed",
        "on_bad_video",
        "deterministic",
        "save_every_steps",
        "save_every_minutes",
        "accum",
        "bucket",
        "amp",
        "sync_bn",
        "skip_nonfinite",
    },
    "place": {
        "dataset",
        "root_path",
        "workers",
        "device",
        "resume",
        "evaluate",
        "scores",
        "keep_damaged",
        "overwrite",
        "root_log",
        "root_model",
        "start_epoch",
        "print_freq",
        "tune_from",
        "pretrain",
        "trust_checkpoint",
        "compile",
    },
}


def test_roles():
    assert {role: {*names_of(role)} for role in ROLES} == ROLES
    assert sorted(names_of(*ROLES)) == sorted(OPTIONS)


def test_what_may_not_change_within_an_epoch():
    assert {name for name, option in OPTIONS.items() if option.fixed_within_epoch} == {
        "batch_size",
        "accum",
        "bucket",
        "seed",
    }


def test_defaults_could_be_given():
    """And are as immutable as a frozen dataclass wants them."""
    for name, option in OPTIONS.items():
        assert option.positional == (name in ("dataset", "modality"))
        assert option.positional or option.accepts(option.default), name
        hash(option.default)


@pytest.mark.parametrize("share", ["", "0", "some", "1", "2", "99999"])
def test_number_of_loading_processes(monkeypatch, share):
    """torchrun's LOCAL_WORLD_SIZE divides the cores; an empty or odd one does not end in a traceback."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", share)
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert default_workers() == {"2": 3, "99999": 1}.get(share, 6)


def test_no_more_loading_processes_than_eight(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert default_workers() == 8


def test_plain_values():
    values = plain(Config(*DATA))
    assert values["lr_steps"] == [50.0, 100.0] and values["gd"] is None
    assert all(value is None or isinstance(value, (str, int, float, bool, list)) for value in values.values())


@pytest.mark.parametrize(
    "options, name",
    [
        ({}, "TSM_movingmnist_RGB_resnet50_cumulative-layer1_avg_segment8_e120"),
        ({"shift": True, "cluster": "none"}, "TSM_movingmnist_RGB_resnet50_shift8_blockres_avg_segment8_e120"),
        (
            {"temporal": "shift", "shift_direction": "past", "cluster": "none", "arch": "mobilenetv2"},
            "TSM_movingmnist_RGB_mobilenetv2_shift8_blockres_past_avg_segment8_e120",
        ),
        ({"temporal": "stm", "cluster": "none"}, "TSM_movingmnist_RGB_resnet50_stm_avg_segment8_e120"),
        ({"arch": "bninception"}, "TSM_movingmnist_RGB_bninception_cumulative-conv2_avg_segment8_e120"),
        (
            {"lr_type": "cos", "non_local": True, "suffix": "x"},
            "TSM_movingmnist_RGB_resnet50_cumulative-layer1_avg_segment8_e120_cos_nl_x",
        ),
        (
            {"consensus_type": "TRNmultiscale", "trn_mlps": "per_tuple", "cluster": "none"},
            "TSM_movingmnist_RGB_resnet50_TRNmultiscale_trn_mlps-per_tuple_segment8_e120",
        ),
    ],
)
def test_names_of_runs(options, name):
    assert Config(*DATA, **options).store_name == name


def test_shift_is_one_of_the_ways_to_mix_time():
    for given in ({"shift": True}, {"temporal": "shift"}, {"shift": True, "temporal": "shift"}):
        config = Config(*DATA, **given)
        assert (config.shift, config.temporal) == (True, "shift")
    assert (Config(*DATA).shift, Config(*DATA).temporal) == (False, "none")
    assert Config(*DATA, temporal="stm").describe_temporal() == "STM"
    assert Config(*DATA, shift=True).describe_temporal() == "shift 1/8 blockres"
    assert Config(*DATA, shift=True, shift_direction="past").describe_temporal() == "shift 1/8 blockres from the past"


def test_folder_of_a_dataset(monkeypatch):
    monkeypatch.delenv("FULL_VIDEO_DATA", raising=False)
    assert str(Config(*DATA).root) == "data/movingmnist"
    monkeypatch.setenv("FULL_VIDEO_DATA", "/disk")
    assert str(Config(*DATA).root) == "/disk/movingmnist"
    assert str(Config(*DATA, root_path="mine").root) == "mine"


def test_lists_are_looked_for_here_and_in_the_datasets_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config(*DATA, root_path="data", val_list="mine.txt")
    assert str(config.list_file("mine.txt")) == "data/mine.txt"
    (tmp_path / "mine.txt").touch()
    assert str(config.list_file("mine.txt")) == "mine.txt"
    (tmp_path / "train_videofolder.txt").touch()  # of another data set: not asked for
    assert str(config.list_file("train_videofolder.txt")) == "data/train_videofolder.txt"


def test_own_lists_replace_the_datasets():
    spec = replace(Config(*DATA), val_list="mine.txt").spec
    assert (spec.train_list, spec.val_list, spec.num_class) == ("train_videofolder.txt", "mine.txt", 4)


@pytest.mark.parametrize("dataset", ["mine", "mine/", "data/mine", ".", "../mine"])
def test_a_run_is_named_after_its_data_set_however_that_is_given(tmp_path, monkeypatch, dataset):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert Config(dataset, "RGB").store_name == "TSM_mine_RGB_resnet50_cumulative-layer1_avg_segment8_e120"
