"""The video classifier: clustering always on, videos independent of each other, weights under TSM's names."""

import re
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from archs import ARCHS
from ops.clustering import CLUSTERINGS, TemporalClustering, _SegmentMeans
from ops.models import build_model, cluster_places
from ops.streaming import Streaming
from ops.temporal.shift import TemporalShift
from ops.training.checkpoint import load_weights
from ops.training.stepping import video_losses

METHODS = [method for method, clustering in CLUSTERINGS.items() if not clustering.whole_videos]


def thin(**options):
    """A thin ResNet for 4 classes whose scores differ well from video to video."""
    torch.manual_seed(0)
    model = build_model("resnet_thin", 4, options.pop("num_segments", 4), **options)
    nn.init.normal_(model.new_fc.weight)
    return model


def video(*scenes, size=32, seed=0):
    """uint8 frames (t, 3, size, size); equal numbers show the same picture."""
    return torch.stack(
        [
            torch.from_numpy(np.random.default_rng([seed, scene]).integers(0, 256, (3, size, size), np.uint8))
            for scene in scenes
        ]
    )


def lengths(*values):
    return torch.tensor(values)


# ---------------------------------------------------------------- clustering is part of the model


@pytest.mark.parametrize("method", ["slope", "cumulative"])
@pytest.mark.parametrize("training", [True, False])
def test_a_change_of_scene_is_found_in_training_and_in_evaluation(method, training):
    model = thin(num_segments=2, cluster=method).train(training)
    with torch.no_grad():
        seen, assignment = model.represent(video(1, 1, 1, 1, 2, 2), lengths(6))
    assert seen.shape == (2, 12, 8, 8)
    assert assignment.tolist() == [0, 0, 0, 0, 1, 1]


@torch.inference_mode()
def test_still_scenes_score_as_one_frame_of_each():
    """A video of g still scenes is to the clustered model what one frame of each is to the sampling one."""
    clustered = thin(num_segments=3, cluster="slope", shift=True).eval()
    sampled = thin(num_segments=3, cluster="none").eval()
    load_weights(sampled, clustered.state_dict(), "test")
    clustered_plain = thin(num_segments=3, cluster="slope").eval()
    load_weights(clustered_plain, clustered.state_dict(), "test")
    expected = sampled(video(1, 2, 3), lengths(3))
    long = video(1, 1, 1, 1, 1, 2, 3, 3, 3)
    torch.testing.assert_close(clustered_plain(long, lengths(9)), expected)
    assert not torch.allclose(clustered(long, lengths(9)), expected)


@torch.inference_mode()
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shift": True},
        {"cluster": "slope", "cluster_after": "layer2"},
        {"cluster": "even"},
        {"cluster": "random"},
        {"cluster_after": "conv1", "shift": True, "shift_place": "block"},
        {"consensus_type": "identity", "shift": True},
        {"temporal_pool": True, "shift": True},
        {"non_local": True},
        {"cluster": "kmodes"},
        {"cluster": "kmeans", "reduce": "middle"},
        {"distance": "euclidean", "reduce": "random"},
        {"cluster_after": "layer1:6,layer2:4", "distance": "cosine", "shift": True},
        {"cluster_after": "layer2:6,layer4:4", "consensus_type": "identity"},
        {"cluster_after": "layer1:6,layer2:4", "temporal": "stm", "non_local": True},
        {"shift": True, "shift_direction": "past"},
    ],
)
def test_a_video_scores_the_same_in_any_company(options):
    model = thin(**options).double().eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm3d):
            nn.init.ones_(norm.weight)
    clips = [video(*range(t), seed=t) for t in (5, 9, 3, 1, 4)]
    alone = [model(model.to_input(clip).double(), lengths(len(clip))) for clip in clips]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [1, 3]):
        frames = model.to_input(torch.cat([clips[i] for i in order])).double()
        together = model(frames, lengths(*(len(clips[i]) for i in order)))
        torch.testing.assert_close(together, torch.cat([alone[i] for i in order]), rtol=1e-9, atol=1e-9)
    assert alone[0].std() > 1e-3 and not torch.allclose(alone[0], alone[1], rtol=1e-3)


@pytest.mark.parametrize("cluster", [*METHODS, "none"])
def test_every_method_trains_every_weight(cluster):
    model = thin(cluster=cluster, shift=True, partial_bn=False)
    loss = model(video(1, 2, 3, 4, 5, 6, 7, 8), lengths(4, 4)).square().sum()
    loss.backward()
    untrained = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert untrained == []


@torch.inference_mode()
def test_bytes_and_normalised_floats_score_the_same():
    model, frames = thin().eval(), video(*range(7))
    kept = frames.clone()
    assert torch.equal(model(frames, lengths(7)), model(model.to_input(frames), lengths(7)))
    assert torch.equal(frames, kept)


def test_without_clustering_every_video_needs_num_segments_frames():
    model = thin(cluster="none", num_segments=4)
    assert model(video(*range(8)), lengths(4, 4)).shape == (2, 4)
    with pytest.raises(ValueError, match="2 videos of 4 frames expected, got 7 frames"):
        model(video(*range(7)), lengths(4, 3))


@pytest.mark.parametrize(
    "cluster_after, stem", [("conv1", 1), ("layer1", 2), ("layer2", 3), ("layer3", 4), ("layer4", 5)]
)
def test_stem_and_trunk(cluster_after, stem):
    model = thin(cluster_after=cluster_after)
    stages = ("conv1", "layer1", "layer2", "layer3", "layer4")
    assert (model.stem_stages, model.trunk_stages) == (stages[:stem], stages[stem:])
    assert model(video(*range(6)), lengths(2, 4)).shape == (2, 4)


def test_without_clustering_there_is_no_stem():
    model = thin(cluster="none", shift=True)
    assert model.stem_stages == () and model.clustering is None
    assert "base_model.layer1.0.conv1.net.weight" in model.state_dict()


@torch.inference_mode()
def test_clusterings_one_after_the_other():
    """Each is that of the frames, or means, before it; shift sees as many steps as there are there."""
    model = thin(num_segments=2, cluster="slope", cluster_after="conv1:7,layer1:4,layer3:2", shift=True).eval()
    x = model.run_stem(video(*range(9)))
    for stage, g in (("layer1", 7), ("layer2", 4), ("layer4", 2)):
        x, _ = TemporalClustering(g, "slope")(x, lengths(len(x)))
        assert len(x) == g
        x = model.base_model.run_stage(stage, x)
        if stage == "layer2":
            x = model.base_model.run_stage("layer3", x)
    expected = model.new_fc(model.base_model.pool(x)).mean(0, keepdim=True)
    torch.testing.assert_close(model(video(*range(9)), lengths(9)), expected)
    shifts = {name: m.num_segments for name, m in model.named_modules() if isinstance(m, TemporalShift)}
    assert {name.split(".")[1]: g for name, g in shifts.items()} == {"layer1": 7, "layer2": 4, "layer3": 4, "layer4": 2}
    assert model(video(*range(12)), lengths(3, 9)).shape == (2, 4) and model(None, lengths()).shape == (0, 4)


def test_frames_that_stand_for_clusters_are_drawn_by_the_key_in_training_only():
    model = thin(reduce="random", cluster_after="layer1:8,layer2:4", num_segments=4, dropout=0, partial_bn=False)
    frames = video(*range(40))
    with torch.no_grad():
        model.freeze = [norm.eval() for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]
        torch.manual_seed(0)
        found = [model(frames, lengths(24, 16), key) for key in ((3, 1, 0), (3, 1, 0), (3, 1, 1))]
        assert torch.equal(found[0], found[1]) and not torch.allclose(found[0], found[2])
        model.eval()
        assert torch.equal(model(frames, lengths(24, 16), (3, 1, 0)), model(frames, lengths(24, 16), (3, 1, 1)))


@pytest.mark.parametrize(
    "text, says",
    [
        ("fc", "'fc' is no stage; take one of conv1, layer1,"),
        ("layer1:8,layer2:8:", "'8:' of layer2:8: is no number of clusters"),
        ("layer1,layer2", "layer1 lacks its number of clusters, as in layer1:8"),
        ("layer1:", "layer1: lacks its number of clusters"),
        ("layer2:16,layer1:8", "layer1:8 must stand behind layer2"),
        ("layer1:16,layer1:8", "layer1:8 must stand behind layer1"),
        ("layer1:4,layer2:8", "later places cannot have more clusters"),
        ("layer1:16,layer2:4", "ends with 4 clusters, and num_segments is 8"),
        ("", "'' is no stage"),
    ],
)
def test_places_that_cannot_be(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        cluster_places(text, 8, ARCHS["resnet18"].stages)
    assert cluster_places("layer1:16,layer2:8", 8, ARCHS["resnet18"].stages) == {"layer1": 16, "layer2": 8}
    assert cluster_places("layer3", 8, ARCHS["resnet18"].stages) == {"layer3": 8}


def test_temporal_pool_needs_layer2_behind_the_clustering():
    with pytest.raises(ValueError, match="temporal pool"):
        thin(cluster_after="layer2", temporal_pool=True)


@pytest.mark.parametrize("num_segments", [1, 2, 5, 8])
def test_temporal_pool_of_any_number_of_steps(num_segments):
    model = thin(num_segments=num_segments, temporal_pool=True, shift=True, consensus_type="identity").eval()
    assert model(video(*range(11)), lengths(3, 8)).shape == (2, (num_segments + 1) // 2, 4)


# ---------------------------------------------------------------- consensus, classifier


@torch.inference_mode()
def test_identity_consensus_keeps_each_score_and_avg_is_their_mean():
    single, mean = thin(consensus_type="identity").eval(), thin(consensus_type="avg").eval()
    load_weights(mean, single.state_dict(), "test")
    frames = video(*range(9))
    scores = single(frames, lengths(5, 4))
    assert scores.shape == (2, 4, 4)
    torch.testing.assert_close(mean(frames, lengths(5, 4)), scores.sum(1) / 4)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_classifier_and_head_work_in_float32_under_autocast(precision, monkeypatch):
    """Logits of about 20, where bfloat16 knows steps of 1/8, are exact for the features that the backbone gives."""
    model, seen = thin().eval(), []
    nn.init.normal_(model.new_fc.weight, 20, 1)
    pool = model.base_model.pool

    def note(x):
        seen.append(pool(x))
        return seen[-1]

    monkeypatch.setattr(model.base_model, "pool", note)
    with torch.no_grad(), torch.autocast("cpu", precision):
        logits = model(video(*range(6)), lengths(6))
    (features,) = seen
    assert features.dtype == precision and logits.dtype == torch.float32
    expected = model.new_fc(features.float()).mean(0, keepdim=True)
    assert expected.abs().min() > 5
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=0)


def test_classifier_starts_small_and_dropout_works_in_training_only():
    torch.manual_seed(0)
    model = build_model("resnet_thin", 10, 4, dropout=1.0)
    assert 0.0008 < float(model.new_fc.weight.detach().std()) < 0.0012 and not model.new_fc.bias.any()
    frames = video(*range(4))
    assert not model.train()(frames, lengths(4)).any()
    assert model.eval()(frames, lengths(4)).all()


# ---------------------------------------------------------------- partial BatchNorm


def norm_states(model):
    """Names of the norms that train, as (uses batch statistics, has trainable weights)."""
    norms = {n: m for n, m in model.named_modules() if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm3d))}
    return (
        {n for n, m in norms.items() if m.training},
        {n for n, m in norms.items() if m.weight.requires_grad},
        set(norms),
    )


def test_partial_batchnorm_trains_the_first_norm_only():
    model = thin(partial_bn=True)
    for _ in range(2):  # and still does after an evaluation
        model.train()
        assert norm_states(model)[:2] == ({"base_model.bn1"}, {"base_model.bn1"})
        model.eval()
        assert norm_states(model)[:2] == (set(), {"base_model.bn1"})


def test_without_partial_batchnorm_all_norms_train():
    model = thin(partial_bn=False).train()
    batch_statistics, trainable, norms = norm_states(model)
    assert batch_statistics == trainable == norms and len(norms) == 12


def test_frozen_norms_keep_their_statistics():
    model = thin(partial_bn=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(video(*range(8)), lengths(8))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"base_model.bn1.{part}" for part in ("running_mean", "running_var", "num_batches_tracked")}


@pytest.mark.parametrize("partial_bn", [True, False])
@pytest.mark.parametrize("cluster", ["none", "slope"])
def test_frozen_norms_of_the_whole_backbone(cluster, partial_bn):
    model = thin(cluster=cluster, partial_bn=partial_bn, freeze_bn=True).train()
    batch_statistics, trainable, norms = norm_states(model)
    assert batch_statistics == trainable == set() and len(norms) == 12
    assert model.base_model.conv1.weight.requires_grad


def test_non_local_blocks_learn_under_partial_batchnorm():
    """Their last BatchNorm starts at zero: frozen, the blocks would be nothing for ever."""
    model = thin(non_local=True, partial_bn=True).train()
    assert norm_states(model)[1] == {"base_model.bn1", "base_model.layer2.0.nl.W.1", "base_model.layer3.0.nl.W.1"}


# ---------------------------------------------------------------- non-local blocks in the model


@torch.inference_mode()
def test_new_non_local_blocks_change_nothing():
    plain, with_blocks = thin(shift=True).eval(), thin(shift=True, non_local=True).eval()
    kept = load_weights(with_blocks, plain.state_dict(), "test", tune=True)
    assert kept and all(".nl." in key for key in kept)
    frames = video(*range(9))
    assert torch.equal(plain(frames, lengths(5, 4)), with_blocks(frames, lengths(5, 4)))


def test_non_local_blocks_stand_where_tsm_has_them():
    with torch.device("meta"):
        model = build_model("resnet50", 4, 8, cluster="none", non_local=True, shift=True)
    keys = model.state_dict()
    assert {key.split(".nl.")[0] for key in keys if ".nl." in key} == {
        f"base_model.{block}" for block in ("layer2.0", "layer2.2", "layer3.0", "layer3.2", "layer3.4")
    }
    for key in (
        "layer2.0.block.conv1.net.weight",
        "layer2.0.nl.g.0.weight",
        "layer2.0.nl.theta.bias",
        "layer2.0.nl.phi.0.weight",
        "layer2.0.nl.W.0.weight",
        "layer2.0.nl.W.1.running_var",
        "layer2.1.conv1.net.weight",
    ):
        assert f"base_model.{key}" in keys


# ---------------------------------------------------------------- names of weights


def test_keys_follow_tsm():
    keys = set(build_model("resnet18", 4, 8, shift=True).state_dict())
    assert {
        "base_model.conv1.weight",
        "base_model.layer1.0.conv1.weight",
        "base_model.layer2.0.conv1.net.weight",
        "base_model.layer2.0.conv2.weight",
        "base_model.layer2.0.downsample.0.weight",
        "new_fc.weight",
        "new_fc.bias",
    } <= keys
    assert all(key.startswith(("base_model.", "new_fc.")) for key in keys)


@pytest.mark.parametrize(
    "arch, options, number",
    [
        ("resnet50", {}, 24_327_632),
        ("resnet50", {"shift": True}, 24_327_632),
        ("resnet50", {"shift": True, "shift_direction": "past"}, 24_327_632),
        ("resnet50", {"shift": True, "non_local": True}, 31_686_096),
        ("resnet152", {}, 58_963_408),
        ("mobilenetv2_thin", {"shift": True}, 286_960),
        ("bninception_thin", {}, 216_388),
    ],
    ids=str,
)
def test_parameters_of_networks_with_400_classes(arch, options, number):
    """Literal numbers; those of heads, STM, MobileNetV2 and BNInception stand with their tests."""
    with torch.device("meta"):
        model = build_model(arch, 400, 8, cluster="none", **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == number


def test_same_seed_same_weights():
    one, two = thin().state_dict(), thin().state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


# ---------------------------------------------------------------- deterministic


# What `torch.use_deterministic_algorithms` refuses on CUDA by its documentation, of 2.6 and of later versions, by the
# names in autograd's graph. (Of NLLLoss it refuses that of maps alone, and `cumsum` of floating point before 2.7.)
REFUSED = (
    "AdaptiveAvgPool|AdaptiveMaxPool|AvgPool3D|MaxPool3D|FractionalMaxPool|MaxUnpool|Upsample|ReflectionPad|"
    "ReplicationPad|NllLoss2D|CtcLoss|EmbeddingBag|^Put|Histc|Bincount|Median|Kthvalue|GridSampler|ScatterReduce|Cumsum"
)


def graph_of(loss):
    """The names of all operations that backward runs."""
    names, seen, waiting = set(), set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            names.add(node.name())
            waiting += [parent for parent, _ in node.next_functions]
    return names


@pytest.mark.parametrize(
    "options",
    [
        {"cluster": "none", "shift": True, "temporal_pool": True},
        {"cluster": "none", "non_local": True},
        {"cluster": "slope", "shift": True, "shift_place": "block", "non_local": True, "temporal_pool": True},
        {"cluster": "cumulative", "consensus_type": "identity"},
        {"cluster": "slope", "temporal_max": True},
        {"cluster": "slope", "temporal": "stm"},
    ],
)
def test_nothing_is_trained_through_what_deterministic_cuda_refuses(monkeypatch, options):
    monkeypatch.setattr("ops.clustering._slice_means", _SegmentMeans.apply)  # as on CUDA
    model = thin(**options)
    logits = model(video(*range(8), size=64), lengths(4, 4))
    names = graph_of(video_losses(logits, torch.tensor([0, 1])).sum())
    assert {"ConvolutionBackward0", "MaxPool2DWithIndicesBackward0"} <= names
    assert ("_SegmentMeansBackward" in names) == (options["cluster"] != "none")
    assert not [name for name in names if re.search(REFUSED, name, re.IGNORECASE)]


# ---------------------------------------------------------------- GPUs, with stand-ins


def trained(cluster, streaming=None, **options):
    model = thin(cluster=cluster, shift=True, dropout=0.0, freeze_stem_bn=cluster != "none", **options)
    model.streaming = streaming
    return model


def two_videos(model):
    """Frames and lengths, on the host."""
    many = lengths(9, 3) if model.clustering else lengths(4, 4)
    return torch.zeros(int(many.sum()), 3, 32, 32, dtype=torch.uint8), many


def forward_on(device, model, frames, many):
    model.to(device)
    if not model.streaming:
        many = many.to(device)  # on the host they are looked at, which in stand-ins cannot be
    logits = model(frames, many, (0, 1, 2))
    assert logits.device.type == device
    return logits


@pytest.mark.parametrize("cluster", [*METHODS, "none"])
@pytest.mark.parametrize("options", [{}, {"non_local": True, "temporal_pool": True}])
def test_no_step_of_training_waits_for_the_device(cluster, options):
    """Tensors of the device `meta` hold nothing: whatever asks for their values fails."""
    model = trained(cluster, **options)
    logits = forward_on("meta", model, *two_videos(model))
    video_losses(logits, torch.zeros(2, dtype=torch.int64, device="meta")).sum().backward()
    assert all(p.grad.device.type == "meta" for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("cluster", METHODS)
@pytest.mark.parametrize("representative", [False, True])
def test_in_chunks_a_batch_waits_where_it_has_to(monkeypatch, cluster, representative):
    """Once with slope, whose fallback for still videos is another pass; once to know which frames backward needs."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which knows no such device
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda device: None)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    model = trained(cluster, Streaming(4, representative=representative))
    waits = pytest.raises(NotImplementedError, match="(?i)meta tensor")
    with waits if cluster == "slope" else nullcontext():
        logits = forward_on("meta", model, *two_videos(model))
    if cluster != "slope":
        with waits if representative else nullcontext():
            logits.sum().backward()


@pytest.mark.parametrize("streaming", [None, Streaming(4)])
@pytest.mark.parametrize("cluster", ["cumulative", "even", "random"])
def test_all_tensors_of_a_forward_pass_are_on_the_gpu(monkeypatch, cluster, streaming):
    """With PyTorch's stand-ins for tensors on CUDA, which refuse those on a CPU."""
    monkeypatch.setattr("ops.streaming.copied_ahead", lambda items, device, copy: map(copy, items))
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: True)
    model = trained(cluster, streaming)
    videos = two_videos(model)
    with FakeTensorMode(allow_non_fake_inputs=True):
        try:
            torch.zeros(1).to("cuda")
        except (RuntimeError, AssertionError):
            pytest.skip("this PyTorch wants a GPU even for stand-ins")
        forward_on("cuda", model, *videos)
