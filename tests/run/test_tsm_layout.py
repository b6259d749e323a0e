"""What checkpoints in TSM's layout tell of their network."""

import pytest
import torch

from ops.models import build_model
from ops.run.tsm_layout import read_name, read_weights

PLAIN = {
    "modality": "RGB",
    "arch": "resnet50",
    "num_segments": 8,
    "temporal": "shift",
    "shift": True,
    "shift_div": 8,
    "shift_place": "blockres",
    "shift_direction": "both",
    "temporal_pool": False,
    "non_local": False,
}
TSN = {
    "modality": "RGB",
    "arch": "resnet50",
    "num_segments": 5,
    "temporal": "none",
    "shift": False,
    "temporal_pool": False,
    "non_local": False,
}


@pytest.mark.parametrize(
    "path, dataset, expected",
    [
        ("TSM_somethingv2_RGB_resnet50_shift8_blockres_avg_segment8_e45.pth", "somethingv2", PLAIN),
        ("pretrained/TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense.pth", "kinetics", PLAIN),
        (
            "TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense_nl.pth",
            "kinetics",
            PLAIN | {"non_local": True},
        ),
        ("TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth", "kinetics", TSN),
        ("TSM_kinetics_Flow_resnet50_shift8_blockres_avg_segment8_e50.pth", "kinetics", PLAIN | {"modality": "Flow"}),
        (
            "TSM_something_RGB_resnet101_shift8_blockres_avg_segment16_e45.pth",
            "something",
            PLAIN | {"arch": "resnet101", "num_segments": 16},
        ),
        (
            "TSM_jester_RGBDiff_resnet50_shift4_block_tpool_avg_segment16_e50_cos/ckpt.best.pth.tar",
            "jester",
            PLAIN
            | {
                "modality": "RGBDiff",
                "shift_div": 4,
                "shift_place": "block",
                "temporal_pool": True,
                "num_segments": 16,
            },
        ),
        (
            "TSM_my_own_set_RGB_resnet18_shift8_blockres_avg_segment8_e5_2023_12_29/ckpt.pth.tar",
            "my_own_set",
            PLAIN | {"arch": "resnet18"},
        ),
        (
            "TSM_kinetics_RGB_mobilenetv2_shift8_blockres_avg_segment8_e100_dense.pth",
            "kinetics",
            PLAIN | {"arch": "mobilenetv2"},
        ),
        (
            "TSM_x_RGB_BNInception_shift8_block_past_avg_segment8_e5/ckpt.pth.tar",
            "x",
            PLAIN | {"arch": "bninception", "shift_place": "block", "shift_direction": "past"},
        ),
        (
            "TRN_something_RGB_BNInception_TRNmultiscale_segment8_best_v0.4.pth.tar",
            "something",
            TSN | {"arch": "bninception", "num_segments": 8},
        ),
        ("TRN_jester_RGB_RESNET50_TRN_segment5_best.pth.tar", "jester", TSN),
        ("resnet50.pth", None, {}),
        ("TSM/model_best.pth", None, {}),
    ],
)
def test_names(path, dataset, expected):
    found = read_name(path)
    assert found.pop("dataset", None) == dataset
    assert found == expected


@pytest.mark.parametrize(
    "key, expected",
    [
        ("base_model.layer1.0.conv1.weight", {"non_local": False}),
        (
            "base_model.layer1.0.conv1.net.weight",
            {"non_local": False, "temporal": "shift", "shift": True, "shift_place": "blockres", "cluster": "none"},
        ),
        (
            "base_model.layer1.0.net.conv1.weight",
            {"non_local": False, "temporal": "shift", "shift": True, "shift_place": "block", "cluster": "none"},
        ),
        (
            "base_model.layer2.0.block.conv1.net.weight",
            {"non_local": False, "temporal": "shift", "shift": True, "shift_place": "blockres", "cluster": "none"},
        ),
        (
            "base_model.layer2.net.0.conv1.net.weight",
            {
                "non_local": False,
                "temporal": "shift",
                "shift": True,
                "shift_place": "blockres",
                "temporal_pool": True,
                "cluster": "none",
            },
        ),
        ("base_model.layer2.net.0.conv1.weight", {"non_local": False, "temporal_pool": True}),
        ("base_model.layer2.0.nl.g.0.weight", {"non_local": True}),
    ],
)
def test_what_keys_prove(key, expected):
    assert read_weights({key: torch.zeros(1)}) == expected


@pytest.mark.parametrize(
    "key, shape, expected",
    [
        ("classifier.1.weight", (512, 2048), {"consensus_type": "TRN", "num_segments": 8}),
        (
            "fc_fusion_scales.0.1.weight",
            (256, 1280),
            {"consensus_type": "TRNmultiscale", "trn_mlps": "shared", "num_segments": 5},
        ),
        (
            "fc_fusion_scales.0.0.1.weight",
            (256, 2048),
            {"consensus_type": "TRNmultiscale", "trn_mlps": "per_tuple", "num_segments": 8},
        ),
        ("other.weight", (3, 4), {}),
    ],
)
def test_what_the_keys_of_a_head_prove(key, shape, expected):
    assert read_weights({f"consensus.{key}": torch.zeros(shape)}) == {"non_local": False} | expected


@pytest.mark.parametrize("channels, modality", [(3, "RGB"), (10, "Flow"), (15, "RGBDiff"), (4, None)])
def test_the_first_kernel_proves_the_modality(channels, modality):
    weights = {
        "base_model.any_name.weight": torch.zeros(8, channels, 7, 7),
        "base_model.other": torch.zeros(8, 8, 3, 3),
    }
    assert read_weights(weights).get("modality") == modality


@pytest.mark.parametrize("arch, stage", [("resnet_thin", "layer2"), ("mobilenetv2", "expand7")])
def test_layers_without_shift_prove_clustering_behind_them(arch, stage):
    model = build_model(arch, 2, 4, shift=True, cluster_after=stage)
    found = read_weights(model.state_dict(), arch)
    assert found["cluster_after"] == stage and found["shift"] and "cluster" not in found
    everywhere = build_model(arch, 2, 4, shift=True, cluster="none")
    assert read_weights(everywhere.state_dict(), arch)["cluster"] == "none"


def test_stm_is_told_from_shift():
    found = read_weights(build_model("resnet_thin", 2, 4, temporal="stm").state_dict())
    assert (found["temporal"], found["shift"], found["cluster_after"]) == ("stm", False, "layer1")
    assert "shift_place" not in found
