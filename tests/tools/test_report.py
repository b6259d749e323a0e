"""`tools/report.py`: what its page tells, and that a browser shows it, by mouse and by keyboard."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from browser import SIZES, browser
from checkpoints import make_checkpoint

from ops.errors import InputError
from ops.evaluation.report import Source, check_own, gather, margins, probabilities, short_names
from ops.evaluation.report_strips import most_wrong
from ops.evaluation.result_files import Scored, scores_file
from ops.evaluation.runs import checkpoint_of, read_config
from ops.models import build_model
from ops.options.config import Config, plain
from ops.pictures.report_page import fill_page, picture_of
from ops.training import checkpoint as ckpt

CLASSES = ["left", "right", "up", "down"]
HEADER = "epoch,split,loss,top1,top5,mean_class_accuracy,lr,seconds,videos,frames\n"
ROWS = "0,train,1.5,25,100,25,0.1,60,8,160\n0,val,1.25,50,100,50,0.1,30,12,240\n1,train,0.5,75,100,75,0.01,60,8,160\n"
VIDEOS = [f"train/{name}_{i}" for name in CLASSES for i in (0, 1)] + [f"val/{name}_0" for name in CLASSES]
LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3])
SLOPE = np.array([0, 1, 1, 1, 2, 2, 3, 3, 0, 1, 2, 0])  # what is named: two of twelve wrongly
UNIFORM = np.array([0, 0, 0, 0, 2, 2, 3, 3, 0, 0, 3, 3])  # four wrongly


def scored(named: np.ndarray, sure: float = 3.0) -> Scored:
    """Scores that name these classes, surer from video to video."""
    scores = np.zeros((len(named), 4), np.float32)
    scores[np.arange(len(named)), named] = sure + np.arange(len(named)) / 10
    return Scored(Path("made.npz"), np.array(VIDEOS[: len(named)]), LABELS[: len(named)], scores)


def write_run(folder: Path, root: Path, cluster: str, named: np.ndarray) -> Path:
    """The log folder, scores and untrained checkpoint of a run that was started in `folder`."""
    config = Config(
        dataset="movingmnist",
        modality="RGB",
        arch="resnet_thin",
        input_size=32,
        num_segments=4,
        cluster=cluster,
        shift=True,
        root_path=str(root),
        suffix=f"try-{cluster}-s0",
        scores=f"scores/{cluster}.npz",
        epochs=2,
    )
    log = folder / config.log_folder
    log.mkdir(parents=True)
    (log / "args.json").write_text(json.dumps(plain(config)))
    top1 = 100 * float((named == LABELS).mean())
    (log / "log.csv").write_text(HEADER + ROWS.replace("1.25,50,", f"1.25,{top1:.4f},"))
    file = folder / config.scores
    file.parent.mkdir(exist_ok=True)
    made = scored(named)
    file.write_bytes(scores_file(VIDEOS, made.labels, made.scores))
    model = build_model(num_class=4, **config.model_options)
    ckpt.save_checkpoint(
        folder / config.run_folder / ckpt.BEST, {"state_dict": model.state_dict(), "config": plain(config)}
    )
    return log


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_data) -> Path:
    """A folder in which two runs were started; not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    for cluster, named in (("slope", SLOPE), ("none", UNIFORM)):
        write_run(folder, tiny_data, cluster, named)
    return folder


@pytest.fixture
def run(run_program):
    """`run(*words)` runs report.py's command line in the empty folder `tmp_path` -> `Ran`."""
    return partial(run_program, "tools/report.py", "--device", "cpu")


def told_by(page: Path) -> dict:
    """The data in a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())[1])


# ---------------------------------------------------------------- what is told


def test_a_page_of_two_runs(runs, run, tmp_path):
    logs = sorted((runs / "log").iterdir(), reverse=True)  # of slope, of none
    ran = run(*logs)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == "2 runs, 2 with scores, 1 set of videos"
    told = told_by(tmp_path / "report.html")
    slope, none = told["runs"]
    assert [slope["name"], none["name"]] == ["slope", "none"]
    assert slope["facts"]["method"] == "slope" and none["facts"]["method"] == "uniform (TSM)"
    assert slope["curves"]["top1"] == {"train": [[0, 25.0], [1, 75.0]], "val": [[0, 83.3333]]}
    assert slope["scores"]["top1"] == pytest.approx([83.333, 55.197, 95.304], abs=0.001)
    assert slope["scores"]["per_class"][0][:2] == [2, 3] and slope["scores"]["per_class"][1][:2] == [3, 3]
    assert slope["scores"]["best"][1][0] == 1 and none["scores"]["best"][1][0] == 0
    (videos,) = told["sets"]
    assert (videos["names"], videos["labels"], videos["classes"]) == (VIDEOS, LABELS.tolist(), CLASSES)
    pair = videos["pairs"][0][1]
    assert (pair["only_a"], pair["only_b"]) == (4, 2) and pair["difference"] == pytest.approx(100 / 6)
    assert pair["p"] == pytest.approx(0.6875)
    assert videos["pairs"][1][0]["difference"] == pytest.approx(-100 / 6) and videos["pairs"][0][0] is None
    strip = videos["strips"]["0"]
    assert (strip["frames"], len(strip["shown"])) == (20, 16) and strip["image"].startswith("data:image/webp;base64,")
    assert [part[1] for part in strip["cuts"][0]["parts"]] == [0, 1, 2, 3] and strip["cuts"][0]["parts"][0][0] == 0
    assert strip["cuts"][1] == {"seen": [2, 7, 12, 17]}


def test_a_file_of_scores_is_as_good_as_its_run(runs, run, tmp_path, tiny_data):
    (log,) = (runs / "log").glob("*slope*")
    (weights,) = (runs / "checkpoint").glob(f"*slope*/{ckpt.BEST}")
    scores = runs / "scores/none.npz"
    assert run(f"{log}={scores}", "--names", "mine", "--no_clusters", "--strips", 2).code == 0
    told = told_by(tmp_path / "report.html")
    assert told["runs"][0]["name"] == "mine" and told["runs"][0]["scores"]["top1"][0] == pytest.approx(100 * 8 / 12)
    assert len(told["sets"][0]["strips"]) == 2 and told["sets"][0]["strips"]["10"]["cuts"] == [None]
    assert run(scores, "--weights", weights, "--strips", 1, "--out", "r.html").code == 0
    (strip,) = told_by(tmp_path / "r.html")["sets"][0]["strips"].values()
    assert len(strip["cuts"][0]["parts"]) == 4
    ran = run(scores)
    assert ran.code == 0 and "nothing tells where the videos lie" in ran.out
    assert told_by(tmp_path / "report.html")["sets"][0]["classes"] == ["0", "1", "2", "3"]
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    ran = run(scores, "--data", tiny_data, "--category_file", "names.txt", "--strips", 1)
    assert ran.code == 0 and "No clusters of none, as no checkpoint was found; name it with --weights.\n" in ran.out
    told = told_by(tmp_path / "report.html")
    assert told["sets"][0]["classes"] == ["a", "b", "c", "d"] and len(told["sets"][0]["strips"]) == 1


def test_training_leaves_scores_that_a_report_finds(run_main, run, tiny_data, tmp_path):
    words = "--arch resnet_thin --input_size 32 --num_segments 4 --epochs 2 -b 4 -j 0 --device cpu --pretrain none"
    assert run_main("movingmnist", "RGB", "--root_path", tiny_data, *words.split(), "--scores", "s.npz").code == 0
    (log,) = (tmp_path / "log").iterdir()
    assert run(log, "--strips", 1).code == 0
    (told,) = told_by(tmp_path / "report.html")["runs"]
    assert told["scores"]["top1"][0] == pytest.approx(told["curves"]["top1"]["val"][-1][1])
    (told,) = told_by(tmp_path / "report.html")["sets"]
    assert told["names"] == ["val/left_0", "val/right_0", "val/up_0", "val/down_0"]


def test_runs_alone_have_curves_and_other_videos_are_another_set(runs, run, tmp_path):
    (log,) = (runs / "log").glob("*slope*")
    fewer = scored(SLOPE[:4])
    Path("four.npz").write_bytes(scores_file(fewer.names, fewer.labels, fewer.scores))
    ran = run(log, f"{log}=four.npz", "--strips", 0)
    assert ran.out.splitlines()[0] == "2 runs, 2 with scores, 2 sets of videos"
    about = json.loads((log / "args.json").read_text()) | {"scores": None}
    Path("log/alone").mkdir(parents=True)
    Path("log/alone/args.json").write_text(json.dumps(about))
    Path("log/alone/log.csv").write_text(HEADER + ROWS)
    assert run("log/alone").out.splitlines()[0] == "1 run, 0 with scores, 0 sets of videos"
    assert told_by(tmp_path / "report.html")["sets"] == []


def test_scores_that_another_run_has_written_over_are_refused(tiny_data, run, tmp_path):
    log, other = (write_run(tmp_path, tiny_data, *each) for each in (("slope", SLOPE), ("none", UNIFORM)))
    (tmp_path / "scores/slope.npz").write_bytes((tmp_path / "scores/none.npz").read_bytes())
    ran = run(log, "--strips", 0)
    assert "has top-1 66.7 %, and the run's last validation 83.3 %: another run has written there since" in ran.error
    assert run(f"{log}=scores/slope.npz", "--strips", 0).code == 0
    ran = run(f"{log}=scores/none.npz", other, "--strips", 0)
    assert "have one file of scores" in ran.error


def test_of_equal_scores_either_may_be_the_best(tmp_path):
    (tmp_path / "log.csv").write_text(HEADER + ROWS)
    made = scored(SLOPE)
    check_own(tmp_path, replace(made, scores=np.zeros_like(made.scores)))
    with pytest.raises(InputError, match="top-1 83.3 %"):
        check_own(tmp_path, made)


def test_videos_that_are_gone_are_told_of(runs, run, tmp_path):
    (log,) = (runs / "log").glob("*none*")
    (tmp_path / "empty").mkdir()
    assert "12 videos could not be read, such as " in run(log, "--data", "empty", "--no_clusters").out
    assert "--data nowhere is no folder" in run(log, "--data", "nowhere").error


def test_a_moved_tree_of_runs_is_found_whole(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (log,) = (runs / "log").glob("*slope*")
    config = read_config(log)
    assert config.scores == str(runs / "scores/slope.npz")
    assert checkpoint_of(log, config).parent.parent == runs / "checkpoint"


@pytest.mark.parametrize(
    "words, message",
    [
        ("nowhere", "no log folder and no file of scores nowhere; give log/NAME"),
        ("empty", "empty is no log folder of a run: empty/args.json cannot be read"),
        ("scores.txt", "scores.txt is no file of scores"),
        ("four.npz --names a b", "--names has 2 values for 1 run; give one for each"),
        ("four.npz --weights a b", "--weights has 2 values for 1 run"),
        ("four.npz --weights absent.pth", "no checkpoint absent.pth"),
        ("four.npz --weights five.pth.tar", "five.pth.tar is of 5 classes, and four.npz of 4; give the checkpoint"),
        ("four.npz --data empty", "--data empty: it has no dataset.json, and empty is none of movingmnist"),
        ("four.npz --category_file scores.txt", "scores.txt names 1 classes"),
        ("four.npz --out four.npz/where", "cannot be written"),
        ("four.npz --strips -1", "--strips"),
    ],
)
def test_bad_input_is_named(words, message, run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "scores.txt").write_text("no scores")
    made = scored(SLOPE[:4])
    (tmp_path / "four.npz").write_bytes(scores_file(made.names, made.labels, made.scores))
    if "five" in words:
        make_checkpoint(tmp_path / "five.pth.tar", dataset="mine", num_class=5, image_tmpl="{}.jpg")
    assert message in run(*words.split()).error


def test_names_of_runs_are_what_tells_them_apart():
    assert short_names(["qs0-random-slope", "qs0-random-even"]) == ["slope", "even"]
    assert short_names(["TSM_slope_e25_s0", "TSM_e25_s0"]) == ["slope_e25", "e25"]
    assert short_names(["TSM_slope_e25_s0", "TSM_even_e25_s0"]) == ["slope", "even"]
    assert short_names(["a", "a"]) == ["a (1)", "a (2)"]
    assert short_names(["set-slope-g16-f0-s0", "set-slope-g16-f1-s0", "set-even-g16-f0-s0"]) == [
        "slope-f0",
        "slope-f1",
        "even-f0",
    ]
    assert short_names(["one_run"]) == ["one_run"]


def test_margins_and_probabilities_are_those_of_scores_or_of_probabilities():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.7, 0.2]]))
    np.testing.assert_allclose(probabilities(logits)[1], [0.1, 0.7, 0.2])
    np.testing.assert_allclose(probabilities(2.5 * np.exp(logits))[0], [0.5, 0.25, 0.25])  # models added up by --coeff
    of = Scored(Path("x"), np.array(["a", "b"]), np.array([0, 2]), logits.astype(np.float32))
    np.testing.assert_allclose(margins(of), [0.25, -0.5], atol=1e-6)


def test_the_most_wrong_of_every_cell_come_first():
    first = Source("slope", scored=scored(SLOPE))
    # wrong: 11 and 1, the surer first; then the least sure of each cell that is right, and the second of each cell
    assert most_wrong([first], 99) == [11, 1, 0, 2, 4, 6, 3, 5, 7, 8, 9, 10]
    assert most_wrong([first, Source("none", scored=scored(UNIFORM))], 4) == [11, 10, 9, 1]


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def page_file(runs, tmp_path_factory) -> Path:
    """The report on two runs."""
    from tools import report

    file = tmp_path_factory.mktemp("page") / "report.html"
    report.main([*map(str, sorted((runs / "log").iterdir(), reverse=True)), "--out", str(file), "--device", "cpu"])
    return file


@pytest.fixture
def open_page(chromium):
    """`open_page(file, size, scheme)`: the page in a window of its own; what is wrong with it fails the test."""
    problems, windows = [], []

    def open_in(file: Path, size: str = "desk", scheme: str = "light"):
        width, height = SIZES[size]
        page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(5000)
        windows.append(page)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type != "log" else None)
        page.on(
            "request", lambda request: problems.append(request.url[:80]) if request.url.startswith("http") else None
        )
        page.goto(file.as_uri())
        return page

    yield open_in
    for page in windows:
        page.close()
    assert problems == []


def cards(page) -> list[str]:
    """The videos that are shown."""
    return page.locator(".card .path").all_inner_texts()


def test_a_click_on_a_cell_shows_its_videos(open_page, page_file):
    page = open_page(page_file)
    assert page.locator("#about").inner_text() == "2 runs · 12 videos of 4 classes"
    assert cards(page) == ["val/down_0", "train/left_1"]  # those that are wrong, the surest first
    page.get_by_role("button", name="left named left: 2 videos of 3").click()
    assert page.locator(".chosen").inner_text() == "2 videos of left named left by slope"
    assert cards(page) == ["train/left_0", "val/left_0"]
    film = page.locator(".card").first.locator(".film")
    assert film.locator("img").evaluate("image => image.complete && image.naturalWidth") == 16 * 32
    assert film.locator(".part").count() == 4 and film.locator(".sampled-frame").count() == 4
    page.get_by_role("button", name="All cells").click()
    assert len(cards(page)) == 2


def test_the_keyboard_reaches_all(open_page, page_file):
    page = open_page(page_file)
    page.locator("#matrix [tabindex='0']").focus()
    focused = partial(page.evaluate, "document.activeElement.getAttribute('aria-label')")
    for key, name in (
        ("ArrowRight", "left named right: 1 video of 3"),
        ("ArrowDown", "right named right: 3 videos of 3"),
    ):
        page.keyboard.press(key)
        assert focused() == name
    page.keyboard.press("Enter")
    assert cards(page) == ["train/right_0", "train/right_1", "val/right_0"]
    assert focused() == "right named right: 3 videos of 3"  # the focus stays though the matrix was made anew
    page.locator("#videos").focus()
    page.keyboard.press("Escape")
    assert focused() == "right named right: 3 videos of 3"
    reached = set()
    page.locator("body").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('section, nav')?.id"))
    assert {"controls", "runs", "curves", "classes", "matrix", "videos"} <= reached


def test_classes_runs_and_pairs_choose_videos(open_page, page_file):
    page = open_page(page_file)
    page.get_by_role("button", name="4 videos that only slope gets right").click()
    assert cards(page) == ["train/right_0", "train/right_1", "val/right_0", "val/up_0"]  # the least sure first
    page.get_by_label("Class", exact=True).select_option("up")
    assert cards(page) == ["val/up_0"]
    assert page.locator("#matrix tbody tr").count() == 1  # no other was confused with it
    page.get_by_label("Class", exact=True).select_option("all classes")
    page.get_by_role("group", name="Run").get_by_role("button", name="none").click()
    page.get_by_label("Show", exact=True).select_option("wrong ones")
    assert cards(page) == ["val/up_0", "val/right_0", "train/right_1", "train/right_0"]
    page.get_by_label("Order of classes").select_option("worst first")
    assert page.locator("#matrix tbody th").all_inner_texts() == ["right", "up", "left", "down"]
    page.get_by_label("Order of classes").select_option("confused ones together")
    assert page.locator("#matrix tbody th").all_inner_texts() == ["left", "right", "up", "down"]


@pytest.mark.parametrize("scheme, paper", [("light", 240), ("dark", 40)])
def test_it_fits_a_phone_in_light_and_dark(open_page, page_file, scheme, paper):
    page = open_page(page_file, "phone", scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    red = int(page.evaluate("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
    assert abs(red - paper) < 25
    page.get_by_role("button", name="down named left: 1 video of 3").click()
    top, height = page.locator("#videos").bounding_box()["y"], page.locator(".card").bounding_box()["height"]
    assert 0 <= top < SIZES["phone"][1] - height  # the page went there


def test_names_are_text_whatever_they_hold(open_page, tmp_path):
    made = scored(SLOPE)
    bad = "</script><img src=http://x onerror=alert(1)>"
    source = Source(bad, scored=made, classes=[bad, "$title", "\u202e", "&amp;"])
    told = gather([source])
    told["sets"][0] |= {"strips": {}, "note": ""}
    (tmp_path / "r.html").write_bytes(fill_page(told, bad))
    page = open_page(tmp_path / "r.html")
    assert page.locator("h1").inner_text() == bad == page.title()
    assert page.locator("#runs tbody th").inner_text() == bad


def test_sets_of_videos_take_turns(open_page, tmp_path):
    told = gather([Source("all", scored=scored(SLOPE)), Source("few", scored=scored(UNIFORM[:4]))])
    for place in told["sets"]:
        place |= {"strips": {}, "note": "no frames"}
    (tmp_path / "r.html").write_bytes(fill_page(told, "Sets"))
    page = open_page(tmp_path / "r.html", "phone")
    assert page.locator("#curves").is_hidden() and page.locator("#videos .note").inner_text() == "no frames"
    assert cards(page) == ["val/down_0", "train/left_1"]
    page.get_by_label("Set of videos").select_option("1")
    assert page.locator(".chosen").inner_text() == "2 videos named wrongly by few"
    assert cards(page) == ["train/right_1", "train/right_0"]


def test_thousands_of_videos_open_at_once(open_page, tmp_path):
    rng = np.random.default_rng(0)
    names = np.array([f"val/class_{i % 174}/video_{i:05d}" for i in range(5000)])
    labels, sources = np.arange(5000) % 174, []
    for number in range(3):
        scores = rng.normal(0, 1, (5000, 174)).astype(np.float32)
        scores[np.arange(5000), labels] += 3
        sources.append(Source(f"run {number}", scored=Scored(Path("x"), names, labels, scores)))
    told = gather(sources)
    blocks = np.kron(rng.integers(20, 235, (16, 8, 8, 3)), np.ones((1, 8, 8, 1), int))
    noise = rng.integers(-20, 20, blocks.shape)  # as hard to compress as any video
    image = picture_of((blocks + noise).astype(np.uint8), 64)
    cuts = [{"parts": [[8 * cluster, cluster] for cluster in range(16)]}] * 3
    strip = {"image": image, "shown": list(range(0, 128, 8)), "frames": 128, "cuts": cuts}
    told["sets"][0] |= {"strips": {str(video): strip for video in most_wrong(sources, 1000)}, "note": ""}
    page_bytes = fill_page(told, "Large")
    assert 10e6 < len(page_bytes) < 20e6
    (tmp_path / "r.html").write_bytes(page_bytes)
    page = open_page(tmp_path / "r.html")
    taken = page.evaluate("performance.timing.domComplete - performance.timing.navigationStart")
    assert taken < 4000  # on a busy machine
    assert page.locator(".card").count() == 24 and page.locator("#matrix tbody tr").count() == 40
    page.get_by_role("button", name=re.compile("^Show 24 more")).click()
    assert page.locator(".card").count() == 48
    page.get_by_role("button", name="Next").click()
    assert "classes 41 to 80 of 174" in page.locator(".pages").inner_text()
