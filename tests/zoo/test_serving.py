"""SavedModels: the same numbers as Keras through the server's loader, whole or not at all."""

import itertools
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from hedgezoo import serving
from hedgezoo.baselines.whalley_wilmott import WhalleyWilmott
from hedgezoo.deep_hedge import FeedForwardHedge
from hedgezoo.layers.hedge_features import hedge_features
from hedgezoo.no_transaction_band import NoTransactionBand
from hedgezoo.serving import Signature, check_saved_model, export, load_with_c_api, saved_model
from hedgezoo.serving.protobuf_wire import field, fields
from hedgezoo.serving.saved_model_checks import check_graph
from hedgezoo.serving.saved_model_process import run_in_new_process
from hedgezoo.serving.warm_up import FILE, encode_request, read_warm_up, write_warm_up

pytestmark = pytest.mark.serving

CONDITIONAL = ("log_moneyness", "time_to_expiry", "volatility", "cost", "risk_aversion")
MODELS = {
    "band_raw": lambda: NoTransactionBand(hidden_units=(5,), risk_aversion=50.0),
    "band_standardized": lambda: NoTransactionBand(
        features=CONDITIONAL, hidden_units=(6, 5), inputs="standardized", width="whalley_wilmott"
    ),
    "feed_forward": lambda: FeedForwardHedge(hidden_units=(5, 4), activation="tanh"),
    "whalley_wilmott": lambda: WhalleyWilmott(risk_aversion=50.0),
}


class Served:
    """A model with weights as of after a training, and its SavedModel."""

    def __init__(self, name, directory):
        self.model = MODELS[name]()
        if name != "whalley_wilmott":
            self.model.build()
            random = np.random.default_rng(5)
            weights = [w + random.normal(0.0, 0.2, w.shape) for w in self.model.get_weights()]
            weights[-1] = np.full_like(weights[-1], 0.2)  # so that bands have a width
            self.model.set_weights(weights)
        self.band = name != "feed_forward"
        self.path = export(self.model, directory)
        self.session = load_with_c_api(self.path)


@pytest.fixture(scope="module", params=MODELS)
def served(request, tmp_path_factory):
    found = Served(request.param, tmp_path_factory.mktemp(request.param))
    yield found
    found.session.close()


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """The SavedModel of a model without weights, to be copied and damaged."""
    return export(WhalleyWilmott(), tmp_path_factory.mktemp("baseline"), check=False)


@pytest.fixture
def copy(baseline, tmp_path):
    return shutil.copytree(baseline, tmp_path / "copy" / "1")


def paths(model, batch, steps, dtype="float32"):
    """Inputs of a rollout."""
    random = np.random.default_rng(batch + steps)
    returns = random.normal(0.0, 0.01, (batch, steps + 1, 1)).cumsum(axis=1)
    price = np.exp(returns).astype(dtype)
    features = hedge_features(
        price,
        features=model.feature_names,
        maturity=0.08,
        time_step=0.08 / steps,
        volatility=random.uniform(0.1, 0.3, batch),
        cost=random.uniform(1e-4, 1e-2, batch),
        risk_aversion=random.uniform(1.0, 50.0, batch),
    )
    return {
        "features": np.asarray(features),
        "price": price,
        "cost": (1e-3 * price[:, :-1]).astype(dtype),
    }


def one_step(model, batch):
    """Inputs of one hedge step: positions inside the band, outside of it, and at zero."""
    position = np.random.default_rng(batch).uniform(-0.5, 1.5, (batch, 1)).astype("float32")
    position[::5] = 0.0
    return {"features": paths(model, batch, 2)["features"][:, 1], "position": position}


def assert_close(actual, expected, atol=1e-6, rtol=0.0):
    assert set(actual) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=rtol, atol=atol, err_msg=name)


def dtypes(report):
    """All dtypes in a report of `check_graph`."""
    sides = [side for signature in report["signatures"].values() for side in signature.values()]
    return {tensor["dtype"] for side in sides for tensor in side.values()}


# --------------------------------------------------------------------------------- what is served


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_a_step_is_that_of_keras(served, batch):
    inputs = one_step(served.model, batch)
    expected = served.model.step(*map(tf.constant, inputs.values()))
    assert set(expected) == ({"position", "lower", "upper"} if served.band else {"position"})
    assert_close(served.session.run(inputs), expected)


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (7, 20), (256, 31)])
def test_a_rollout_is_that_of_keras(served, batch, steps):
    inputs = paths(served.model, batch, steps)
    actual = served.session.run(inputs, "rollout")
    assert actual["positions"].shape == (batch, steps, 1)
    assert actual["gains"].shape == (batch,)
    expected = {"positions": served.model.positions(inputs), "gains": served.model(inputs)}
    assert_close(actual, expected)


@pytest.mark.parametrize("signature", ["serving_default", "sensitivities", "rollout"])
def test_requests_may_be_batched(served, signature):
    """A server that batches sends several requests as one and cuts the answer."""
    batch = paths(served.model, 6, 4) if signature == "rollout" else one_step(served.model, 6)
    whole = served.session.run(batch, signature)
    part = served.session.run({name: value[2:5] for name, value in batch.items()}, signature)
    assert_close(part, {name: value[2:5] for name, value in whole.items()}, rtol=1e-5)


def test_steps_make_a_rollout(served):
    inputs = paths(served.model, 3, 4)
    position = np.zeros((3, 1), "float32")
    rolled = served.session.run(inputs, "rollout")["positions"]
    for time in range(4):
        features = inputs["features"][:, time]
        position = served.session.run({"features": features, "position": position})["position"]
        np.testing.assert_allclose(position, rolled[:, time], rtol=0, atol=1e-6)


def test_sensitivities_are_finite_differences(served):
    inputs = one_step(served.model, 11)
    actual = served.session.run(inputs, "sensitivities")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        twin = type(served.model).from_config({**served.model.get_config(), "dtype": "float64"})
        twin.step(*(tf.constant(value, "float64") for value in inputs.values()))
        twin.set_weights(served.model.get_weights())
    finally:
        keras.config.set_dtype_policy(policy)
    features, position = (value.astype("float64") for value in inputs.values())

    def slope(output, moved_features, moved_position, width=1e-6):
        rise = [
            twin.step(
                tf.constant(features + sign * width * moved_features),
                tf.constant(position + sign * width * moved_position),
            )[output].numpy()
            for sign in (1, -1)
        ]
        return (rise[0] - rise[1]) / (2 * width)

    columns = np.eye(features.shape[1])
    outputs = ("position", "lower", "upper") if served.band else ("position",)
    expected = {
        f"{name}_gradient": np.concatenate([slope(name, unit, 0.0) for unit in columns], axis=1)
        for name in outputs
    }
    expected["position_feedback"] = slope("position", 0.0, 1.0)
    assert_close(actual, expected, rtol=2e-4, atol=2e-5)
    # some rows trade and some rest, so that both branches of the clamp are seen
    if served.band:
        assert set(actual["position_feedback"].ravel()) == {0.0, 1.0}
    else:
        assert actual["position_feedback"].any()


def test_signatures(served):
    report = check_graph(served.path)
    width = len(served.model.feature_names)
    assert {
        name: {side: {key: tensor["shape"] for key, tensor in tensors.items()}}
        for name, signature in report["signatures"].items()
        for side, tensors in signature.items()
        if side == "inputs"
    } == {
        "serving_default": {"inputs": {"features": [None, width], "position": [None, 1]}},
        "sensitivities": {"inputs": {"features": [None, width], "position": [None, 1]}},
        "rollout": {
            "inputs": {
                "features": [None, None, width],
                "price": [None, None, 1],
                "cost": [None, None, 1],
            }
        },
    }
    outputs = {
        name: {key: tensor["shape"] for key, tensor in signature["outputs"].items()}
        for name, signature in report["signatures"].items()
    }
    steps = ("position", "lower", "upper") if served.band else ("position",)
    assert outputs == {
        "serving_default": {name: [None, 1] for name in steps},
        "sensitivities": {f"{name}_gradient": [None, width] for name in steps}
        | {"position_feedback": [None, 1]},
        "rollout": {"positions": [None, None, 1], "gains": [None]},
    }
    kinds = dtypes(report)
    assert kinds == {"float32"}
    assert report["tensorflow_version"] == tf.__version__
    assert "Erfc" in report["operations"]


def test_a_wide_policy_keeps_its_precision(tmp_path):
    model = WhalleyWilmott(dtype="float64")
    path = export(model, tmp_path, check=False)
    assert dtypes(check_graph(path)) == {"float64"}
    inputs = {"features": [[0.01, 0.05, 0.2]], "position": [[0.1]]}
    expected = model.step(*[tf.constant(value, "float64") for value in inputs.values()])
    with load_with_c_api(path) as session:
        assert_close(session.run(inputs), expected, atol=1e-14)


# ------------------------------------------------------------------------ the loader of the server


@pytest.mark.multiprocess
def test_runs_without_tensorflow_for_python(run_python, tmp_path):
    model = FeedForwardHedge(hidden_units=(4,), seed=3)
    path = export(model, tmp_path, check=False)
    inputs = one_step(model, 7)
    np.savez(tmp_path / "inputs.npz", **inputs)
    run_python(
        """
        import sys
        import numpy as np
        from hedgezoo.serving.saved_model_c_api import load_with_c_api

        inputs = dict(np.load(sys.argv[2]))
        with load_with_c_api(sys.argv[1]) as session:
            np.savez(sys.argv[3], **session.run(inputs), **session.run(inputs, "sensitivities"))
        assert not {"tensorflow", "keras"} & set(sys.modules)
        """,
        *(path, tmp_path / "inputs.npz", tmp_path / "outputs.npz"),
    )
    outputs = dict(np.load(tmp_path / "outputs.npz"))
    expected = model.step(*map(tf.constant, inputs.values()))
    assert_close({"position": outputs["position"]}, expected)
    assert outputs["position_gradient"].shape == inputs["features"].shape


def test_the_session_says_what_is_wrong(baseline):
    step = {"features": np.zeros((2, 3)), "position": np.zeros((2, 1))}
    with load_with_c_api(baseline) as session:
        with pytest.raises(ValueError, match=r"no signature 'price'; the model has \['rollout'"):
            session.run({}, "price")
        with pytest.raises(ValueError, match=r"\['features', 'position'\]. Received: \['spot'\]"):
            session.run({"spot": 1.0})
        with pytest.raises(ValueError, match="signature 'serving_default'"):
            session.run({**step, "position": np.zeros((3, 1))})
        assert session.run(step)["position"].shape == (2, 1)
    session.close()
    with pytest.raises(ValueError, match="does not load"):
        load_with_c_api(baseline.parent)


@pytest.mark.multiprocess
def test_another_process_reports_what_is_wrong(baseline):
    with pytest.raises(ValueError, match=r"^signature 'serving_default' takes \['features'"):
        run_in_new_process(baseline, [("serving_default", {})])


# ---------------------------------------------------------------------------------------- warm-up

# PredictionLog(predict_log=PredictLog(request=PredictRequest(model_spec=ModelSpec(
#     signature_name="serving_default"), inputs={"features": [[0.5, 0.25]]}))), as serialised by
# the classes of tensorflow-serving-api 2.21.0
KNOWN_GOOD = bytes.fromhex(
    "32390a370a111a0f73657276696e675f64656661756c7412220a08666561747572657312160801120812020801"
    "1202080222080000003f0000803e"
)


def test_a_warm_up_request_is_what_the_server_reads(baseline):
    inputs = {"features": np.array([[0.5, 0.25]], "float32")}
    assert encode_request("serving_default", inputs) == KNOWN_GOOD


def test_warm_up_requests_are_the_examples(served):
    requests = dict(read_warm_up(served.path))
    assert list(requests) == ["serving_default", "rollout", "sensitivities"]
    step, rollout = requests["serving_default"], requests["rollout"]
    assert_close(requests["sensitivities"], step, atol=0)
    assert_close({"features": rollout["features"][:, 0], "position": [[0.0], [0.5]]}, step, atol=0)
    # what a market would have said: at the money, full time to expiry, the model's constants
    first = dict(zip(served.model.feature_names, step["features"][0], strict=True))
    known = {"log_moneyness": 0.0, "time_to_expiry": 0.08, **served.model.constants}
    assert first == pytest.approx({name: known[name] for name in first})
    np.testing.assert_allclose(rollout["cost"], 1e-3 * rollout["price"][:, :-1])


@pytest.mark.parametrize(
    ("signature", "inputs", "culprit"),
    [
        ("price", {}, r"request for a signature 'price'; the model has \['rollout'"),
        ("rollout", {"spot": 1.0}, r"'rollout' must have inputs \['cost', .* Received: \['spot'\]"),
        (
            "serving_default",
            {"features": np.ones((1, 4), "float32"), "position": np.ones((1, 1), "float32")},
            r"'features' must be float32 of shape \(None, 3\). Received: float32 of shape \(1, 4\)",
        ),
        (
            "serving_default",
            {"features": np.ones((1, 3), "float32"), "position": np.ones((1, 1))},
            r"'position' must be float32 .* Received: float64",
        ),
    ],
)
def test_a_stale_warm_up_request_is_found(copy, signature, inputs, culprit):
    write_warm_up(copy, [(signature, inputs)])
    with pytest.raises(ValueError, match=culprit):
        check_saved_model(copy)


def test_damaged_warm_up_requests(copy):
    whole = (copy / FILE).read_bytes()
    for damaged in (whole[:-3], whole[:20] + b"\x00" + whole[21:]):
        (copy / FILE).write_bytes(damaged)
        with pytest.raises(ValueError, match=r"damaged warm-up requests in .*tf_serving_warmup"):
            check_saved_model(copy)
    with tf.io.TFRecordWriter(str(copy / FILE)) as writer:
        writer.write(field(2, field(1, b"")))  # PredictionLog.classify_log
    with pytest.raises(ValueError, match=r"log of a prediction.*fields \[2\]"):
        read_warm_up(copy)
    with pytest.raises(ValueError, match=r"at most 1000 `requests`. Received: 1001"):
        write_warm_up(copy, [("serving_default", {})] * 1001)
    (copy / FILE).unlink()
    assert read_warm_up(copy) == []


def test_wire_format():
    long = "x" * 300
    message = field(20, long) + b"\x08\x96\x01" + b"\x15\x00\x00\x80\x3f" + field(20, b"")
    assert fields(message) == {20: [long.encode(), b""], 1: [150], 2: [b"\x00\x00\x80\x3f"]}
    for broken in (message[:100], b"\x08\x96", b"\x0b"):
        with pytest.raises(ValueError, match="not a protobuf message"):
            fields(broken)


# ------------------------------------------------------------------------------------ conformance


class Custom(keras.Model):
    """A model of another family: it says itself what it answers."""

    def __init__(self, function, shape=(None, 2), example=((1.0, 2.0),), name="quotes", key=None):
        super().__init__()
        inputs = (tf.TensorSpec(shape, "float32", name),)
        self.key = key or "serving_default"
        self.signature = Signature(function, inputs, {"quotes": example})

    def serving_signatures(self):
        return {self.key: self.signature}


def in_python(quotes):
    return {"y": tf.ensure_shape(tf.py_function(lambda x: x, [quotes], "float32"), (None, 2))}


def compiled(quotes):
    return {"y": tf.function(lambda x: 2.0 * x, jit_compile=True)(quotes)}


def pinned(quotes):
    with tf.device("CPU:1"):
        return {"y": 2.0 * quotes}


calls = itertools.count(1)


def drifting(quotes):
    return {"y": quotes + float(next(calls))}  # what Python counts, a graph does not


@pytest.mark.parametrize(
    ("model", "culprit"),
    [
        (Custom(in_python), r"'EagerPyFunc' calls Python \(EagerPyFunc\)"),
        (Custom(compiled), "must be compiled by XLA"),
        (Custom(pinned), "is pinned to .*device:CPU:1"),
        (Custom(drifting), r"the SavedModel answers y=.*the model \[\[2.0, 3.0\]\]"),
        (Custom(lambda quotes: {"y": tf.reduce_sum(quotes)}), "'y' must have a leading batch"),
        (Custom(lambda quotes: {"y": quotes}, shape=(1, 2)), r"'quotes' .* Received: .*\(1, 2\)"),
        (Custom(lambda quotes: quotes), "must return a dictionary of tensors. Received: Eager"),
        (Custom(lambda quotes: {"y": quotes}, name="x"), r"inputs \['x'\], examples \['quotes'\]"),
        (Custom(lambda quotes: {"y": quotes}, key="y"), r"no signature 'serving_default'.*\['y'\]"),
        (keras.layers.Dense(1), "`model` must be a HedgeModel or have .*Dense"),
    ],
)
def test_a_model_that_a_server_would_refuse(tmp_path, model, culprit):
    with pytest.raises(ValueError, match=culprit):
        export(model, tmp_path / "served" / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_another_family(tmp_path):
    scale = tf.Variable(3.0)
    model = Custom(lambda quotes: {"y": scale * quotes}, example=[[1, 2]])
    path = export(model, tmp_path)
    with load_with_c_api(path) as session:
        assert_close(session.run({"quotes": [[1.0, 2.0]]}), {"y": [[3.0, 6.0]]})
    # the request is as wide as the signature, not as the example
    assert read_warm_up(path)[0][1]["quotes"].dtype == "float32"
    weights = path / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(b"\xff" + weights.read_bytes()[1:])
    with pytest.raises(ValueError, match=r"does not load: .*[Cc]hecksum"):
        load_with_c_api(path)


def test_a_preset_by_its_directory(tmp_path):
    model = FeedForwardHedge(hidden_units=(4,), seed=9)
    model.build()
    model.save_to_preset(tmp_path / "preset")
    path = export(tmp_path / "preset", tmp_path / "served", check=False)
    inputs = one_step(model, 3)
    with load_with_c_api(path) as session:
        assert_close(session.run(inputs), model.step(*map(tf.constant, inputs.values())))
    with pytest.raises(ValueError, match="no_such_preset"):
        export("no_such_preset", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_model_built_under_replicas(two_replicas, tmp_path):
    with two_replicas.scope():
        model = FeedForwardHedge(hidden_units=(4,))
        model.build()
    path = export(model, tmp_path, check=False)
    check_graph(path)
    inputs = one_step(model, 5)
    with load_with_c_api(path) as session:
        assert_close(session.run(inputs), model.step(*map(tf.constant, inputs.values())))


def wrong_method(graph):
    graph.signature_def["rollout"].method_name = "tensorflow/serving/regress"


def unknown_rank(graph):
    graph.signature_def["rollout"].inputs["price"].tensor_shape.unknown_rank = True


def no_outputs(graph):
    graph.signature_def["rollout"].outputs.clear()


def no_default(graph):
    del graph.signature_def["serving_default"]


def wrong_tag(graph):
    graph.meta_info_def.tags[:] = ["train"]


def on_an_accelerator(graph):
    graph.graph_def.node[0].device = "/device:GPU:0"


@pytest.mark.parametrize(
    ("damage", "culprit"),
    [
        (wrong_method, "signature 'rollout' must have method .*predict. .*regress"),
        (unknown_rank, "signature 'rollout': 'price' must have a leading .* shape=unknown"),
        (no_outputs, "signature 'rollout' has no outputs"),
        (no_default, r"no signature 'serving_default'. Received: \['rollout', 'sensitivities'\]"),
        (wrong_tag, "one graph tagged 'serve'. Received: 0"),
        (on_an_accelerator, "the graph: .* is pinned to '/device:GPU:0'"),
    ],
)
def test_a_graph_that_a_server_would_refuse(copy, damage, culprit):
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((copy / "saved_model.pb").read_bytes())
    damage(saved_model.meta_graphs[0])
    (copy / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    with pytest.raises(ValueError, match=culprit):
        check_saved_model(copy)


def test_files_that_are_no_saved_model(copy, tmp_path):
    with pytest.raises(ValueError, match=r"has no saved_model.pb. Received: .*nowhere"):
        check_saved_model(tmp_path / "nowhere")
    (copy / "saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match=r"saved_model.pb is damaged"):
        check_saved_model(copy)


# ------------------------------------------------------------------------------------------ files


@pytest.fixture
def quick():
    """A model that is written in a moment."""
    return Custom(lambda quotes: {"y": 2.0 * quotes})


def content(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_versions(quick, tmp_path):
    def names():
        return sorted(path.name for path in tmp_path.iterdir())

    (tmp_path / "notes").mkdir()
    assert export(quick, tmp_path, check=False) == tmp_path / "1"
    assert export(quick, str(tmp_path), check=False) == tmp_path / "2"
    assert export(quick, tmp_path, version=20, check=False) == tmp_path / "20"
    assert export(quick, tmp_path, check=False) == tmp_path / "21"
    assert names() == ["1", "2", "20", "21", "notes"]
    (tmp_path / "0030").mkdir()  # the server reads it as 30
    before = content(tmp_path)
    for version in (1, 20, 30):
        with pytest.raises(ValueError, match=f"`version` {version} exists already in"):
            export(quick, tmp_path, version=version)
    assert content(tmp_path) == before
    for version in (0, -1, 1.5, "2", True):
        with pytest.raises(ValueError, match=r"`version` must be a positive integer. Received: "):
            export(quick, tmp_path, version=version)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"`directory` is a file. Received: .*file"):
        export(quick, tmp_path / "file")
    # a server that runs as another user can read what was written
    assert (tmp_path / "1").stat().st_mode & 0o777 == (tmp_path / "notes").stat().st_mode & 0o777


def test_overwrite(quick, tmp_path, monkeypatch):
    export(quick, tmp_path, version=3, check=False)
    other = Custom(lambda quotes: {"y": 5.0 * quotes})
    assert export(other, tmp_path, version=3, overwrite=True, check=False) == tmp_path / "3"
    answer = {"y": [[5.0, 10.0]]}
    assert_close(serving.query_locally(tmp_path / "3", {"quotes": [[1.0, 2.0]]}), answer)
    with pytest.raises(ValueError, match="`overwrite` needs a `version`"):
        export(quick, tmp_path, overwrite=True)
    before = content(tmp_path)
    rename = saved_model.os.rename

    def full_disk(source, target):
        if source.name == "new":
            raise OSError("no space left")
        rename(source, target)

    monkeypatch.setattr(saved_model.os, "rename", full_disk)
    with pytest.raises(OSError, match="no space left"):
        export(quick, tmp_path, version=3, overwrite=True, check=False)
    assert content(tmp_path) == before


@pytest.mark.parametrize("step", ["write_warm_up", "check_saved_model", "_publish"])
def test_nothing_is_left_behind(quick, tmp_path, monkeypatch, step):
    seen = []

    def fail(*_):
        seen.extend(path.name for path in (tmp_path / "a" / "b").iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(saved_model, step, fail)
    with pytest.raises(KeyboardInterrupt):
        export(quick, tmp_path / "a" / "b", check=step == "check_saved_model")
    # a server that looked in the meantime saw no version
    (scratch,) = seen
    assert scratch.startswith(".export-")
    assert list(tmp_path.iterdir()) == []


def test_two_exports_at_once(quick, tmp_path, monkeypatch):
    def meanwhile(path):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "saved_model.pb").write_bytes(b"of another export")
        return {"warm_up": []}

    monkeypatch.setattr(saved_model, "check_saved_model", meanwhile)
    with pytest.raises(ValueError, match="`version` 1 exists already"):
        export(quick, tmp_path, version=1)
    assert content(tmp_path) == {tmp_path / "1" / "saved_model.pb": b"of another export"}
    shutil.rmtree(tmp_path / "1")
    monkeypatch.setattr(
        saved_model, "_versions", lambda directory, seen=[]: seen.append(1) or seen[1:]
    )
    assert export(quick, tmp_path) == tmp_path / "2"
    assert (tmp_path / "1").is_dir()


# ------------------------------------------------------------------------------------- questions


def test_export_and_query(served):
    body = serving.request_body(served.path)
    assert body == serving.request_body(served.model)
    sent = json.loads(json.dumps(body, allow_nan=False))
    assert sent["signature_name"] == "serving_default"
    assert sent["inputs"]["position"] == [[0.0], [0.5]]
    assert sent["inputs"]["features"][0][1] == 0.08
    inputs = {name: tf.constant(value) for name, value in sent["inputs"].items()}
    answer = serving.query_locally(served.path, sent["inputs"])
    assert_close(answer, served.model.step(inputs["features"], inputs["position"]))
    rollout = serving.request_body(served.path, "rollout")
    assert rollout["signature_name"] == "rollout"
    answer = serving.query_locally(served.path, rollout["inputs"], "rollout")
    gains = served.model({k: tf.constant(v) for k, v in rollout["inputs"].items()})
    np.testing.assert_allclose(answer["gains"], gains, rtol=0, atol=1e-6)


def test_questions_that_cannot_be_answered(baseline):
    with pytest.raises(ValueError, match=r"`signature` must be one of \['rollout'.* 'greeks'"):
        serving.request_body(baseline, "greeks")
    with pytest.raises(ValueError, match=r"`signature` must be one of \['rollout'.* 'greeks'"):
        serving.query_locally(baseline, {}, "greeks")
    with pytest.raises(ValueError, match=r"`inputs` must be .*'position'\]. Received: \['spot'\]"):
        serving.query_locally(baseline, {"spot": 1.0})
    with pytest.raises(ValueError, match=r"`features` must have shape \(None, 3\).*\(1, 2\)"):
        serving.query_locally(baseline, {"features": [[0.0, 0.1]], "position": [[0.0]]})
    with pytest.raises(ValueError, match=r"has no saved_model.pb. Received: .*nowhere"):
        serving.query_locally(baseline / "nowhere", {})
