"""Which options go together, with each other and with those of a checkpoint."""

import pytest

from archs import ARCHS
from archs.backbone import Arch
from ops.errors import InputError
from ops.options.checks import adopt, check_mixing, check_processes, check_within_epoch
from ops.options.config import Config, plain
from ops.options.parsing import parse
from ops.training.processes import ALONE, Processes

DATA = ["movingmnist", "RGB"]


def contradiction(*words):
    with pytest.raises(InputError) as error:
        parse([*DATA, *words])
    assert "\n" not in str(error.value)
    return str(error.value)


# ---------------------------------------------------------------- contradictions


@pytest.mark.parametrize(
    "words, parts",
    [
        ("--cluster none --num_frames 64", ["--num_frames", "--cluster none"]),
        ("--cluster none --cluster_after layer2", ["--cluster_after", "--cluster none"]),
        ("--cluster none --reduce middle", ["--reduce", "--cluster none"]),
        ("--cluster none --distance cosine", ["--distance", "--cluster slope"]),
        ("--cluster kmeans --distance cosine", ["--distance", "--cluster slope"]),
        ("--cluster_after layer1:16,layer2:4", ["--cluster_after layer1:16,layer2:4", "ends with 4", "is 8"]),
        ("--temporal_pool --cluster_after conv1:16,layer1:8", ["--temporal_pool", "--cluster_after"]),
        ("--shift --cluster_after layer1:8,layer4:8 --cluster_after layer4:8", ["--shift", "layer4:8"]),
        ("--cluster none --cluster_start_epoch 3", ["--cluster_start_epoch", "--cluster none"]),
        ("--cluster none --stem_chunk 8", ["--stem_chunk", "--cluster none"]),
        ("--cluster none --stem_grad representative", ["--stem_grad", "--cluster none"]),
        ("--cluster none --frame_stride 2", ["--frame_stride", "--cluster none"]),
        ("--cluster none --freeze_stem_bn", ["--freeze_stem_bn", "--cluster none"]),
        ("--stem_grad representative --stem_chunk 0", ["--stem_grad representative", "--stem_chunk 0"]),
        ("--freeze_bn --npb", ["--npb", "--freeze_bn"]),
        ("--freeze_bn --freeze_stem_bn", ["--freeze_stem_bn", "--freeze_bn"]),
        ("--freeze_bn --sync_bn --cluster none", ["--sync_bn", "--freeze_bn"]),
        ("--sync_bn --freeze_stem_bn", ["--sync_bn", "--npb", "--freeze_stem_bn"]),
        ("--stem_chunk 8", ["--stem_chunk 8", "--freeze_stem_bn", "--stem_chunk auto"]),
        ("--stem_grad representative --npb", ["--stem_grad representative", "--freeze_stem_bn", "--stem_grad exact"]),
        ("--dense_sample", ["--dense_sample", "--cluster none"]),
        ("--shift_div 4", ["--shift_div", "--shift"]),
        ("--shift_place block", ["--shift_place", "--shift"]),
        ("--temporal stm --shift_direction past", ["--shift_direction", "--shift"]),
        ("--shift --temporal stm", ["--shift is --temporal shift", "--temporal stm"]),
        ("--shift --temporal none", ["--shift is --temporal shift", "--temporal none"]),
        ("--temporal shift --cluster_after layer4", ["--shift", "--cluster_after layer4"]),
        ("--temporal stm --cluster_after layer4", ["--temporal stm", "--cluster_after layer4"]),
        ("--temporal stm --arch mobilenetv2", ["--temporal stm finds no stage", "with --arch mobilenetv2"]),
        ("--temporal stm --arch bninception --cluster none", ["--temporal stm finds no stage", "--arch bninception"]),
        ("--shift --arch bninception", ["--shift_place blockres", "bninception", "take --shift_place block"]),
        ("--non_local --arch mobilenetv2", ["--non_local finds no stage"]),
        ("--temporal_pool --arch bninception", ["--temporal_pool finds no stage"]),
        (
            "--arch mobilenetv2 --cluster_after layer1",
            ["features0, expand2, expand4", "its blocks end without a ReLU", "behind a first convolution or an expans"],
        ),
        ("--lr_type cos --lr_steps 20 40", ["--lr_steps has no effect with --lr_type cos"]),
        ("--stem_memory 64M --stem_chunk 0", ["--stem_memory has no effect with --stem_chunk 0"]),
        ("--shift --cluster_after layer4", ["--shift", "--cluster_after layer4"]),
        ("--non_local --cluster_after layer3", ["--non_local", "--cluster_after layer3"]),
        ("--temporal_pool --cluster_after layer2", ["--temporal_pool", "layer2"]),
        ("--temporal_max --cluster_after layer4", ["--temporal_max", "--cluster_after layer4"]),
        ("--temporal_max --cluster_after layer1:16,layer4:8", ["--temporal_max", "after layer4"]),
        ("--temporal_max --shift", ["--temporal_max", "--shift"]),
        ("--cluster_start_epoch 40 --epochs 40", ["--cluster_start_epoch 40", "--epochs 40"]),
        ("--sync_bn --freeze_backbone", ["--sync_bn", "--freeze_backbone"]),
        ("--stem_grad representative --freeze_backbone", ["--stem_grad", "--freeze_backbone"]),
        ("--evaluate", ["--evaluate", "--resume PATH"]),
        ("--trn_mlps shared", ["--trn_mlps has no effect with --consensus_type avg"]),
        ("--consensus_type TRN --trn_tuples all", ["--trn_tuples has no effect with --consensus_type TRN;"]),
        (
            "--consensus_type TRNmultiscale --num_segments 1",
            ["--consensus_type TRNmultiscale relates", "--num_segments"],
        ),
        (
            "--consensus_type TRNmultiscale --num_segments 2 --temporal_pool",
            ["--consensus_type TRNmultiscale relates at least 2"],
        ),
        (
            "--consensus_type TRNmultiscale --num_segments 16 --trn_tuples all",
            ["has 65519 tuples of 16 representations", "leave --trn_tuples all out"],
        ),
        (
            "--consensus_type ActionVLAD --vlad_form breakfast --vlad_stage 1",
            ["--vlad_stage has no effect with --consensus_type ActionVLAD --vlad_form breakfast"],
        ),
        ("--consensus_type ActionVLAD --dropout 0.5", ["--dropout has no effect with --consensus_type ActionVLAD"]),
        ("--consensus_type MLP --dropout 0.5", ["--dropout has no effect with --consensus_type MLP"]),
        ("--suffix a/b", ["--suffix", "'a/b'"]),
        ("--resume a.pth --tune_from b.pth", ["--resume a.pth", "--tune_from b.pth"]),
        ("--resume auto --tune_from b.pth --pretrain a.pth", ["--tune_from b.pth", "--pretrain a.pth"]),
        ("--tune_from b.pth --pretrain imagenet", ["--tune_from b.pth", "--pretrain imagenet"]),
        ("--resume a.pth --tune_from b.pth --pretrain none", ["--resume a.pth", "--tune_from b.pth"]),
    ],
)
def test_contradictions_name_both_sides(words, parts):
    text = contradiction(*words.split())
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize(
    "words",
    [
        "--cluster none --num_frames all",
        "--cluster none --dense_sample",
        "--cluster none --dense_sample --clip_speed 2 --clip_share 0.5",
        "--cluster none --frame_keep 1",
        "--freeze_backbone --stem_chunk 8",
        "--optimizer adamw --eps 1e-6 --momentum 0.5",
        "--dense_sample --cluster_start_epoch 3",
        "--shift --cluster_after layer3",
        "--temporal shift --shift --shift_direction past",
        "--temporal stm --cluster_after layer1:32,layer2:16,layer3:8 --temporal none",
        "--temporal stm --temporal_pool --non_local",
        "--shift --arch mobilenetv2 --shift_place block --cluster_after expand2:16,expand7:8",
        "--shift --arch bninception --shift_place block",
        "--shift --cluster_after layer1:32,layer2:16,layer3:8 --cluster slope --distance euclidean --reduce random",
        "--cluster even --distance hamming --reduce mean",
        "--cluster kmodes --reduce middle",
        "--non_local --cluster_after layer2",
        "--temporal_pool --cluster_after layer1",
        "--temporal_max --temporal_pool --cluster none",
        "--cluster_start_epoch 39 --epochs 40",
        "--tune_from b.pth --pretrain none",
        "--shift --cluster none",
        "--sync_bn",
        "--sync_bn --stem_chunk 0",
        "--lr_type step --lr_steps 20 40",
        "--stem_memory 64M --stem_chunk 8 --freeze_stem_bn",
        "--stem_grad representative --freeze_stem_bn",
        "--stem_grad representative --stem_chunk 8 --freeze_bn",
        "--cluster none --freeze_bn",
        "--evaluate --resume a.pth --stem_chunk 8",
        "--sync_bn --stem_chunk 8 --freeze_stem_bn --npb",
        "--resume auto --tune_from b.pth",
        "--resume auto --pretrain b.pth",
        "--consensus_type ActionVLAD --vlad_stage 1 --cluster none",
        "--consensus_type TRNmultiscale --trn_mlps shared --trn_tuples all --cluster none",
    ],
)
def test_what_fits_together(words):
    parse([*DATA, *words.split()])


def test_stages_are_those_of_the_arch(monkeypatch):
    stages = ("conv1", "layer1", "layer2", "layer3")
    bare = Arch(None, stages, block_stages=("layer2",), cluster_after="layer2")
    monkeypatch.setitem(ARCHS, "bare", bare)
    assert parse([*DATA, "--arch", "bare"])[0].cluster_after == "layer2"
    parse([*DATA, "--arch", "bare", "--cluster_after", "layer1", "--shift"])
    for words, text in (
        (
            "--cluster_after layer4",
            "--cluster_after layer4 does not fit --arch bare: 'layer4' is no stage; take one of conv1, layer1, layer2,",
        ),
        ("--shift", "--shift finds no stage to work in behind --cluster_after layer2"),
        ("--non_local --cluster none", "--non_local finds no stage to work in with --arch bare"),
        ("--temporal_pool --cluster none", "--temporal_pool finds no stage to work in with --arch bare"),
    ):
        assert text in contradiction("--arch", "bare", *words.split())


def test_maps_before_the_last_relu_are_not_of_every_arch(monkeypatch):
    monkeypatch.setitem(ARCHS, "bare", Arch(None, ("a", "b"), block_stages=(), cluster_after="a"))
    text = contradiction("--arch", "bare", "--consensus_type", "ActionVLAD")
    assert text.startswith(
        "--consensus_type ActionVLAD --vlad_form paper takes maps before their last ReLU, which --arch"
    )
    parse([*DATA, "--arch", "bare", "--consensus_type", "ActionVLAD", "--vlad_form", "breakfast"])


def test_flow_has_no_colours_to_augment():
    with pytest.raises(InputError, match="--rand_augment changes colours and shapes, which flow fields do not have"):
        parse(["ucf101", "Flow", "--rand_augment"])
    with pytest.raises(InputError, match="flow fields"):
        parse(["ucf101", "DOF", "--rand_augment"])
    parse(["ucf101", "Flow", "--erasing", "0.5"])


def test_each_process_mixes_two_videos():
    mixed = parse([*DATA, "--cutmix", "1", "-b", "3"])[0]
    check_mixing(mixed, ALONE)
    with pytest.raises(InputError, match="--batch_size 3 gives some of 2 one alone; take at least 4"):
        check_mixing(mixed, Processes(world_size=2))


def test_what_needs_several_processes():
    with pytest.raises(InputError, match="--sync_bn has no effect in a single process"):
        check_processes(frozenset({"sync_bn"}), ALONE)
    check_processes(frozenset({"sync_bn"}), Processes(world_size=2))
    check_processes(frozenset({"lr"}), ALONE)  # a checkpoint's --sync_bn was not given


# ---------------------------------------------------------------- with a checkpoint

STORED = plain(
    Config(
        "movingmnist",
        "RGB",
        arch="resnet18",
        num_segments=16,
        shift=True,
        lr=0.02,
        epochs=40,
        seed=5,
        input_size=112,
        root_path="there",
        workers=3,
        lr_steps=(10.0, 20.0),
    )
)


def adopted(*words, stored=STORED):
    config, given = parse([*DATA, "--resume", "c.pth", *words])
    return adopt(config, given, stored, "c.pth")


def test_evaluation_takes_the_model_and_the_protocol():
    config = adopted("-e")
    assert (config.arch, config.num_segments, config.shift, config.input_size, config.seed) == (
        "resnet18",
        16,
        True,
        112,
        5,
    )
    assert (config.lr, config.epochs, config.root_path) == (0.001, 120, None)


def test_another_protocol_may_be_asked_for():
    config = adopted("-e", "--input_size", "64", "--num_frames", "32", "--seed", "1")
    assert (config.input_size, config.num_frames, config.seed) == (64, 32, 1)


def test_going_on_takes_everything_but_places():
    config = adopted("-j", "2", "--epochs", "60")
    assert (config.lr, config.epochs, config.seed, config.lr_steps) == (0.02, 60, 5, (10.0, 20.0))
    assert (config.workers, config.root_path, config.resume) == (2, None, "c.pth")


FACTS = {
    "no_flip": True,
    "train_list": "a.txt",
    "val_list": "b.txt",
    "image_tmpl": "f{:03d}.png",
    "first_frame": 0,
    "num_class": 12,
    "category_file": "names.txt",
}


def facts_of(config):
    return {name: getattr(config, name) for name in FACTS}


def test_going_on_takes_the_facts_of_the_data():
    """Else left and right videos would be mirrored under the wrong label, say."""
    assert facts_of(adopted(stored=STORED | FACTS)) == FACTS
    other = adopted("--val_list", "c.txt", "--first_frame", "3", stored=STORED | FACTS)
    assert facts_of(other) == FACTS | {"val_list": "c.txt", "first_frame": 3}


def test_evaluation_takes_its_videos_from_the_command_line():
    """Only that they must not be mirrored is the model's own."""
    nothing = dict.fromkeys(FACTS) | {"no_flip": True}
    assert facts_of(adopted("-e", stored=STORED | FACTS)) == nothing
    assert facts_of(adopted("-e", "--val_list", "c.txt", stored=STORED | FACTS)) == nothing | {"val_list": "c.txt"}


@pytest.mark.parametrize(
    "flag, value, stored",
    [
        ("arch", "resnet50", "resnet18"),
        ("num_segments", "8", "16"),
        ("cluster", "none", "cumulative"),
        ("shift_div", "4", "8"),
        ("cluster_after", "layer2", "layer1"),
        ("non_local", None, "False"),
        ("consensus_type", "identity", "avg"),
    ],
)
@pytest.mark.parametrize("purpose", [["-e"], []])
def test_a_flag_against_the_file_names_both_values(flag, value, stored, purpose):
    with pytest.raises(InputError) as error:
        adopted(*purpose, f"--{flag}", *([value] if value else []))
    text = str(error.value)
    assert f"--{flag} {value or True}" in text and f"{flag} {stored}" in text and "c.pth" in text


def test_a_flag_that_agrees_with_the_file():
    assert adopted("-e", "--arch", "resnet18", "--shift", "--shift_div", "8").shift_div == 8


def test_shift_of_a_file_under_either_name():
    """A file of a version that knew `shift` alone says nothing of `temporal`."""
    former = {name: value for name, value in STORED.items() if name not in ("temporal", "shift_direction")}
    for words in ([], ["--shift"], ["--temporal", "shift"]):
        for stored in (STORED, former):
            config = adopted("-e", *words, stored=stored)
            assert (config.temporal, config.shift, config.shift_direction) == ("shift", True, "both")
    assert adopted("-e", stored=former | {"shift": False}).temporal == "none"
    for words in (["--temporal", "stm"], ["--temporal", "none"]):
        with pytest.raises(InputError, match=f"--temporal {words[1]} contradicts c.pth, .* temporal shift; leave"):
            adopted("-e", *words, stored=former)
    with pytest.raises(InputError, match="--shift True contradicts c.pth, which was trained with shift False"):
        adopted("-e", "--shift", stored=plain(Config(*DATA, temporal="stm")))


def test_flags_without_effect_on_the_files_model():
    with pytest.raises(InputError, match="--dense_sample"):
        adopted("-e", "--dense_sample")
    with pytest.raises(InputError, match="--num_frames has no effect with --cluster none"):
        adopted("-e", "--num_frames", "9", stored=STORED | {"cluster": "none"})
    with pytest.raises(InputError, match="--lr_steps has no effect with --lr_type cos"):
        adopted("--lr_steps", "9", stored=STORED | {"lr_type": "cos"})
    assert adopted("--lr_type", "cos").lr_steps == (10.0, 20.0)


def test_dense_sampling_before_clustering_does_not_forbid_evaluation():
    stored = plain(Config(*DATA, dense_sample=True, cluster_start_epoch=6))
    assert adopted("-e", stored=stored).dense_sample


def test_another_dataset():
    with pytest.raises(InputError, match="was trained on jester, not movingmnist"):
        adopted(stored=STORED | {"dataset": "jester"})
    assert adopted("-e", stored=STORED | {"dataset": "jester"}).dataset == "movingmnist"


def test_a_file_of_a_later_version():
    assert adopted("-e", stored=STORED | {"unheard_of": 1}) == adopted("-e")
    with pytest.raises(InputError, match="c.pth was trained with arch 'vgg'; here there are only resnet18"):
        adopted("-e", stored=STORED | {"arch": "vgg"})


def test_a_file_with_a_path_from_home():
    """Written before `~` was read."""
    assert adopted(stored=STORED | {"train_list": "~/a.txt"}).train_list == "~/a.txt"


@pytest.mark.parametrize("name, own", [("batch_size", 4), ("bucket", 2), ("accum", 3)])
def test_within_an_epoch_its_steps_must_stay(name, own):
    stored = {"epoch": 7, "config": plain(Config(*DATA))}
    config = Config(*DATA, resume="c.pth", **{name: own})
    former = stored["config"][name]
    text = f"c.pth stands within epoch 7, which was cut with --{name} {former}; leave --{name} {own} out"
    with pytest.raises(InputError, match=text):
        check_within_epoch(config, stored)
    check_within_epoch(config, stored | {"config": stored["config"] | {name: own}})


def test_options_that_a_former_version_lacked_had_their_default():
    check_within_epoch(Config(*DATA, resume="c.pth"), {"epoch": 7, "config": {}})
